/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Alignment: from time tags on the receiver's clock to the transmitter's slot numbers.
 *
 * At the start of a session the transmitter sends a public pattern of pulses that are on or off.
 * The receiver finds its clock's rate and phase from the tags alone (they come in steps of the
 * pulse period: the strongest line of their spectrum), then the slot number of a tag by correlating
 * with the pattern. From then on every tag corrects rate and phase a little, and tags outside the
 * gate around a pulse are noise and dropped. A real link would also realign when its error rate
 * jumps to one half; the pipeline drops such blocks.
 */

#include "common/macros.h"

#define ALIGN_MIN_TAGS 256
#define ALIGN_MAX_TAGS 65536 /* looked at for one acquisition */

/* 64 slots of the public pattern from slot 64 * index on, the first in the lowest bit. */
typedef uint64_t (*align_pattern_t)(uint64_t seed, uint64_t index);

struct align_parameters {
	double period_ps;     /* of the pulses, by the transmitter's clock */
	double max_offset_ps; /* the receiver's clock is at most so far off */
	double max_drift;     /* and at most so much faster or slower */
	double gate_ps;       /* accepted on either side of a pulse; below half the period */
	align_pattern_t pattern;
	uint64_t pattern_seed, pattern_slots;
};

/* Ready to translate tags: slot = anchor_slot + (tag - anchor_ps) / period_ps. */
struct align {
	double gate_ps;
	double period_ps; /* by the receiver's clock */
	double anchor_ps; /* a fraction, added to anchor_tag */
	int64_t anchor_tag;
	int64_t anchor_slot;
	/* The batch that the next correction comes from. */
	double residue_sum, slot_sum;
	uint32_t batch_count;
	uint64_t accepted, rejected;
};

void align_parameters_defaults(struct align_parameters *ret);

/*
 * From the first tags of a session. -EAGAIN: too few to be certain, come with more; -EINVAL: not in
 * order; -ENOENT: no offset fits, the pattern is another one, or the clock is further off.
 */
int align_acquire(const struct align_parameters *parameters, const int64_t *tags, size_t count,
		  struct align *ret);

/* The slot of a tag; false when it lies outside the gate. Tags come in order, others give slots out
 * of order. */
bool align_slot(struct align *align, int64_t tag, uint64_t *ret_slot);

/* How much faster the receiver's clock runs, and what it shows at the transmitter's zero. */
double align_drift(const struct align *align, const struct align_parameters *parameters);
double align_offset_ps(const struct align *align, const struct align_parameters *parameters);
