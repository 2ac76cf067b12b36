/* SPDX-License-Identifier: MIT */
/* The error rate to expect of the next block. */

#include <math.h>

#include "qkd-linkd/distill/error-estimate.h"

#define SURPRISE_SIGMAS 5.0
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

bool error_estimate_exceeds(uint64_t errors, uint64_t bits, double limit, double eps)
{
	double q = bits > 0 ? (double)errors / (double)bits : 0;

	return q > limit && exp(-(double)bits * divergence(q, limit)) <= eps;
}
