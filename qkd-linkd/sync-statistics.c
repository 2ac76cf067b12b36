/* SPDX-License-Identifier: MIT */
/* The names of what sync counts; qkd-statistics(7) describes each, and a test compares. */

#include "qkd-linkd/sync-statistics.h"

#define COUNTER(n, u, h)                                                \
	{                                                               \
		"sync." n, STATISTICS_COUNTER, STATISTICS_INTEGER, u, h \
	}
#define SUMMARY(n, t, u, h)                            \
	{                                              \
		"sync." n, STATISTICS_SUMMARY, t, u, h \
	}

const struct statistics_definition sync_statistics[SYNC_STATISTIC_COUNT_] = {
	[SYNC_STATISTIC_KEYS] = COUNTER("keys", "keys", "keys agreed, durable at this site"),
	[SYNC_STATISTIC_TRANSACTIONS] =
		COUNTER("transactions", "transactions", "transactions that agreed keys"),
	[SYNC_STATISTIC_ABORTED] =
		COUNTER("aborted", "transactions", "transactions that agreed nothing"),
	[SYNC_STATISTIC_NAKS] =
		COUNTER("naks", "transactions", "transactions that the peer refused"),
	[SYNC_STATISTIC_UNEQUAL] =
		COUNTER("unequal", "transactions", "transactions whose keys differed at the sites"),
	[SYNC_STATISTIC_DISTRUSTED] =
		COUNTER("distrusted", "messages", "messages that cannot be, and changed nothing"),
	[SYNC_STATISTIC_GENERATIONS] =
		COUNTER("generations", "generations", "generations of the store that began"),
	[SYNC_STATISTIC_REPEATED] =
		COUNTER("repeated", "messages", "messages sent again for want of an answer"),
	[SYNC_STATISTIC_LATENCY] = SUMMARY("latency", STATISTICS_TIME, "seconds",
					   "from the device's keys to agreed keys"),
	[SYNC_STATISTIC_GROUP] = SUMMARY("group", STATISTICS_INTEGER, "transactions",
					 "transactions whose records shared a sync of the journal"),
	[SYNC_STATISTIC_APPEND] = SUMMARY("append", STATISTICS_INTEGER, "keys",
					  "keys that shared a sync of the key files"),
};
