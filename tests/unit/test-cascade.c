/* SPDX-License-Identifier: MIT */
/* Cascade, both ends in one process: it corrects, it leaks what it counts, and little more than it
 * must; a liar at the other end costs no more than a bounded leak. */

#include <criterion/criterion.h>
#include <math.h>

#include "common/prng.h"
#include "common/secret.h"
#include "qkd-linkd/distill/cascade-corrector.h"
#include "qkd-linkd/distill/cascade-reference.h"

#define FRAMES        100
#define ANSWERS_BYTES (1u << 20)

struct pair {
	size_t frames;
	uint64_t *reference_bits, *corrector_bits;
	struct cascade_order *order;
	struct cascade_reference *reference;
	struct cascade_corrector *corrector;
	uint64_t errors;
};

static void add_errors(struct pair *pair, double rate, struct prng *prng)
{
	uint64_t bits = (uint64_t)pair->frames * CASCADE_FRAME_BITS, at = 0;

	while (rate > 0) {
		at += (uint64_t)(log(prng_uniform(prng)) / log1p(-rate));
		if (at >= bits)
			return;
		pair->corrector_bits[at >> 6] ^= UINT64_C(1) << (at & 63);
		pair->errors++;
		at++;
	}
}

static struct pair pair_new(size_t frames, double rate, const struct cascade_plan *plan,
			    uint64_t seed)
{
	struct pair pair = {.frames = frames};
	struct prng prng;

	prng_init(&prng, seed);
	pair.reference_bits = malloc(frames * CASCADE_FRAME_BYTES);
	pair.corrector_bits = malloc(frames * CASCADE_FRAME_BYTES);
	for (size_t i = 0; i < frames * CASCADE_FRAME_WORDS; i++)
		pair.reference_bits[i] = pair.corrector_bits[i] = prng_next(&prng);
	add_errors(&pair, rate, &prng);
	cr_assert_eq(cascade_order_new(seed, &pair.order), 0);
	cr_assert_eq(cascade_reference_new(pair.order, plan, pair.reference_bits, frames,
					   &pair.reference),
		     0);
	cr_assert_eq(cascade_corrector_new(pair.order, plan, pair.corrector_bits, frames,
					   &pair.corrector),
		     0);
	return pair;
}

static void pair_done(struct pair *pair)
{
	cascade_reference_free(pair->reference);
	cascade_corrector_free(pair->corrector);
	cascade_order_free(pair->order);
	free(pair->reference_bits);
	free(pair->corrector_bits);
}

static void reconcile(struct pair *pair)
{
	static uint8_t answers[ANSWERS_BYTES];
	const uint32_t *questions;
	ssize_t count;

	while ((count = cascade_corrector_ask(pair->corrector, &questions)) > 0) {
		ssize_t bits = cascade_reference_answer(pair->reference, questions, (size_t)count,
							answers, sizeof(answers));

		cr_assert_geq(bits, 0);
		cr_assert_eq(cascade_corrector_take(pair->corrector, answers, (size_t)bits), 0);
	}
	cr_assert_eq(count, 0);
}

static unsigned wrong_frames(const struct pair *pair)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < pair->frames; i++)
		wrong += memcmp(pair->reference_bits + i * CASCADE_FRAME_WORDS,
				pair->corrector_bits + i * CASCADE_FRAME_WORDS,
				CASCADE_FRAME_BYTES) != 0;
	return wrong;
}

static double entropy(double p)
{
	return -p * log2(p) - (1 - p) * log2(1 - p);
}

/* arXiv:1407.3257, Table 3, n = 2^14. */
static const struct {
	double error_rate, efficiency;
} published[] = {
	{0.01, 1.04219}, {0.03, 1.03902}, {0.05, 1.04313}, {0.08, 1.05465}, {0.11, 1.06130}};

/* The paper's + 0.005 on its rows, + 0.015 on the straight lines between them. */
static double efficiency_limit(double rate)
{
	for (size_t i = 0; i < ELEMENTSOF(published); i++)
		if (fabs(published[i].error_rate - rate) < 1e-9)
			return published[i].efficiency + 0.005;
	for (size_t i = 1; i < ELEMENTSOF(published); i++) {
		double low = published[i - 1].error_rate, high = published[i].error_rate;

		if (rate > low && rate < high)
			return published[i - 1].efficiency + 0.015 +
			       (published[i].efficiency - published[i - 1].efficiency) *
				       (rate - low) / (high - low);
	}
	return 2;
}

Test(cascade, corrects_every_error_rate_of_the_paper_as_efficiently)
{
	for (unsigned percent = 1; percent <= 11; percent++) {
		struct cascade_plan plan;
		struct pair pair;
		double bits = (double)FRAMES * CASCADE_FRAME_BITS, rate, efficiency;

		cascade_plan_for(percent / 100.0, &plan);
		pair = pair_new(FRAMES, percent / 100.0, &plan, percent);
		reconcile(&pair);
		rate = (double)pair.errors / bits;
		efficiency = (double)cascade_reference_leak_bits(pair.reference) /
			     (bits * entropy(rate));
		cr_expect_leq(wrong_frames(&pair), 1, "%u %%", percent);
		cr_expect_leq(efficiency, efficiency_limit(percent / 100.0), "%u %%: f %.5f",
			      percent, efficiency);
		cr_expect_eq(cascade_reference_leak_bits(pair.reference),
			     cascade_corrector_leak_bits(pair.corrector));
		if (wrong_frames(&pair) == 0)
			cr_expect_eq(cascade_corrector_errors(pair.corrector), pair.errors);
		pair_done(&pair);
	}
}

Test(cascade, equal_frames_disclose_only_the_top_blocks)
{
	struct cascade_plan plan;
	struct pair pair;

	cascade_plan_of(7, 9, 12, &plan);
	pair = pair_new(3, 0, &plan, 7);
	reconcile(&pair);
	cr_expect_eq(cascade_reference_leak_bits(pair.reference), 3 * (128 + 31 + 3 + 11));
	cr_expect_eq(cascade_corrector_errors(pair.corrector), 0);
	cr_expect_eq(cascade_corrector_rounds(pair.corrector), 4);
	cr_expect_eq(wrong_frames(&pair), 0);
	pair_done(&pair);
}

Test(cascade, low_error_rates_are_corrected_with_the_swept_sizes)
{
	static const double rates[] = {0.0002, 0.001, 0.002, 0.005, 0.008};

	for (size_t i = 0; i < ELEMENTSOF(rates); i++) {
		struct cascade_plan plan;
		struct pair pair;

		cascade_plan_for(rates[i], &plan);
		pair = pair_new(FRAMES, rates[i], &plan, 50 + i);
		reconcile(&pair);
		cr_expect_eq(wrong_frames(&pair), 0, "rate %f", rates[i]);
		pair_done(&pair);
	}
}

Test(cascade, frames_with_nothing_in_common_end_with_a_bounded_leak)
{
	struct cascade_plan plan;
	struct pair pair;

	cascade_plan_for(0.01, &plan);
	pair = pair_new(5, 0.5, &plan, 3);
	reconcile(&pair);
	cr_expect_leq(cascade_reference_leak_bits(pair.reference), 5 * CASCADE_MAX_LEAK_BITS);
	cr_expect_eq(cascade_reference_leak_bits(pair.reference),
		     cascade_corrector_leak_bits(pair.corrector));
	pair_done(&pair);
}

Test(cascade, a_reference_that_answers_at_random_cannot_keep_the_corrector_busy_for_ever)
{
	static uint8_t answers[ANSWERS_BYTES];
	struct cascade_plan plan;
	struct pair pair;
	struct prng prng;
	const uint32_t *questions;
	unsigned rounds = 0;

	prng_init(&prng, 9);
	cascade_plan_for(0.03, &plan);
	pair = pair_new(4, 0.03, &plan, 5);
	while (cascade_corrector_ask(pair.corrector, &questions) > 0) {
		for (size_t i = 0; i <= cascade_corrector_expects(pair.corrector) / 8; i++)
			answers[i] = (uint8_t)prng_next(&prng);
		cr_assert_eq(cascade_corrector_take(pair.corrector, answers,
						    cascade_corrector_expects(pair.corrector)),
			     0);
		cr_assert_leq(++rounds, CASCADE_MAX_LEAK_BITS);
	}
	cr_expect_leq(cascade_corrector_leak_bits(pair.corrector), 4 * CASCADE_MAX_LEAK_BITS);
	pair_done(&pair);
}

Test(cascade, questions_that_no_corrector_asks_are_refused)
{
	struct cascade_plan plan;
	struct pair pair;
	uint8_t answers[2048];

	cascade_plan_of(5, 9, 12, &plan);
	pair = pair_new(2, 0, &plan, 1);
	const uint32_t wrong[] = {
		cascade_question(2, 0, CASCADE_TOPS),  /* no such frame */
		cascade_question(0, 14, CASCADE_TOPS), /* no such pass */
		cascade_question(0, 0, 1),             /* the whole frame */
		cascade_question(0, 0, 512),           /* a top block */
		cascade_question(0, 1, 16),            /* above a top block */
		cascade_question(0, 0, 1025),          /* a right child */
		UINT32_MAX,
	};
	for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
		cr_expect_eq(cascade_reference_answer(pair.reference, &wrong[i], 1, answers,
						      sizeof(answers)),
			     -EBADMSG, "question %zu", i);
	cr_expect_eq(cascade_reference_leak_bits(pair.reference), 0);
	const uint32_t right = cascade_question(1, 0, 1024);
	cr_expect_eq(cascade_reference_answer(pair.reference, &right, 1, answers, 1), 1);
	cr_expect_eq(cascade_reference_answer(pair.reference, &right, 1, answers, 0), -ENOBUFS);
	pair_done(&pair);
}

Test(cascade, a_frame_discloses_no_more_parities_than_it_has_bits)
{
	struct cascade_plan plan;
	struct pair pair;
	uint8_t answers[1];
	ssize_t r = 1;

	cascade_plan_of(5, 9, 12, &plan);
	pair = pair_new(1, 0, &plan, 1);
	for (unsigned i = 0; i <= CASCADE_MAX_LEAK_BITS && r == 1; i++) {
		const uint32_t question = cascade_question(0, 0, 16384 + 2 * (i % 8192));

		r = cascade_reference_answer(pair.reference, &question, 1, answers, 1);
	}
	cr_expect_eq(r, -E2BIG);
	cr_expect_eq(cascade_reference_leak_bits(pair.reference), CASCADE_MAX_LEAK_BITS);
	pair_done(&pair);
}

Test(cascade, answers_of_another_number_than_asked_are_refused)
{
	struct cascade_plan plan;
	struct pair pair;
	const uint32_t *questions;
	uint8_t answers[4096] = {};

	cascade_plan_for(0.03, &plan);
	pair = pair_new(2, 0.03, &plan, 1);
	cr_assert_eq(cascade_corrector_ask(pair.corrector, &questions), 2);
	cr_expect_eq(cascade_corrector_take(pair.corrector, answers, 1023), -EBADMSG);
	cr_expect_eq(cascade_corrector_ask(pair.corrector, &questions), -EBUSY);
	cr_expect_eq(cascade_corrector_take(pair.corrector, answers, 1024), 0);
	pair_done(&pair);
}

Test(cascade, orders_are_permutations_and_come_out_the_same_from_one_seed)
{
	_cleanup_(cascade_order_freep) struct cascade_order *a = NULL, *b = NULL;

	cr_assert_eq(cascade_order_new(77, &a), 0);
	cr_assert_eq(cascade_order_new(77, &b), 0);
	cr_expect_eq(memcmp(a, b, sizeof(*a)), 0);
	for (unsigned pass = 0; pass < CASCADE_PASSES; pass++)
		for (unsigned i = 0; i < CASCADE_FRAME_BITS; i++)
			cr_assert_eq(a->bit[pass][a->place[pass][i]], i);
	cr_expect_eq(a->place[0][1234], 1234);
	cr_expect_neq(memcmp(a->place[1], a->place[2], sizeof(a->place[1])), 0);
}

Test(cascade, plans_without_sense_are_refused)
{
	_cleanup_(cascade_order_freep) struct cascade_order *order = NULL;
	struct cascade_reference *reference;
	struct cascade_plan plan;
	uint64_t bits[CASCADE_FRAME_WORDS] = {};

	cr_assert_eq(cascade_order_new(1, &order), 0);
	cascade_plan_of(0, 9, 12, &plan);
	cr_expect_eq(cascade_reference_new(order, &plan, bits, 1, &reference), -EINVAL);
	cascade_plan_of(5, 9, 14, &plan);
	cr_expect_eq(cascade_reference_new(order, &plan, bits, 1, &reference), -EINVAL);
	cascade_plan_of(5, 9, 12, &plan);
	plan.block_log2[13] = 5;
	cr_expect_eq(cascade_reference_new(order, &plan, bits, 1, &reference), -EINVAL);
	cascade_plan_of(5, 9, 12, &plan);
	cr_expect_eq(cascade_reference_new(order, &plan, bits, 0, &reference), -EINVAL);
}
