// SPDX-License-Identifier: MIT
/*
 * Asks keyringd for new keys on its own D-Bus socket, so many at a time, at full speed or at a
 * given rate, and tells how many it got in a second and how long each call took; the same with
 * empty calls, which are the floor. Keys are destroyed between rounds, and that is not counted. Run
 * by tests/bench/bench-store.
 */

#include <systemd/sd-bus.h>
#include <time.h>

#include "common/macros.h"

#define SOCKET        "unix:path=/run/qkd/bus"
#define PATH          "/org/qkd/Keyring1"
#define NAME          "org.qkd.Keyring1"
#define MAX_CALLS     65536
#define ROUND_KEYS    3000 /* of the 4096 that one uid may have reserved */
#define MAX_IN_FLIGHT 1024
#define PAUSE_USEC    300000

static sd_bus *bus;
static const char *peer; /* NULL: empty calls */
static unsigned batch, in_flight, most, begun, done, rate;
static double started[MAX_CALLS], took[MAX_CALLS], round_start;
static char ids[ROUND_KEYS + MAX_IN_FLIGHT][40];
static unsigned id_count;

static double now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench-store: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static void keep_ids(sd_bus_message *reply)
{
	const char *id;

	if (sd_bus_message_enter_container(reply, 'a', "s") < 0)
		fail("GetNewKeys", "no array");
	while (id_count < ELEMENTSOF(ids) && sd_bus_message_read(reply, "s", &id) > 0)
		snprintf(ids[id_count++], sizeof(ids[0]), "%s", id);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	unsigned i = (unsigned)(uintptr_t)userdata;
	const sd_bus_error *wrong = sd_bus_message_get_error(reply);

	if (wrong)
		fail("call", wrong->message ? wrong->message : wrong->name);
	took[i] = now_usec() - started[i];
	in_flight--;
	done++;
	if (peer)
		keep_ids(reply);
	return 0;
}

static void call(void)
{
	void *userdata = (void *)(uintptr_t)begun;
	int r;

	started[begun] = now_usec();
	if (peer)
		r = sd_bus_call_method_async(bus, NULL, NAME, PATH, NAME, "GetNewKeys", on_reply,
					     userdata, "suu", peer, 0, batch);
	else
		r = sd_bus_call_method_async(bus, NULL, NAME, PATH, "org.freedesktop.DBus.Peer",
					     "Ping", on_reply, userdata, NULL);
	if (r < 0)
		fail("call", strerror(-r));
	begun++;
	in_flight++;
}

/* When the next call is due; at full speed, now. */
static double due_usec(unsigned of_round)
{
	return rate ? round_start + 1e6 * of_round / rate : 0;
}

static void run_round(unsigned calls)
{
	unsigned first = begun, last = done + calls;

	round_start = now_usec();
	while (done < last) {
		double wait = 1e6;
		int r;

		while (begun - first < calls && in_flight < most &&
		       (wait = due_usec(begun - first) - now_usec()) <= 0)
			call();
		while ((r = sd_bus_process(bus, NULL)) > 0)
			;
		if (r >= 0 && done < last && (begun - first == calls || in_flight == most || rate))
			r = sd_bus_wait(bus, rate && wait > 0 && begun - first < calls
						     ? (uint64_t)wait
						     : 1000000);
		if (r < 0)
			fail("bus", strerror(-r));
	}
}

static void destroy_all(void)
{
	for (unsigned i = 0; i < id_count; i++)
		(void)sd_bus_call_method(bus, NAME, PATH, NAME, "DestroyKey", NULL, NULL, "ss",
					 peer, ids[i]);
	id_count = 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(unsigned calls)
{
	unsigned round = MIN(calls, MAX(ROUND_KEYS / batch, 1u));
	double seconds = 0;

	while (done < calls) {
		run_round(MIN(round, calls - done));
		seconds += (now_usec() - round_start) / 1e6;
		if (!peer)
			continue;
		destroy_all();
		nanosleep(&(struct timespec){0, PAUSE_USEC * 1000}, NULL);
	}
	qsort(took, calls, sizeof(*took), compare);
	printf("%.1f %.1f %.1f\n", calls * batch / seconds, took[calls / 2],
	       took[(calls * 99 + 99) / 100 - 1]);
}

int main(int argc, char **argv)
{
	unsigned calls = argc == 6 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

	if (calls == 0 || calls > MAX_CALLS) {
		fprintf(stderr,
			"Usage: bench-store PEER|- CALLS IN-FLIGHT KEYS-A-CALL RATE|0\n"
			"prints calls or keys a second, median and 99th percentile in us\n");
		return 2;
	}
	peer = str_equal(argv[1], "-") ? NULL : argv[1];
	most = MIN((unsigned)strtoul(argv[3], NULL, 10), (unsigned)MAX_IN_FLIGHT);
	batch = (unsigned)strtoul(argv[4], NULL, 10);
	rate = (unsigned)strtoul(argv[5], NULL, 10);
	if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, SOCKET) < 0 || sd_bus_start(bus) < 0)
		fail("connect", SOCKET);
	run(calls);
	sd_bus_flush_close_unref(bus);
	return EXIT_SUCCESS;
}
