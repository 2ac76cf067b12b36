/* SPDX-License-Identifier: MIT */
/* The error rate to expect of the next block. */

#include <math.h>

#include "qkd-linkd/distill/error-estimate.h"

#define SURPRISE_SIGMAS 5.0
#define BISECTION_STEPS 60
#define UNKNOWN_RATE    0.05 /* without any observation: sizes that suit 3 to 6 % */

void error_estimate_add(struct error_estimate *estimate, uint64_t errors, uint64_t bits)
{
	double rate;

	if (bits == 0)
		return;
	rate = (double)errors / (double)bits;
	if (estimate->is_known)
		rate = ERROR_ESTIMATE_WEIGHT * rate + (1 - ERROR_ESTIMATE_WEIGHT) * estimate->rate;
	estimate->rate = rate;
	estimate->is_known = true;
}

double error_estimate_expect(const struct error_estimate *estimate, uint64_t test_errors,
			     uint64_t test_bits)
{
	double rate, sigma;

	if (test_bits == 0)
		return estimate->is_known ? estimate->rate : UNKNOWN_RATE;
	rate = (double)test_errors / (double)test_bits;
	if (!estimate->is_known)
		return rate;
	sigma = sqrt(fmax(estimate->rate * (1 - estimate->rate), 1e-6) / (double)test_bits);
	return fabs(rate - estimate->rate) > SURPRISE_SIGMAS * sigma ? rate : estimate->rate;
}

/* Relative entropy of two biased coins, in nats. */
static double divergence(double q, double p)
{
	double d = 0;

	if (q > 0)
		d += q * log(q / p);
	if (q < 1)
		d += (1 - q) * log((1 - q) / (1 - p));
	return d;
}

double error_estimate_upper(uint64_t errors, uint64_t bits, double eps)
{
	double q, low, high = 0.5;

	if (bits == 0 || 2 * errors >= bits)
		return 0.5;
	q = low = (double)errors / (double)bits;
	for (int i = 0; i < BISECTION_STEPS; i++) {
		double middle = (low + high) / 2;

		if (middle > 0 && exp(-(double)bits * divergence(q, middle)) <= eps)
			high = middle;
		else
			low = middle;
	}
	return high;
}
