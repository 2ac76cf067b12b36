/* SPDX-License-Identifier: MIT */
/* A block's report, spread over the statistics. Once a block: seconds lie between two. */

#include "qkd-linkd/distill-statistics.h"

#define COUNTER(n, u, h)                                                   \
	{                                                                  \
		"distill." n, STATISTICS_COUNTER, STATISTICS_INTEGER, u, h \
	}
#define GAUGE(n, t, h)                                   \
	{                                                \
		"distill." n, STATISTICS_GAUGE, t, "", h \
	}
#define STAGE(n, h)                                                                 \
	{                                                                           \
		"distill.cpu." n, STATISTICS_COUNTER, STATISTICS_TIME, "seconds", h \
	}

#define NSEC_PER_USEC 1000

const struct statistics_definition distill_statistics[DISTILL_STATISTIC_COUNT_] = {
	[DISTILL_STATISTIC_BLOCKS] = COUNTER("blocks", "blocks", "blocks that gave key"),
	[DISTILL_STATISTIC_DROPPED] = COUNTER("dropped", "blocks", "blocks that gave none"),
	[DISTILL_STATISTIC_ANNOUNCED] =
		COUNTER("announced", "detections", "detections that were announced"),
	[DISTILL_STATISTIC_SIFTED] =
		COUNTER("sifted", "bits", "bits in the key basis at both ends"),
	[DISTILL_STATISTIC_LEAKED] =
		COUNTER("leaked", "bits", "bits told in public by reconciliation"),
	[DISTILL_STATISTIC_KEY] = COUNTER("key", "bits", "bits of secret key"),
	[DISTILL_STATISTIC_QBER] =
		GAUGE("qber", STATISTICS_REAL, "error rate of the sifted bits of a block"),
	[DISTILL_STATISTIC_EFFICIENCY] = GAUGE("efficiency", STATISTICS_REAL,
					       "leaked bits over what the error rate makes need"),
	[DISTILL_STATISTIC_ROUNDS] = {"distill.rounds", STATISTICS_SUMMARY, STATISTICS_INTEGER,
				      "rounds", "rounds of reconciliation a block"},
	[DISTILL_STATISTIC_ALARM] =
		GAUGE("alarm", STATISTICS_INTEGER, "1 while blocks in a row give no key"),
	[DISTILL_STATISTIC_SIFT] = STAGE("sift", "processor time of sifting"),
	[DISTILL_STATISTIC_RECONCILE] = STAGE("reconcile", "processor time of reconciliation"),
	[DISTILL_STATISTIC_VERIFY] = STAGE("verify", "processor time of verification"),
	[DISTILL_STATISTIC_AMPLIFY] = STAGE("amplify", "processor time of privacy amplification"),
	[DISTILL_STATISTIC_AUTHENTICATE] =
		STAGE("authenticate", "processor time of authentication"),
};

static void count_times(struct statistic *values, const struct distill_times *times)
{
	statistics_update(&values[DISTILL_STATISTIC_SIFT], times->sift / NSEC_PER_USEC);
	statistics_update(&values[DISTILL_STATISTIC_RECONCILE], times->reconcile / NSEC_PER_USEC);
	statistics_update(&values[DISTILL_STATISTIC_VERIFY], times->verify / NSEC_PER_USEC);
	statistics_update(&values[DISTILL_STATISTIC_AMPLIFY], times->amplify / NSEC_PER_USEC);
	statistics_update(&values[DISTILL_STATISTIC_AUTHENTICATE],
			  times->authenticate / NSEC_PER_USEC);
}

void distill_statistics_count(struct statistic values[static DISTILL_STATISTIC_COUNT_],
			      const struct distill_report *report)
{
	bool gave_key = report->drop == BLOCK_DROP_NONE;

	statistics_update(&values[gave_key ? DISTILL_STATISTIC_BLOCKS : DISTILL_STATISTIC_DROPPED],
			  1);
	statistics_update(&values[DISTILL_STATISTIC_ANNOUNCED], report->announced);
	statistics_update(&values[DISTILL_STATISTIC_SIFTED], report->sifted_bits);
	statistics_update(&values[DISTILL_STATISTIC_LEAKED], report->leak_bits);
	statistics_update(&values[DISTILL_STATISTIC_KEY], gave_key ? report->key_bits : 0);
	statistics_update_real(&values[DISTILL_STATISTIC_QBER], report->error_rate);
	statistics_update(&values[DISTILL_STATISTIC_ROUNDS], report->rounds);
	if (gave_key) /* else it may have ended before that was known */
		statistics_update_real(&values[DISTILL_STATISTIC_EFFICIENCY], report->efficiency);
	count_times(values, &report->times);
}
