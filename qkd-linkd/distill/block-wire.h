/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The frames in which two ends distil key, inside binary frames of the link's channel. Every frame
 * begins with 8 bytes: type, group (of Cascade frames; else 0), two zeros, the block's number.
 * Numbers are little endian. A transmits, B receives; for each block, with sizes in bytes:
 *
 *	B ANNOUNCE	(number of the announcement instead of a block) sift_announce()
 *	A SIFTED	announcement number (4), 1 when the block is full (1), sift_match()
 *	A START		log2 of k1, k2, k3 (3), zero (1), seed of the order (8)
 *	B ASK		cascade questions (4 each)
 *	A ANSWER	number of bits (4), bits
 *	B CORRECTED	errors found (8); for one decoy the distances between them as varints
 *	A VERIFY	hash key (16), tag
 *	B RESULT	1 when the tag matches (1)
 *	A FRAME_TAGS	when it did not: hash key (16), a tag for each frame (4 each)
 *	B NEED		frames whose tags differ (2 each)
 *	A PATCH		their bits; VERIFY follows
 *	A SEED		the next BLOCK_WIRE_SEED_BYTES of the amplification's seed, or its rest
 *	A AMPLIFY	key length in bits (8), units of 32 bytes at its beginning that go to the
 *			authentication (1), tag number (8), tag (16)
 *	B ACCEPT	tag number (8), tag (16)
 *	either DROP	reason (1), error rate in millionths (4)
 */

#include "common/macros.h"

#define BLOCK_WIRE_HEADER_BYTES    8
#define BLOCK_WIRE_FRAME_TAG_BYTES 4
#define BLOCK_WIRE_SEED_BYTES      (1u << 20)
#define BLOCK_WIRE_MAX_BYTES       (4u << 20) /* the channel's own limit */

enum block_wire_type {
	BLOCK_WIRE_ANNOUNCE = 1,
	BLOCK_WIRE_SIFTED,
	BLOCK_WIRE_START,
	BLOCK_WIRE_ASK,
	BLOCK_WIRE_ANSWER,
	BLOCK_WIRE_CORRECTED,
	BLOCK_WIRE_VERIFY,
	BLOCK_WIRE_RESULT,
	BLOCK_WIRE_FRAME_TAGS,
	BLOCK_WIRE_NEED,
	BLOCK_WIRE_PATCH,
	BLOCK_WIRE_SEED,
	BLOCK_WIRE_AMPLIFY,
	BLOCK_WIRE_ACCEPT,
	BLOCK_WIRE_DROP,
};

/* Why a block was dropped. */
enum block_drop {
	BLOCK_DROP_NONE,
	BLOCK_DROP_ERROR_RATE, /* above what can give key */
	BLOCK_DROP_KEY_LENGTH, /* the bound leaves nothing */
	BLOCK_DROP_VERIFY,     /* not equal after reconciliation */
	BLOCK_DROP_NO_PADS,    /* the authentication key is used up */
};
const char *block_drop_name(enum block_drop reason);

struct block_wire {
	enum block_wire_type type;
	uint8_t group;
	uint32_t block;
	const uint8_t *payload;
	size_t size_bytes; /* of the payload */
};

/* -EBADMSG: too short, unknown type, or nonzero where zero must be. */
int block_wire_parse(const uint8_t *bytes, size_t size_bytes, struct block_wire *ret);
void block_wire_build(enum block_wire_type type, uint8_t group, uint32_t block,
		      uint8_t ret_header[static BLOCK_WIRE_HEADER_BYTES]);

static inline void block_wire_put32(uint8_t *to, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(number >> 8 * i);
}

static inline void block_wire_put64(uint8_t *to, uint64_t number)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(number >> 8 * i);
}

static inline uint32_t block_wire_get32(const uint8_t *from)
{
	return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
	       (uint32_t)from[3] << 24;
}

static inline uint64_t block_wire_get64(const uint8_t *from)
{
	return block_wire_get32(from) | (uint64_t)block_wire_get32(from + 4) << 32;
}
