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
 * The least rate above the observed one that would give so few errors with probability at most eps
 * (Chernoff's bound with relative entropy); 0.5 at most.
 */
double error_estimate_upper(uint64_t errors, uint64_t bits, double eps);
