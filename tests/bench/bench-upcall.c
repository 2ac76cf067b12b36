// SPDX-License-Identifier: MIT
/*
 * Measures request_key(2) to key in hand: COUNT labels of ours and as many keys of the floor's
 * helper, in turn, so that whatever else the machine does meets both alike. Prints the medians and
 * 99th percentiles as JSON lines. Run as the site sees the world, as root, by scripts/bench.
 */

#include <keyutils.h>
#include <time.h>

#include "common/macros.h"

#define BENCH_MAX_COUNT 10000
#define BENCH_WARM_UP   5

static double now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Request, then read: the key is in hand when its bytes are. Negative on failure. */
static double request_once(const char *prefix, const char *run, unsigned i)
{
	char description[200], payload[512];
	double start, end;
	key_serial_t key;

	snprintf(description, sizeof(description), "%s%s-%u", prefix, run, i);
	start = now_usec();
	key = request_key("user", description, "", KEY_SPEC_SESSION_KEYRING);
	if (key < 0 || keyctl_read(key, payload, sizeof(payload)) <= 0) {
		fprintf(stderr, "bench-upcall: %s: %s\n", description, strerror(errno));
		return -1;
	}
	end = now_usec();
	explicit_bzero(payload, sizeof(payload));
	return end - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_line(const char *name, double value, double floor, const char *note)
{
	printf("{\"bench\":\"%s\",\"value\":%.1f,\"unit\":\"us\",\"floor\":%.1f,\"ratio\":%.2f,"
	       "\"note\":\"%s\"}\n",
	       name, value, floor, value / floor, note);
}

static void report(double *ours, double *floor, unsigned count)
{
	unsigned p99 = (count * 99 + 99) / 100 - 1;

	qsort(ours, count, sizeof(*ours), compare);
	qsort(floor, count, sizeof(*floor), compare);
	print_line("upcall", ours[count / 2], floor[count / 2],
		   "request_key to key in hand, median; floor: a freestanding helper that "
		   "instantiates a constant");
	print_line("upcall-p99", ours[p99], floor[p99], "the same, 99th percentile");
}

int main(int argc, char **argv)
{
	static double ours[BENCH_MAX_COUNT], floor[BENCH_MAX_COUNT];
	unsigned count = argc == 4 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	char run[32];

	if (count == 0 || count > BENCH_MAX_COUNT) {
		fprintf(stderr, "Usage: bench-upcall COUNT OUR-PREFIX FLOOR-PREFIX\n");
		return 2;
	}
	/* Labels are spent: every run has its own. */
	snprintf(run, sizeof(run), "bench%lx", (long)(now_usec() / 1000));
	if (keyctl_join_session_keyring(NULL) < 0)
		return 1;
	for (unsigned i = 0; i < BENCH_WARM_UP + count; i++) {
		unsigned at = i < BENCH_WARM_UP ? 0 : i - BENCH_WARM_UP;

		ours[at] = request_once(argv[2], run, i);
		floor[at] = request_once(argv[3], run, i);
		if (ours[at] < 0 || floor[at] < 0)
			return 1;
	}
	keyctl_clear(KEY_SPEC_SESSION_KEYRING);
	report(ours, floor, count);
	return 0;
}
