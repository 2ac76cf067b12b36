/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * From one quantum key to the keys of one generation: one for each direction's security
 * association, one that proves messages. HKDF-SHA256 (RFC 5869); everything that tells two
 * associations apart is in its info, so that no two ever share a key, even if a quantum key were
 * handed out twice: both ends put in a fresh nonce.
 */

#include "common/secret.h"

#define SA_DERIVE_KEY_BYTES     (32 + 4) /* AES-256 and the salt of RFC 4106 */
#define SA_DERIVE_CONTROL_BYTES 32
#define SA_DERIVE_NONCE_BYTES   16
#define SA_DERIVE_MIN_BYTES     32 /* a shorter quantum key is refused */

enum sa_derive_direction {
	SA_DERIVE_FROM_LEADER = 0,
	SA_DERIVE_FROM_FOLLOWER = 1,
};

struct sa_derive_context {
	const char *connection;
	uint64_t generation;
	enum sa_derive_direction direction;
	uint32_t spi;
	uint8_t nonce_leader[SA_DERIVE_NONCE_BYTES], nonce_follower[SA_DERIVE_NONCE_BYTES];
};

/* -EKEYREJECTED for a quantum key that is too short. */
int sa_derive_control(const struct secret *key, const char *connection, uint64_t generation,
		      struct secret **ret);
int sa_derive_key(const struct secret *key, const struct sa_derive_context *context,
		  struct secret **ret);
