/* SPDX-License-Identifier: MIT */
/* The simulated optics against their closed forms, each within four standard deviations. */

#include <criterion/criterion.h>
#include <math.h>

#include "drivers/sim-optics.h"

#define BATCH 4096

struct tally {
	uint64_t events, per_intensity[3], matched[3], errors[3], doubles, key_key;
	uint64_t mismatched, mismatched_errors;
};

static void count_event(struct tally *tally, const struct sim_event *e)
{
	tally->events++;
	tally->per_intensity[e->intensity]++;
	if (e->sender_basis != e->receiver_basis) {
		tally->mismatched++;
		tally->mismatched_errors += e->sender_bit != e->receiver_bit;
		return;
	}
	tally->matched[e->intensity]++;
	tally->errors[e->intensity] += e->sender_bit != e->receiver_bit;
	tally->doubles += e->double_click;
	tally->key_key += e->sender_basis == DETECTION_BASIS_KEY;
}

static struct tally run(const struct sim_optics_parameters *parameters, uint64_t slots)
{
	static struct sim_event events[BATCH];
	struct tally tally = {};
	_cleanup_(sim_optics_freep) struct sim_optics *optics = NULL;
	size_t count;

	cr_assert_eq(sim_optics_new(parameters, &optics), 0);
	while ((count = sim_optics_draw(optics, slots, events, BATCH)) > 0)
		for (size_t i = 0; i < count; i++)
			count_event(&tally, &events[i]);
	return tally;
}

static void expect_share(const char *what, uint64_t hits, uint64_t trials, double probability)
{
	double mean = (double)trials * probability;
	double sigma = sqrt(mean * (1 - probability)) + 1e-9;

	cr_expect(fabs((double)hits - mean) <= 4 * sigma, "%s: %lu of %lu, expected %.1f +- %.1f",
		  what, hits, trials, mean, sigma);
}

static void expect_closed_forms(const struct sim_optics_parameters *p, uint64_t slots)
{
	struct tally tally = run(p, slots);
	double same_basis = p->key_basis * p->key_basis + (1 - p->key_basis) * (1 - p->key_basis);
	double doubles = 0;

	for (unsigned i = 0; i < p->intensity_count; i++) {
		struct sim_expectation expected;

		sim_optics_expect(p, i, &expected);
		expect_share("gain", tally.per_intensity[i], slots,
			     p->probability[i] * expected.gain);
		expect_share("error rate", tally.errors[i], tally.matched[i], expected.error_rate);
		doubles += p->probability[i] * expected.double_click * same_basis;
	}
	expect_share("double clicks", tally.doubles, slots, doubles);
	expect_share("bases", tally.mismatched, tally.events, 1 - same_basis);
	expect_share("mismatched bits", tally.mismatched_errors, tally.mismatched, 0.5);
}

Test(sim_optics, gain_and_error_rate_follow_the_closed_forms_over_a_grid)
{
	static const double losses[] = {0, 4, 10, 20}, misalignments[] = {0, 0.015, 0.1};
	static const double darks[] = {0, 1e-7, 1e-3};

	for (size_t i = 0; i < 4 * 3 * 3; i++) {
		struct sim_optics_parameters p;

		sim_optics_defaults(&p);
		p.dead_gates = 0;
		p.sync_slots = 0;
		p.seed = 100 + i;
		p.loss_db = losses[i / 9];
		p.misalignment = misalignments[i / 3 % 3];
		p.dark_count = darks[i % 3];
		expect_closed_forms(&p, (uint64_t)(3e5 / sim_optics_mean_gain(&p)));
	}
}

Test(sim_optics, bright_pulses_give_double_clicks_and_they_give_random_bits)
{
	struct sim_optics_parameters p;

	sim_optics_defaults(&p);
	p.dead_gates = 0;
	p.sync_slots = 0;
	p.loss_db = 0;
	p.efficiency = 0.9;
	p.mean_photons[0] = 8;
	p.misalignment = 0.3;
	expect_closed_forms(&p, 500000);
}

Test(sim_optics, an_eavesdropper_raises_the_error_rate_as_computed)
{
	static const double fractions[] = {0.1, 0.5, 1};
	struct sim_expectation expected;

	for (size_t i = 0; i < 3; i++) {
		struct sim_optics_parameters p;

		sim_optics_defaults(&p);
		p.dead_gates = 0;
		p.sync_slots = 0;
		p.intercept = fractions[i];
		expect_closed_forms(&p, 10000000);
		sim_optics_expect(&p, 0, &expected);
	}
	cr_expect(expected.error_rate > 0.25 && expected.error_rate < 0.27, "%f",
		  expected.error_rate);
}

/* Which detections the dead time swallows has nothing to do with what they would have been. */
static void expect_shares_and_error_rates(const struct sim_optics_parameters *p,
					  const struct tally *tally)
{
	for (unsigned i = 0; i < p->intensity_count; i++) {
		struct sim_expectation expected;

		sim_optics_expect(p, i, &expected);
		expect_share("share of an intensity", tally->per_intensity[i], tally->events,
			     p->probability[i] * expected.gain / sim_optics_mean_gain(p));
		expect_share("error rate", tally->errors[i], tally->matched[i],
			     expected.error_rate);
	}
}

/* The count of a renewal process with dead time k has variance N Q(1-Q)/(1+kQ)^3 (Cox 1962). */
Test(sim_optics, dead_time_divides_the_gain_by_one_plus_k_times_itself_and_leaves_the_errors)
{
	static const uint32_t dead[] = {1, 10, 100, 10000};
	static const double losses[] = {0, 4, 20};

	for (size_t i = 0; i < 12; i++) {
		struct sim_optics_parameters p;
		uint64_t slots = 20000000;
		struct tally tally;
		double gain, shrink, mean, sigma;

		sim_optics_defaults(&p);
		p.sync_slots = 0;
		p.seed = i;
		p.dead_gates = dead[i % 4];
		p.loss_db = losses[i / 4];
		tally = run(&p, slots);
		gain = sim_optics_mean_gain(&p);
		shrink = 1 + p.dead_gates * gain;
		mean = (double)slots * gain / shrink;
		sigma = sqrt((double)slots * gain * (1 - gain) / (shrink * shrink * shrink)) + 1;
		cr_expect(fabs((double)tally.events - mean) <= 4 * sigma,
			  "dead %u loss %.0f: %lu, expected %.1f +- %.1f", p.dead_gates, p.loss_db,
			  tally.events, mean, sigma);
		expect_shares_and_error_rates(&p, &tally);
	}
}

Test(sim_optics, detections_are_never_closer_than_the_dead_time)
{
	static struct sim_event events[BATCH];
	_cleanup_(sim_optics_freep) struct sim_optics *optics = NULL;
	struct sim_optics_parameters p;
	size_t count;

	sim_optics_defaults(&p);
	p.sync_slots = 50000;
	cr_assert_eq(sim_optics_new(&p, &optics), 0);
	count = sim_optics_draw(optics, UINT64_MAX, events, BATCH);
	cr_assert_eq(count, BATCH);
	for (size_t i = 1; i < count; i++)
		cr_assert(events[i].slot > events[i - 1].slot + p.dead_gates);
}

Test(sim_optics, time_tags_carry_offset_drift_and_jitter)
{
	static struct sim_event events[BATCH];
	_cleanup_(sim_optics_freep) struct sim_optics *optics = NULL;
	struct sim_optics_parameters p;
	double sum = 0, squares = 0;

	sim_optics_defaults(&p);
	p.offset_ps = 1e9;
	p.drift = 1e-5;
	p.jitter_ps = 80;
	cr_assert_eq(sim_optics_new(&p, &optics), 0);
	cr_assert_eq(sim_optics_draw(optics, UINT64_MAX, events, BATCH), BATCH);
	for (size_t i = 0; i < BATCH; i++) {
		double true_ps = ((double)events[i].slot + 0.5) * p.period_ps;
		double residue = (double)events[i].tag_ps - p.offset_ps - 1.00001 * true_ps;

		sum += residue;
		squares += residue * residue;
	}
	cr_expect(fabs(sum / BATCH) < 4 * 80 / sqrt(BATCH) + 1);
	cr_expect(fabs(sqrt(squares / BATCH) - 80) < 5, "%f", sqrt(squares / BATCH));
}

Test(sim_optics, synchronisation_slots_click_where_the_public_pattern_is_on)
{
	static struct sim_event events[BATCH];
	_cleanup_(sim_optics_freep) struct sim_optics *optics = NULL;
	struct sim_optics_parameters p;
	size_t count, on = 0, pattern = 0;

	sim_optics_defaults(&p);
	cr_assert_eq(sim_optics_new(&p, &optics), 0);
	count = sim_optics_draw(optics, p.sync_slots, events, BATCH);
	cr_assert(count > 1000);
	for (size_t i = 0; i < count; i++)
		on += sim_optics_sync_on(p.sync_seed, events[i].slot);
	cr_expect_eq(on, count);
	for (uint64_t slot = 0; slot < 100000; slot++)
		pattern += sim_optics_sync_on(p.sync_seed, slot);
	expect_share("pattern", pattern, 100000, 0.5);
}

Test(sim_optics, the_same_seed_gives_the_same_detections_however_they_are_asked_for)
{
	static struct sim_event all[BATCH], parts[BATCH];
	_cleanup_(sim_optics_freep) struct sim_optics *a = NULL, *b = NULL;
	struct sim_optics_parameters p;
	size_t count = 0;

	sim_optics_defaults(&p);
	cr_assert_eq(sim_optics_new(&p, &a), 0);
	cr_assert_eq(sim_optics_new(&p, &b), 0);
	cr_assert_eq(sim_optics_draw(a, UINT64_MAX, all, BATCH), BATCH);
	while (count < BATCH)
		count += sim_optics_draw(b, UINT64_MAX, parts + count,
					 MIN((size_t)7, BATCH - count));
	for (size_t i = 0; i < BATCH; i++)
		cr_assert(all[i].slot == parts[i].slot && all[i].tag_ps == parts[i].tag_ps &&
			  all[i].receiver_bit == parts[i].receiver_bit);
}

Test(sim_optics, nonsense_parameters_are_refused_with_a_sentence)
{
	static const struct {
		double probability, efficiency, misalignment, intercept, loss;
	} wrong[] = {
		{0.8, 0.2, 0.01, 0, 4},  {0.7, 1.2, 0.01, 0, 4}, {0.7, 0.2, 0.6, 0, 4},
		{0.7, 0.2, 0.01, -1, 4}, {0.7, NAN, 0.01, 0, 4}, {0.7, 0.2, 0.01, 0, -3},
	};

	for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
		struct sim_optics_parameters p;
		const char *what = NULL;

		sim_optics_defaults(&p);
		cr_assert_eq(sim_optics_check(&p, &what), 0);
		p.probability[0] = wrong[i].probability;
		p.efficiency = wrong[i].efficiency;
		p.misalignment = wrong[i].misalignment;
		p.intercept = wrong[i].intercept;
		p.loss_db = wrong[i].loss;
		cr_expect_eq(sim_optics_check(&p, &what), -EINVAL, "row %zu", i);
		cr_expect_not_null(what);
	}
}
