/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One block of sifted bits on its way to key, at either end: its bits, its counts, its groups of
 * Cascade frames, the running hashes of what was said about it, and the stage it is in.
 */

#include "qkd-linkd/distill/cascade-corrector.h"
#include "qkd-linkd/distill/cascade-reference.h"
#include "qkd-linkd/distill/distill.h"
#include "qkd-linkd/distill/sift.h"

#define BLOCK_MAX_GROUPS (DISTILL_MAX_FRAMES / DISTILL_GROUP_FRAMES)

/* What this end waits for. */
enum block_stage {
	BLOCK_SIFTING,     /* detections */
	BLOCK_STARTING,    /* B: START */
	BLOCK_RECONCILING, /* A: ASK or CORRECTED; B: ANSWER */
	BLOCK_VERIFYING,   /* A: RESULT; B: VERIFY */
	BLOCK_COMPARING,   /* A: NEED; B: FRAME_TAGS or DROP */
	BLOCK_PATCHING,    /* B: PATCH */
	BLOCK_FINISHING,   /* A: ACCEPT; B: AMPLIFY */
};

struct block {
	uint32_t number;
	enum block_stage stage;
	unsigned frame_count, group_count, groups_done;
	struct sift_key key;
	struct secret *bits;   /* key.words */
	struct secret *before; /* B, one decoy: the bits before the correction */
	struct sift_tally tally;
	uint8_t need[DISTILL_MAX_FRAMES / 8]; /* B: frames asked for */

	struct cascade_order *order;
	struct cascade_reference *references[BLOCK_MAX_GROUPS]; /* A */
	struct cascade_corrector *correctors[BLOCK_MAX_GROUPS]; /* B */
	uint64_t extra_leak_bits;                               /* tags and patches */
	uint64_t m_x[DETECTION_INTENSITIES_MAX];                /* A: errors by intensity */

	uint64_t key_bits;
	unsigned authentication_units; /* of the key, at its beginning */
	uint64_t *seed;                /* of the amplification */
	size_t seed_bytes;             /* B: that have come */
	/* In secret memory, for they depend on the authentication key. */
	struct wegman_carter_stream *sent, *received;
	struct distill_report report;
};

int block_new(const struct distill_config *config, uint32_t number, struct block **ret);
struct block *block_free(struct block *block);
DEFINE_CLEANUP(struct block *, block_free);

/* Makes the order and the groups of one role; the sifted bits must be complete. */
int block_start(struct block *block, enum wegman_carter_role role, const struct cascade_plan *plan,
		uint64_t seed);

static inline uint64_t *block_frame(const struct block *block, unsigned frame)
{
	return block->key.words + (size_t)frame * CASCADE_FRAME_WORDS;
}

uint64_t block_test_bits(const struct block *block);
uint64_t block_test_errors(const struct block *block);
/* Parities, tags and patches. */
uint64_t block_leak_bits(const struct block *block);

/* The secret bits that a block yields if so much has leaked, A's statistics; fills the report. */
uint64_t block_key_length(struct block *block, const struct distill_config *config,
			  double leak_bits);
