// SPDX-License-Identifier: MIT
/*
 * Measures request_key(2) to key in hand: COUNT labels of ours and as many keys of the floor's
 * helper, in turn, so that whatever else the machine does meets both alike. Prints the medians and
 * 99th percentiles as JSON lines. Run as the site sees the world, as root, by scripts/bench.
 */

#include <fcntl.h>
#include <keyutils.h>
#include <time.h>

#include "common/macros.h"

#define BENCH_MAX_COUNT 10000
#define BENCH_WARM_UP   5
#define BENCH_HOME      "/var/lib/qkd" /* the site's, where its record lies */
#define BENCH_RECORD    208            /* bytes that a label's record has */

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

/* A file as the issue record is: there already, so that only data has to reach the disk. */
static int open_record(void)
{
	static const char zeros[BENCH_RECORD * (BENCH_WARM_UP + BENCH_MAX_COUNT)];
	int fd = open(BENCH_HOME, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, zeros, sizeof(zeros)) != sizeof(zeros) || fsync(fd) < 0)
		return -1;
	return fd;
}

/* What one record costs that has to be on disk, with nothing else around it. */
static double sync_once(int fd, unsigned i)
{
	char record[BENCH_RECORD] = {1};
	double start = now_usec();

	if (pwrite(fd, record, sizeof(record), (off_t)i * BENCH_RECORD) != sizeof(record) ||
	    fdatasync(fd) < 0)
		return -1;
	return now_usec() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_line(const char *name, double value, double floor, double sync, const char *what)
{
	printf("{\"bench\":\"%s\",\"value\":%.1f,\"unit\":\"us\",\"floor\":%.1f,\"ratio\":%.2f,"
	       "\"note\":\"request_key to key in hand, %s; floor: a freestanding helper that "
	       "instantiates a constant; one record to disk takes %.1f us here\"}\n",
	       name, value, floor, value / floor, what, sync);
}

struct times {
	double ours[BENCH_MAX_COUNT], floor[BENCH_MAX_COUNT], sync[BENCH_MAX_COUNT];
};

static void report(struct times *times, unsigned count)
{
	unsigned median = count / 2, p99 = (count * 99 + 99) / 100 - 1;

	qsort(times->ours, count, sizeof(double), compare);
	qsort(times->floor, count, sizeof(double), compare);
	qsort(times->sync, count, sizeof(double), compare);
	print_line("upcall", times->ours[median], times->floor[median], times->sync[median],
		   "median");
	print_line("upcall-p99", times->ours[p99], times->floor[p99], times->sync[p99],
		   "99th percentile");
}

int main(int argc, char **argv)
{
	static struct times times;
	unsigned count = argc == 4 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	_cleanup_(closep) int record = -1;
	char run[32];

	if (count == 0 || count > BENCH_MAX_COUNT) {
		fprintf(stderr, "Usage: bench-upcall COUNT OUR-PREFIX FLOOR-PREFIX\n");
		return 2;
	}
	/* Labels are spent: every run has its own. */
	snprintf(run, sizeof(run), "bench%lx", (long)(now_usec() / 1000));
	record = open_record();
	if (record < 0 || keyctl_join_session_keyring(NULL) < 0) {
		perror("bench-upcall: " BENCH_HOME);
		return 1;
	}
	for (unsigned i = 0; i < BENCH_WARM_UP + count; i++) {
		unsigned at = i < BENCH_WARM_UP ? 0 : i - BENCH_WARM_UP;

		times.ours[at] = request_once(argv[2], run, i);
		times.floor[at] = request_once(argv[3], run, i);
		times.sync[at] = sync_once(record, i);
		if (times.ours[at] < 0 || times.floor[at] < 0 || times.sync[at] < 0)
			return 1;
	}
	keyctl_clear(KEY_SPEC_SESSION_KEYRING);
	report(&times, count);
	return 0;
}
