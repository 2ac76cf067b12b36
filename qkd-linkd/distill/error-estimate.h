/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The error rate to expect of the next block: from the errors that reconciliation found in the last
 * ones, and before there are any from the test basis of this one. It chooses block sizes and is
 * published; no secrecy rests on it, for the key length counts errors itself.
 */

#include "common/macros.h"

/* Of the newest block, against all before it together. */
#define ERROR_ESTIMATE_WEIGHT 0.5

struct error_estimate {
	double rate;
	bool is_known;
};

/* errors of bits were wrong; nothing happens when bits is 0. */
void error_estimate_add(struct error_estimate *estimate, uint64_t errors, uint64_t bits);

/* What to expect, given the test basis of the block at hand: a rate that contradicts the past by
 * more than 5 sigma is believed over it. */
double error_estimate_expect(const struct error_estimate *estimate, uint64_t test_errors,
			     uint64_t test_bits);

/*
 * Whether the true rate is above limit, but for probability eps: a rate of at most limit would give
 * so many errors more rarely than that (Chernoff's bound with relative entropy).
 */
bool error_estimate_exceeds(uint64_t errors, uint64_t bits, double limit, double eps);
