/* SPDX-License-Identifier: MIT */

/*
 * What one update of a statistic costs, since they stand on the hottest paths: 10^7 updates of one,
 * and of 64 in turn. Floor: adding the same numbers to one counter in memory, which nothing that
 * remembers them could go without. The requirement is 25 ns.
 */

#include <time.h>

#include "common/statistics.h"

#define UPDATES     10000000
#define REPETITIONS 5
#define SPREAD      64 /* a power of two */
#define LIMIT_NSEC  25.0

static struct statistic statistics[SPREAD];
static uint64_t counters[SPREAD];

static double now_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* What has been written is in memory before the next: as it would be between two events. */
#define SETTLE() __asm__ volatile("" ::: "memory")

static double time_updates(uint64_t spread)
{
	double start = now_nsec();

	for (uint64_t i = 0; i < UPDATES; i++) {
		statistics_update(&statistics[i & (spread - 1)], i & 1023);
		SETTLE();
	}
	return (now_nsec() - start) / UPDATES;
}

static double time_reals(uint64_t spread)
{
	double start = now_nsec();

	for (uint64_t i = 0; i < UPDATES; i++) {
		statistics_update_real(&statistics[i & (spread - 1)], (double)(i & 1023));
		SETTLE();
	}
	return (now_nsec() - start) / UPDATES;
}

static double time_counters(uint64_t spread)
{
	double start = now_nsec();

	for (uint64_t i = 0; i < UPDATES; i++) {
		counters[i & (spread - 1)] += i & 1023;
		SETTLE();
	}
	return (now_nsec() - start) / UPDATES;
}

static int report(const char *name, double (*measure)(uint64_t), uint64_t spread, const char *note)
{
	double value = 1e9, floor = 1e9;

	for (unsigned i = 0; i < REPETITIONS; i++) {
		memset(statistics, 0, sizeof(statistics));
		floor = MIN(floor, time_counters(spread));
		value = MIN(value, measure(spread));
	}
	printf("{\"bench\":\"%s\",\"value\":%.2f,\"unit\":\"ns\",\"floor\":%.2f,\"ratio\":%.2f,"
	       "\"note\":\"%s, best of 5; five figures; floor: one counter in memory; limit: 25 ns\"}\n",
	       name, value, floor, value / floor, note);
	return value <= LIMIT_NSEC ? 0 : -1;
}

int main(void)
{
	int r = 0;

	r |= report("statistics", time_updates, 1, "10^7 updates of one statistic");
	r |= report("statistics-spread", time_updates, SPREAD, "10^7 updates of 64 in turn");
	r |= report("statistics-real", time_reals, 1, "10^7 updates of one statistic of reals");
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
