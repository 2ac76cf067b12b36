/* SPDX-License-Identifier: MIT */
#pragma once

/* What distillation tells, block by block, see qkd-statistics(7). */

#include "common/statistics.h"
#include "qkd-linkd/distill/distill.h"

enum distill_statistic {
	DISTILL_STATISTIC_BLOCKS,
	DISTILL_STATISTIC_DROPPED,
	DISTILL_STATISTIC_ANNOUNCED,
	DISTILL_STATISTIC_SIFTED,
	DISTILL_STATISTIC_LEAKED,
	DISTILL_STATISTIC_KEY,
	DISTILL_STATISTIC_QBER,
	DISTILL_STATISTIC_EFFICIENCY,
	DISTILL_STATISTIC_ROUNDS,
	DISTILL_STATISTIC_ALARM,
	DISTILL_STATISTIC_SIFT,
	DISTILL_STATISTIC_RECONCILE,
	DISTILL_STATISTIC_VERIFY,
	DISTILL_STATISTIC_AMPLIFY,
	DISTILL_STATISTIC_AUTHENTICATE,
	DISTILL_STATISTIC_COUNT_,
};

extern const struct statistics_definition distill_statistics[DISTILL_STATISTIC_COUNT_];

void distill_statistics_count(struct statistic values[static DISTILL_STATISTIC_COUNT_],
			      const struct distill_report *report);
