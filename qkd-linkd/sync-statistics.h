/* SPDX-License-Identifier: MIT */
#pragma once

/* What the sync machine counts, see qkd-statistics(7). */

#include "common/statistics.h"

enum sync_statistic {
	SYNC_STATISTIC_KEYS,
	SYNC_STATISTIC_TRANSACTIONS,
	SYNC_STATISTIC_ABORTED,
	SYNC_STATISTIC_NAKS,
	SYNC_STATISTIC_UNEQUAL,
	SYNC_STATISTIC_DISTRUSTED,
	SYNC_STATISTIC_GENERATIONS,
	SYNC_STATISTIC_REPEATED,
	SYNC_STATISTIC_LATENCY,
	SYNC_STATISTIC_GROUP,
	SYNC_STATISTIC_APPEND,
	SYNC_STATISTIC_COUNT_,
};

extern const struct statistics_definition sync_statistics[SYNC_STATISTIC_COUNT_];
