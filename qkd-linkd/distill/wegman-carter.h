/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Information-theoretic authentication of the classical channel (Wegman and Carter, J. Comput.
 * Syst. Sci. 22 (1981)): a polynomial hash over GF(2^128) under a secret key, its 128-bit result
 * encrypted with a one-time pad. A forger who sees any number of tags succeeds on a transcript of s
 * blocks with probability at most (s+3) 2^-128.
 *
 * A tag covers what went in both directions about one block: the bytes of each direction with their
 * length, then the direction of the tag and its number. Pads come in units of two, one for each
 * direction, and are used in order, once; used ones are wiped.
 *
 * The secret that is provisioned once begins with the hash key, the rest are units; distilled key
 * adds more.
 */

#include "common/secret.h"
#include "qkd-linkd/distill/gf128.h"

#define WEGMAN_CARTER_TAG_BYTES   16
#define WEGMAN_CARTER_KEY_BYTES   16
#define WEGMAN_CARTER_UNIT_BYTES  32
#define WEGMAN_CARTER_MAX_UNITS   4096 /* kept; more are not taken */
#define WEGMAN_CARTER_FIRST_BYTES (WEGMAN_CARTER_KEY_BYTES + 64 * WEGMAN_CARTER_UNIT_BYTES)

enum wegman_carter_role {
	WEGMAN_CARTER_ALICE,
	WEGMAN_CARTER_BOB,
};

struct wegman_carter;

/* The running hash of one direction of one block. Holds values that depend on the key: keep it in
 * secret memory. */
struct wegman_carter_stream {
	struct gf128 state;
	uint64_t size_bytes;
	uint64_t block_count;
	uint8_t partial[GF128_BYTES];
};

/* provisioned: WEGMAN_CARTER_KEY_BYTES and at least one unit, else -EINVAL. */
int wegman_carter_new(const struct gf2_kernel *kernel, enum wegman_carter_role role,
		      const struct secret *provisioned, struct wegman_carter **ret);
struct wegman_carter *wegman_carter_free(struct wegman_carter *wc);
DEFINE_CLEANUP(struct wegman_carter *, wegman_carter_free);

/*
 * What has to survive a restart, as one secret: key, pads, and which are used. Before a tag is sent
 * the state on disk must count its pad as used, so the saved state counts margin more in each
 * direction; after a restart those are lost, never used again.
 */
int wegman_carter_save(const struct wegman_carter *wc, uint64_t margin, struct secret **ret);
/* -EBADMSG when it is no saved state. */
int wegman_carter_load(const struct gf2_kernel *kernel, enum wegman_carter_role role,
		       const struct secret *saved, struct wegman_carter **ret);

/* Where the pads stand, for the two ends to agree on after an interruption. */
struct wegman_carter_position {
	uint64_t next[2]; /* by the sender's role */
	uint64_t end;
};
void wegman_carter_position(const struct wegman_carter *wc, struct wegman_carter_position *ret);
/* Skips what either end has used and forgets what only one has. -ESTALE when nothing is left. */
int wegman_carter_resume(struct wegman_carter *wc, const struct wegman_carter_position *peer);

void wegman_carter_update(const struct wegman_carter *wc, struct wegman_carter_stream *stream,
			  const void *bytes, size_t size_bytes);

/*
 * The tag over what this end has sent and received about a block, and its number. The streams are
 * left as they are. -ENOKEY when the pads are used up.
 */
int wegman_carter_sign(struct wegman_carter *wc, const struct wegman_carter_stream *sent,
		       const struct wegman_carter_stream *received, uint64_t *ret_number,
		       uint8_t ret_tag[static WEGMAN_CARTER_TAG_BYTES]);
/*
 * Checks the peer's tag over what this end has sent and received. Numbers come in order, without
 * gaps. -EKEYREJECTED for a wrong tag or number, and for everything after it; -ENOKEY.
 */
int wegman_carter_check(struct wegman_carter *wc, const struct wegman_carter_stream *sent,
			const struct wegman_carter_stream *received, uint64_t number,
			const uint8_t tag[static WEGMAN_CARTER_TAG_BYTES]);

/* Adds one unit of distilled key; both ends must add the same ones in the same order. -ENOSPC when
 * there are enough. */
int wegman_carter_add_unit(struct wegman_carter *wc,
			   const uint8_t unit[static WEGMAN_CARTER_UNIT_BYTES]);

/* Tags that can still be made, and checked. */
size_t wegman_carter_send_left(const struct wegman_carter *wc);
size_t wegman_carter_receive_left(const struct wegman_carter *wc);
bool wegman_carter_has_failed(const struct wegman_carter *wc);
