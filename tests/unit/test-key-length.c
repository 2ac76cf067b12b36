/* SPDX-License-Identifier: MIT */
/* Key lengths: the published vector to its printed digits, and every argument pulls the way it
 * ought to. */

#include <criterion/criterion.h>
#include <math.h>

#include "qkd-linkd/distill/key-length.h"

#define EPS_SEC KEY_LENGTH_EPS_SEC
#define EPS_COR KEY_LENGTH_EPS_COR

static const struct key_length_source two_decoys = {3, {0.5, 0.1, 0}, {0.70, 0.15, 0.15}};
static const struct key_length_source one_decoy = {2, {0.5, 0.15}, {0.75, 0.25}};

struct channel {
	double pulses, key_basis, km, dark_count, misalignment;
};
static const struct channel lim_channel = {1e9, 0.5, 50, 1e-7, 0.015};

/* The model of Lim 2014's evaluation: Q = Y0 + 1 - e^(-eta mu), E Q = Y0/2 + e_d (1 - e^(-eta mu)).
 */
static struct key_length_counts expected_counts(const struct key_length_source *source,
						const struct channel *c)
{
	struct key_length_counts counts = {};
	double eta = 0.2 * pow(10, -0.2 * c->km / 10), test = 1 - c->key_basis;

	for (unsigned k = 0; k < source->intensity_count; k++) {
		double light = 1 - exp(-eta * source->mean_photons[k]);
		double sent = c->pulses * source->probability[k];

		counts.n_x[k] = sent * c->key_basis * c->key_basis * (c->dark_count + light);
		counts.n_z[k] = sent * test * test * (c->dark_count + light);
		counts.m_x[k] = sent * c->key_basis * c->key_basis *
				(c->dark_count / 2 + c->misalignment * light);
		counts.m_z[k] = sent * test * test * (c->dark_count / 2 + c->misalignment * light);
	}
	return counts;
}

static double total(const double values[3])
{
	return values[0] + values[1] + values[2];
}

static double leak(const struct key_length_counts *counts)
{
	double n = total(counts->n_x);

	return n * 1.16 * key_length_entropy(total(counts->m_x) / n);
}

static void expect_digits(const char *what, double value, double printed, double unit)
{
	cr_expect(fabs(value - printed) <= unit / 2 * 1.001, "%s: %.10g, printed %.10g", what,
		  value, printed);
}

/* Computed independently for the facts page of this project from Lim 2014, eqs. (1) to (5). */
Test(key_length, lim_2014_at_50_km_gives_the_printed_digits)
{
	struct key_length_counts counts = expected_counts(&two_decoys, &lim_channel);
	struct key_length_bounds b;

	key_length_lim(&two_decoys, &counts, leak(&counts), EPS_SEC, EPS_COR, &b);
	expect_digits("tau0", key_length_tau(&two_decoys, 0), 0.7102970745, 1e-10);
	expect_digits("tau1", key_length_tau(&two_decoys, 1), 0.2258582922, 1e-10);
	expect_digits("nX", total(counts.n_x), 1.81622914e6, 1e-2);
	expect_digits("mX", total(counts.m_x), 2.72555622e4, 1e-4);
	expect_digits("sX1", b.s_x1, 9.01281837e5, 1e-3);
	expect_digits("vZ1", b.v_z1, 2.86522239e4, 1e-4);
	expect_digits("phi", b.phi, 3.42515394e-2, 1e-10);
	expect_digits("leak", leak(&counts), 2.36809351e5, 1e-3);
	expect_digits("length", b.length, 4.70164231e5, 2);
}

static double length_of(const struct key_length_source *source, struct channel c, double more_leak,
			double eps_sec, double eps_cor)
{
	struct key_length_counts counts = expected_counts(source, &c);
	struct key_length_bounds b;

	if (source->intensity_count == 3)
		key_length_lim(source, &counts, leak(&counts) + more_leak, eps_sec, eps_cor, &b);
	else
		key_length_wiesemann(source, &counts, leak(&counts) + more_leak, eps_sec, eps_cor,
				     &b);
	return b.length;
}

static void expect_monotonic(const struct key_length_source *source)
{
	double base = length_of(source, lim_channel, 0, EPS_SEC, EPS_COR), last;
	struct channel c;

	cr_assert_gt(base, 1e5);
	cr_expect_eq(length_of(source, lim_channel, 1000, EPS_SEC, EPS_COR), base - 1000);
	last = INFINITY;
	for (double eps = 1e-4; eps > 1e-15; eps /= 10) {
		double length = length_of(source, lim_channel, 0, eps, EPS_COR);

		cr_expect_lt(length, last, "eps_sec %g", eps);
		last = length;
	}
	cr_expect_lt(length_of(source, lim_channel, 0, EPS_SEC, 1e-20), base);
	last = INFINITY;
	for (c = lim_channel; c.misalignment < 0.12; c.misalignment += 0.005) {
		double length = length_of(source, c, 0, EPS_SEC, EPS_COR);

		cr_expect(length < last || length == 0, "misalignment %g", c.misalignment);
		last = length;
	}
	last = INFINITY;
	for (c = lim_channel; c.km < 200; c.km += 5) {
		double length = length_of(source, c, 0, EPS_SEC, EPS_COR);

		cr_expect(length < last || length == 0, "%g km", c.km);
		last = length;
	}
	last = INFINITY;
	for (c = lim_channel; c.dark_count < 1e-4; c.dark_count *= 2) {
		double length = length_of(source, c, 0, EPS_SEC, EPS_COR);

		cr_expect(length < last || length == 0, "dark counts %g", c.dark_count);
		last = length;
	}
	/* More pulses: more key, and more a pulse. */
	last = 0;
	for (c = lim_channel; c.pulses < 1e13; c.pulses *= 4) {
		double rate = length_of(source, c, 0, EPS_SEC, EPS_COR) / c.pulses;

		cr_expect_gt(rate, last, "%g pulses", c.pulses);
		last = rate;
	}
}

Test(key_length, lim_2014_is_monotonic_in_what_it_depends_on)
{
	expect_monotonic(&two_decoys);
}

Test(key_length, wiesemann_2024_is_monotonic_in_what_it_depends_on)
{
	expect_monotonic(&one_decoy);
}

static void expect_errors_cost(const struct key_length_source *source)
{
	struct key_length_counts counts = expected_counts(source, &lim_channel);
	double last = INFINITY;

	for (int i = 0; i < 20; i++) {
		struct key_length_bounds b;

		if (source->intensity_count == 3)
			key_length_lim(source, &counts, 0, EPS_SEC, EPS_COR, &b);
		else
			key_length_wiesemann(source, &counts, 0, EPS_SEC, EPS_COR, &b);
		cr_expect(b.length <= last);
		cr_expect(b.phi <= 0.5 && b.phi >= 0);
		cr_expect(b.s_x1 + b.s_x0 <= total(counts.n_x));
		last = b.length;
		counts.m_z[source->intensity_count == 3 ? 1 : 0] += 300;
	}
}

Test(key_length, more_errors_in_the_test_basis_never_give_more_key)
{
	expect_errors_cost(&two_decoys);
	expect_errors_cost(&one_decoy);
}

static double length_of_counts(const struct key_length_source *source,
			       const struct key_length_counts *counts)
{
	struct key_length_bounds b;

	if (source->intensity_count == 3)
		key_length_lim(source, counts, leak(counts), EPS_SEC, EPS_COR, &b);
	else
		key_length_wiesemann(source, counts, leak(counts), EPS_SEC, EPS_COR, &b);
	return b.length;
}

/* As many more of each intensity, with the same error rates. */
static void expect_detections_pay(const struct key_length_source *source)
{
	double last_tests = 0, last_key = 0;

	for (double more = 1; more < 1000; more *= 1.5) {
		struct key_length_counts tests = expected_counts(source, &lim_channel), key = tests;
		double length;

		for (unsigned i = 0; i < 3; i++) {
			tests.n_z[i] *= more;
			tests.m_z[i] *= more;
			key.n_x[i] *= more;
			key.m_x[i] *= more;
		}
		length = length_of_counts(source, &tests);
		cr_expect_geq(length, last_tests, "%g times the tests", more);
		last_tests = length;
		length = length_of_counts(source, &key);
		cr_expect_gt(length, last_key, "%g times the key", more);
		last_key = length;
	}
}

Test(key_length, more_detections_in_either_basis_never_give_less_key)
{
	expect_detections_pay(&two_decoys);
	expect_detections_pay(&one_decoy);
}

/* The bound must stay below what is true: the model's own single photons and their errors. */
Test(key_length, bounds_of_wiesemann_2024_lie_below_the_models_single_photons_and_approach_them)
{
	struct channel c = lim_channel;
	double ratio = 0;

	for (c.pulses = 1e9; c.pulses < 1e14; c.pulses *= 10) {
		struct key_length_counts counts = expected_counts(&one_decoy, &c);
		struct key_length_bounds b;
		double eta = 0.2 * 0.1;
		double single =
			c.pulses * 0.25 * key_length_tau(&one_decoy, 1) * (c.dark_count + eta);

		key_length_wiesemann(&one_decoy, &counts, leak(&counts), EPS_SEC, EPS_COR, &b);
		cr_expect_lt(b.s_x1, single);
		cr_expect_gt(b.s_x1 / single, ratio);
		cr_expect_gt(b.phi, c.misalignment);
		ratio = b.s_x1 / single;
	}
	cr_expect_gt(ratio, 0.85, "%f", ratio);
}

Test(key_length, tomamichel_2012_follows_its_equation_and_is_monotonic)
{
	double mu = sqrt((1e6 + 1e5) / (1e6 * 1e5) * (1e5 + 1) / 1e5 * log(4 / EPS_SEC));
	double expected = floor(1e6 * (1 - key_length_entropy(0.02 + mu)) - 1.6e5 -
				log2(2 / (EPS_SEC * EPS_COR)));
	double last = 0;

	cr_expect_eq(key_length_tomamichel(1e6, 1e5, 0.02, 1.6e5, EPS_SEC, EPS_COR), expected);
	for (double k = 1000; k < 1e6; k *= 2) {
		double length = key_length_tomamichel(1e6, k, 0.02, 1.6e5, EPS_SEC, EPS_COR);

		cr_expect_gt(length, last);
		last = length;
	}
	last = 0;
	for (double n = 1e5; n < 1e8; n *= 2) {
		double length = key_length_tomamichel(n, 1e5, 0.02, 0.16 * n, EPS_SEC, EPS_COR);

		cr_expect_gt(length, last);
		last = length;
	}
	for (double q = 0.001; q < 0.12; q += 0.005) {
		double length = key_length_tomamichel(1e6, 1e5, q, 0, EPS_SEC, EPS_COR);

		cr_expect_lt(length, q == 0.001 ? INFINITY : last);
		last = length;
	}
	cr_expect_lt(key_length_tomamichel(1e6, 1e5, 0.02, 0, 1e-12, EPS_COR),
		     key_length_tomamichel(1e6, 1e5, 0.02, 0, 1e-10, EPS_COR));
	cr_expect_lt(key_length_tomamichel(1e6, 1e5, 0.02, 0, EPS_SEC, 1e-18),
		     key_length_tomamichel(1e6, 1e5, 0.02, 0, EPS_SEC, 1e-15));
}

Test(key_length, void_bounds_give_no_key_instead_of_an_error)
{
	struct key_length_counts none = {}, random = {.n_x = {1e6, 1e5, 10},
						      .n_z = {1e6, 1e5, 10},
						      .m_x = {5e5, 5e4, 5},
						      .m_z = {5e5, 5e4, 5}};
	struct key_length_bounds b;

	key_length_lim(&two_decoys, &none, 0, EPS_SEC, EPS_COR, &b);
	cr_expect_eq(b.length, 0);
	key_length_lim(&two_decoys, &random, 0, EPS_SEC, EPS_COR, &b);
	cr_expect_eq(b.length, 0);
	cr_expect_eq(b.phi, 0.5);
	key_length_wiesemann(&one_decoy, &none, 0, EPS_SEC, EPS_COR, &b);
	cr_expect_eq(b.length, 0);
	key_length_wiesemann(&one_decoy, &random, 0, EPS_SEC, EPS_COR, &b);
	cr_expect_eq(b.length, 0);
	cr_expect_eq(key_length_tomamichel(0, 0, 0, 0, EPS_SEC, EPS_COR), 0);
	cr_expect_eq(key_length_tomamichel(1e6, 1e5, 0.5, 0, EPS_SEC, EPS_COR), 0);
}

Test(key_length, sources_that_the_proofs_do_not_cover_are_named)
{
	static const struct key_length_source wrong[] = {
		{1, {0.5}, {1}},
		{2, {0.5, 0}, {0.7, 0.3}},
		{2, {0.1, 0.5}, {0.7, 0.3}},
		{3, {0.5, 0.4, 0.2}, {0.7, 0.2, 0.1}},
		{3, {0.5, 0.1, 0}, {0.7, 0.3, 0}},
	};

	cr_expect_null(key_length_source_fault(&two_decoys));
	cr_expect_null(key_length_source_fault(&one_decoy));
	for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
		cr_expect_not_null(key_length_source_fault(&wrong[i]), "row %zu", i);
}
