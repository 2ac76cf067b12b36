/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The datagrams by which two ends agree on a generation of keys (docs/ipsec.md). Fixed size, pure:
 * built and checked here, sent elsewhere.
 *
 *   offset  bytes
 *        0      4  "QKDX"
 *        4      1  version, 1
 *        5      1  type
 *        6      2  zero
 *        8     40  connection, ended and filled with NUL
 *       48      8  generation
 *       56      8  current: the generation that the second proof is made with, or 0
 *       64      4  spi
 *       68     16  nonce
 *       84     32  proof, HMAC-SHA256 of the bytes before with the generation's control key, or
 * zero 116     32  proof_current, the same with the current generation's, or zero
 *
 * Numbers are big-endian. A proof covers all but the proofs.
 */

#include "common/secret.h"
#include "sa-derive.h"

#define REKEY_MESSAGE_BYTES       148
#define REKEY_MESSAGE_NAME_BYTES  40 /* with its NUL */
#define REKEY_MESSAGE_PROOF_BYTES 32
#define REKEY_SPI_MIN             256 /* smaller ones are reserved, RFC 4303 */

enum rekey_message_type {
	REKEY_OFFER = 1,   /* leader: I have the key; my inbound SPI and nonce */
	REKEY_ACCEPT = 2,  /* follower: so have I, my inbound association stands; SPI and nonce */
	REKEY_CONFIRM = 3, /* leader: mine stand both, and I send by the new one */
	REKEY_DONE = 4,    /* follower: I too; what is older may go */
	REKEY_WANT = 5,    /* follower: offer a new generation */
};

struct rekey_message {
	enum rekey_message_type type;
	char connection[REKEY_MESSAGE_NAME_BYTES];
	uint64_t generation, current;
	uint32_t spi;
	uint8_t nonce[SA_DERIVE_NONCE_BYTES];
	uint8_t proof[REKEY_MESSAGE_PROOF_BYTES], proof_current[REKEY_MESSAGE_PROOF_BYTES];
};

/* Either key may be NULL: that proof is then zero. */
int rekey_message_encode(const struct rekey_message *message, const struct secret *control,
			 const struct secret *control_current,
			 uint8_t ret_bytes[static REKEY_MESSAGE_BYTES]);
/* -EBADMSG for whatever is not exactly such a datagram. Proofs are not checked. */
int rekey_message_decode(const uint8_t *bytes, size_t size_bytes, struct rekey_message *ret);
/* False without a key. */
bool rekey_message_is_proven(const struct rekey_message *message, const struct secret *control);
bool rekey_message_is_proven_current(const struct rekey_message *message,
				     const struct secret *control_current);
