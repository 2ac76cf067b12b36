/* SPDX-License-Identifier: MIT */
/*
 * Bob's side of a distillation session: he announces what he detected, corrects his bits to Alice's,
 * compares, and is the first to hold the key. For each message: check its form and the block's
 * stage, do what it says, send what follows.
 */

#include "qkd-linkd/distill/distill-internal.h"
#include "qkd-linkd/distill/varint.h"
#include "qkd-linkd/distill/verify-tag.h"

static size_t blocks_under_way(const struct distill *distill)
{
	size_t count = 0;

	for (size_t i = 0; i < DISTILL_MAX_BLOCKS; i++)
		count += distill->blocks[i] != NULL;
	return count;
}

/* Every announcement without an answer might be the one that opens another block. */
static bool may_announce(const struct distill *distill)
{
	size_t opened = blocks_under_way(distill) + distill->announcement_count;
	size_t spare = distill->sifting ? 1 : 0;

	if (distill->announcement_count == DISTILL_ANNOUNCE_WINDOW ||
	    distill->queue_count < distill->announce_detections)
		return false;
	return opened <= distill->config.window - 1 + spare ||
	       (distill->sifting && block_is_far_from_full(distill));
}
