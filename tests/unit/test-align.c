/* SPDX-License-Identifier: MIT */
/* Time tags of a simulated link, with its clock off and drifting, get their true slot numbers. */

#include <criterion/criterion.h>
#include <math.h>

#include "common/prng.h"
#include "drivers/sim-optics.h"
#include "qkd-linkd/distill/align.h"

#define COUNT 60000

static struct sim_event events[COUNT];
static int64_t tags[COUNT];

static struct align_parameters parameters_for(const struct sim_optics_parameters *optics)
{
	struct align_parameters p;

	align_parameters_defaults(&p);
	p.period_ps = optics->period_ps;
	p.pattern = sim_optics_sync_word;
	p.pattern_seed = optics->sync_seed;
	p.pattern_slots = optics->sync_slots;
	return p;
}

static void draw(const struct sim_optics_parameters *p)
{
	_cleanup_(sim_optics_freep) struct sim_optics *optics = NULL;

	cr_assert_eq(sim_optics_new(p, &optics), 0);
	cr_assert_eq(sim_optics_draw(optics, UINT64_MAX, events, COUNT), COUNT);
	for (size_t i = 0; i < COUNT; i++)
		tags[i] = events[i].tag_ps;
}

/* How many of the tags get another slot than theirs; rejected ones do not count. */
static size_t wrong_slots(struct align *align, size_t first)
{
	size_t wrong = 0;
	uint64_t slot;

	for (size_t i = first; i < COUNT; i++)
		wrong += align_slot(align, tags[i], &slot) && slot != events[i].slot;
	return wrong;
}

Test(align, offsets_of_a_millisecond_and_drifts_of_10_ppm_are_found_and_tracked)
{
	static const double offsets[] = {0, 1e9, -1e9, 123456789.3}, drifts[] = {0, 1e-5, -1e-5};

	for (size_t i = 0; i < 12; i++) {
		struct sim_optics_parameters optics;
		struct align_parameters p;
		struct align align;

		sim_optics_defaults(&optics);
		optics.seed = i;
		optics.offset_ps = offsets[i / 3];
		optics.drift = drifts[i % 3];
		p = parameters_for(&optics);
		draw(&optics);
		cr_assert_eq(align_acquire(&p, tags, COUNT, &align), 0, "case %zu", i);
		cr_expect_float_eq(align_drift(&align, &p), optics.drift, 2e-8, "case %zu", i);
		cr_expect_float_eq(align_offset_ps(&align, &p), optics.offset_ps, 100, "case %zu",
				   i);
		cr_expect_eq(wrong_slots(&align, 0), 0, "case %zu", i);
		cr_expect_lt(align.rejected, COUNT / 1000, "case %zu", i);
		cr_expect_float_eq(align_drift(&align, &p), optics.drift, 1e-8, "case %zu", i);
	}
}

Test(align, a_long_lossy_link_with_jitter_and_dark_counts_is_aligned_too)
{
	struct sim_optics_parameters optics;
	struct align_parameters p;
	struct align align;

	sim_optics_defaults(&optics);
	optics.loss_db = 20;
	optics.dark_count = 1e-5;
	optics.jitter_ps = 120;
	optics.offset_ps = -9e8;
	optics.drift = 8e-6;
	optics.sync_slots = 4000000;
	p = parameters_for(&optics);
	draw(&optics);
	cr_assert_eq(align_acquire(&p, tags, COUNT, &align), 0);
	cr_expect_lt(wrong_slots(&align, 0), COUNT / 1000);
}

/* A clock whose rate wanders by 1 ppm a second, far more than a quartz does. */
Test(align, a_wandering_clock_is_followed)
{
	struct sim_optics_parameters optics;
	struct align_parameters p;
	struct align align;
	size_t wrong = 0, rejected = 0;
	struct prng prng;

	sim_optics_defaults(&optics);
	optics.sync_slots = 4000000;
	p = parameters_for(&optics);
	draw(&optics);
	cr_assert_eq(align_acquire(&p, tags, COUNT, &align), 0);
	prng_init(&prng, 1);
	for (uint64_t slot = events[COUNT - 1].slot; slot < 2000000000; slot += 2000) {
		double seconds = (double)slot * 1e-9;
		double tag = ((double)slot + 0.5) * 1000 + 0.5e-6 * seconds * seconds * 1e12 +
			     60 * (prng_uniform(&prng) - 0.5);
		uint64_t found;

		if (!align_slot(&align, (int64_t)tag, &found))
			rejected++;
		else
			wrong += found != slot;
	}
	cr_expect_eq(wrong, 0);
	cr_expect_eq(rejected, 0);
	cr_expect_float_eq(align_drift(&align, &p), 2e-6, 1e-7);
}

Test(align, tags_off_the_grid_are_gated_out)
{
	struct sim_optics_parameters optics;
	struct align_parameters p;
	struct align align;
	uint64_t slot;

	sim_optics_defaults(&optics);
	p = parameters_for(&optics);
	p.gate_ps = 200;
	draw(&optics);
	cr_assert_eq(align_acquire(&p, tags, COUNT, &align), 0);
	cr_expect(align_slot(&align, 5000000500 + 150, &slot));
	cr_expect_eq(slot, 5000000);
	cr_expect_not(align_slot(&align, 5000000500 + 400, &slot));
	cr_expect_not(align_slot(&align, 5000000500 - 400, &slot));
	cr_expect_eq(align.rejected, 2);
}

Test(align, what_cannot_be_aligned_is_told)
{
	struct sim_optics_parameters optics;
	struct align_parameters p;
	struct align align;
	struct prng prng;
	int64_t at = 0;

	sim_optics_defaults(&optics);
	p = parameters_for(&optics);
	draw(&optics);
	cr_expect_eq(align_acquire(&p, tags, ALIGN_MIN_TAGS - 1, &align), -EAGAIN);
	p.pattern_seed++;
	cr_expect_eq(align_acquire(&p, tags, COUNT, &align), -ENOENT); /* another pattern */
	p.pattern_seed--;
	for (size_t i = 0; i < COUNT; i++)
		tags[i] += 5000000000; /* 5 ms off */
	cr_expect_eq(align_acquire(&p, tags, COUNT, &align), -ENOENT);
	prng_init(&prng, 1);
	for (size_t i = 0; i < COUNT; i++)
		tags[i] = at += (int64_t)prng_below(&prng, 200000);
	cr_expect_eq(align_acquire(&p, tags, COUNT, &align), -ENOENT); /* noise */
	tags[100] = tags[0] - 1;
	cr_expect_eq(align_acquire(&p, tags, COUNT, &align), -EINVAL); /* out of order */
	for (size_t i = 0; i < COUNT; i++)
		tags[i] = 0;
	cr_expect_eq(align_acquire(&p, tags, COUNT, &align), -EINVAL); /* a clock that stands */
}

/* Tags that pull the clock faster and faster, and then anything. */
Test(align, a_hostile_clock_gets_no_slots_beyond_all_reason)
{
	struct align align = {.gate_ps = 400, .period_ps = 1000};
	struct prng prng;
	uint64_t slot;

	prng_init(&prng, 1);
	for (size_t i = 0; i < 2000000; i++) {
		double ahead = align.anchor_ps + 1.4 * align.period_ps - 0.9 * align.gate_ps;
		int64_t tag = align.anchor_tag + (int64_t)fmin(ahead, 1e6);

		if (i > 1000000)
			tag = (int64_t)(prng_next(&prng) >> 1) - (INT64_C(1) << 62);
		if (align_slot(&align, tag, &slot))
			cr_assert_lt(slot, UINT64_C(1) << 60);
		cr_assert(isfinite(align.period_ps));
	}
}
