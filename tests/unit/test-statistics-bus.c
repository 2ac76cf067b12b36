/* SPDX-License-Identifier: MIT */
/*
 * org.qkd.Statistics1 on a connection of its own and on a bus: readers get what they asked for, as
 * often as they asked for it, until they are gone; and silence costs nothing.
 */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/statistics-bus.h"
#include "common/statistics-filter.h"
#include "common/statistics-message.h"
#include "tests/unit/support/test-directory.h"

enum { KEYS, STOCK, LATENCY, COUNT };

static const struct statistics_definition definitions[COUNT] = {
	[KEYS] = {"link.keys", STATISTICS_COUNTER, STATISTICS_INTEGER, "keys", "agreed"},
	[STOCK] = {"link.stock", STATISTICS_GAUGE, STATISTICS_INTEGER, "keys", "there"},
	[LATENCY] = {"sync.latency", STATISTICS_SUMMARY, STATISTICS_TIME, "seconds", "latency"},
};

static sd_event *event;
static struct statistics set;
static struct statistic values[COUNT];
static struct statistics_group group = {
	.definitions = definitions,
	.values = values,
	.count = COUNT,
	.labels = {{"site", "alice"}, {"link", "alice-bob"}},
	.label_count = 2,
};
static struct statistics_bus *statistics;
static sd_bus *server, *client;
static const char *service; /* of the server on a bus */
static unsigned told;       /* signals that came */
static struct statistics_list last;
static uint32_t last_subscription;

static int on_statistics(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	told++;
	statistics_list_done(&last);
	cr_assert_gt(sd_bus_message_read(message, "u", &last_subscription), 0);
	cr_assert_eq(statistics_message_read(message, &last), 0);
	return 0;
}

static void watch(void)
{
	cr_assert_geq(sd_bus_match_signal(client, NULL, NULL, STATISTICS_BUS_PATH,
					  STATISTICS_BUS_INTERFACE, "Statistics", on_statistics,
					  NULL),
		      0);
}

static void set_up_loop(void)
{
	cr_assert_geq(sd_event_new(&event), 0);
	statistics_init(&set, 0);
	statistics_add_group(&set, &group);
	cr_assert_eq(statistics_bus_new(event, &set, &statistics), 0);
}

static void set_up(void)
{
	sd_id128_t id;
	int fds[2];

	set_up_loop();
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	sd_id128_randomize(&id);
	sd_bus_new(&server);
	sd_bus_set_fd(server, fds[0], fds[0]);
	sd_bus_set_server(server, true, id);
	cr_assert_geq(statistics_bus_attach(statistics, server), 0);
	cr_assert_geq(sd_bus_start(server), 0);
	sd_bus_attach_event(server, event, 0);
	sd_bus_new(&client);
	sd_bus_set_fd(client, fds[1], fds[1]);
	cr_assert_geq(sd_bus_start(client), 0);
	sd_bus_attach_event(client, event, 0);
	watch();
}

static void tear_down(void)
{
	statistics_list_done(&last);
	statistics_bus_free(statistics);
	sd_bus_close_unref(client);
	sd_bus_close_unref(server);
	sd_event_unref(event);
}

TestSuite(statistics_bus, .init = set_up, .fini = tear_down, .timeout = 20);

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	*(sd_bus_message **)userdata = sd_bus_message_ref(reply);
	return 0;
}

static void run_until(const bool *done, const unsigned *count, unsigned wanted, uint64_t usec)
{
	uint64_t now, end;

	sd_event_now(event, CLOCK_MONOTONIC, &end);
	end += usec;
	do {
		cr_assert_geq(sd_event_run(event, 10000), 0);
		sd_event_now(event, CLOCK_MONOTONIC, &now);
	} while (now < end && !(done && *done) && !(count && *count >= wanted));
}

#define call(ret_reply, member, ...)                                                               \
	do {                                                                                       \
		cr_assert_geq(sd_bus_call_method_async(client, NULL, service, STATISTICS_BUS_PATH, \
						       STATISTICS_BUS_INTERFACE, member, on_reply, \
						       ret_reply, __VA_ARGS__),                    \
			      0);                                                                  \
		for (int tries_ = 0; tries_ < 1000 && !*(ret_reply); tries_++)                     \
			sd_event_run(event, 10000);                                                \
		cr_assert_not_null(*(ret_reply));                                                  \
	} while (0)

static uint32_t subscribe(const char *name, uint64_t interval_usec)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	uint32_t id = 0;

	call(&reply, "Subscribe", "asbt", 1, name, false, interval_usec);
	cr_assert_gt(sd_bus_message_read(reply, "u", &id), 0);
	return id;
}

Test(statistics_bus, what_is_asked_for_is_answered_with_its_names_labels_and_figures)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(statistics_list_done) struct statistics_list list = {0};

	statistics_update(&values[KEYS], 64);
	statistics_update(&values[KEYS], 32);
	statistics_update(&values[LATENCY], 1500);
	call(&reply, "GetStatistics", "asb", 0, false);
	cr_assert_eq(statistics_message_read(reply, &list), 0);
	cr_assert_eq(list.count, COUNT);
	cr_assert_str_eq(list.readings[KEYS].name, "link.keys");
	cr_assert_str_eq(list.readings[KEYS].unit, "keys");
	cr_assert_str_eq(list.readings[KEYS].help, "agreed");
	cr_assert_eq(list.readings[KEYS].kind, STATISTICS_COUNTER);
	cr_assert_eq(list.readings[KEYS].count, 2);
	cr_assert(list.readings[KEYS].total == 96 && list.readings[KEYS].last == 32);
	cr_assert(list.readings[KEYS].min == 32 && list.readings[KEYS].max == 64);
	cr_assert(list.readings[KEYS].average == 48);
	cr_assert_eq(list.readings[KEYS].label_count, 2);
	cr_assert_str_eq(list.readings[KEYS].labels[1].name, "link");
	cr_assert_str_eq(list.readings[KEYS].labels[1].value, "alice-bob");
	cr_assert_float_eq(list.readings[LATENCY].average, 0.0015, 1e-12);
	cr_assert_eq(list.readings[STOCK].count, 0);
}

Test(statistics_bus, lists_include_or_exclude)
{
	for (int exclude = 0; exclude < 2; exclude++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
		_cleanup_(statistics_list_done) struct statistics_list list = {0};

		call(&reply, "GetStatistics", "asb", 2, "link.keys", "sync", exclude);
		cr_assert_eq(statistics_message_read(reply, &list), 0);
		cr_assert_eq(list.count, exclude ? 1 : 2);
		cr_assert_str_eq(list.readings[0].name, exclude ? "link.stock" : "link.keys");
	}
}

Test(statistics_bus, several_answers_make_one_list)
{
	_cleanup_(statistics_list_done) struct statistics_list list = {0};

	for (unsigned i = 0; i < 20; i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

		call(&reply, "GetStatistics", "asb", 0, false);
		cr_assert_eq(statistics_message_read(reply, &list), 0);
	}
	cr_assert_eq(list.count, 20 * COUNT);
	for (size_t i = 0; i < list.count; i++) {
		cr_assert_str_eq(list.readings[i].name, definitions[i % COUNT].name);
		cr_assert_str_eq(list.readings[i].labels[0].value, "alice");
	}
}

Test(statistics_bus, a_filter_that_cannot_be_is_an_error_by_name)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *bad = NULL, *subscription = NULL;

	call(&bad, "GetStatistics", "asb", 1, "link.*", false);
	cr_assert(sd_bus_message_is_method_error(bad, SD_BUS_ERROR_INVALID_ARGS));
	call(&subscription, "Subscribe", "asbt", 1, "", false, UINT64_C(0));
	cr_assert(sd_bus_message_is_method_error(subscription, SD_BUS_ERROR_INVALID_ARGS));
	cr_assert_eq(statistics_bus_reader_count(statistics), 0);
}

Test(statistics_bus, a_subscriber_is_told_at_once_and_then_of_news)
{
	uint32_t id = subscribe("link.keys", USEC_PER_SEC / 5);

	run_until(NULL, &told, 1, USEC_PER_SEC);
	cr_assert_eq(told, 1);
	cr_assert_eq(last_subscription, id);
	cr_assert_eq(last.count, 1);
	cr_assert_eq(last.readings[0].count, 0);
	run_until(NULL, &told, 2, USEC_PER_SEC / 2);
	cr_assert_eq(told, 1, "nothing new, and told %u times", told);
	/* Something happens: in a daemon that is an event on the loop. */
	for (int i = 0; i < 2; i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

		statistics_update(&values[KEYS], 7);
		call(&reply, "GetStatistics", "asb", 0, false);
		run_until(NULL, &told, 2 + (unsigned)i, USEC_PER_SEC);
		cr_assert_eq(told, 2 + (unsigned)i);
		cr_assert_eq(last.readings[0].count, 1 + (unsigned)i);
	}
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	statistics_update(&values[KEYS], 1);
	statistics_update(&values[LATENCY], 100);
	sd_event_source_set_time_relative(source, 5000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

Test(statistics_bus, each_subscriber_has_its_own_filter_and_maximum_rate)
{
	uint32_t slow = subscribe("sync", USEC_PER_SEC), fast = subscribe("link.keys", 0);
	unsigned told_slow = 0, told_fast = 0, seen = told;
	uint64_t now, end;

	sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, 0, 1, on_tick, NULL);
	sd_event_now(event, CLOCK_MONOTONIC, &end);
	end += 2100 * USEC_PER_MSEC;
	do {
		sd_event_run(event, 10000);
		sd_event_now(event, CLOCK_MONOTONIC, &now);
		if (told == seen)
			continue;
		seen = told;
		told_slow += last_subscription == slow;
		told_fast += last_subscription == fast;
		cr_assert_str_eq(last.readings[0].name,
				 last_subscription == slow ? "sync.latency" : "link.keys");
	} while (now < end);
	cr_assert(told_slow >= 2 && told_slow <= 3, "slow: %u", told_slow);
	cr_assert(told_fast >= 15 && told_fast <= 22, "fast: %u", told_fast);
}

Test(statistics_bus, while_nothing_happens_nobody_wakes_up)
{
	unsigned wakes = 0;

	(void)subscribe("link", 0);
	(void)subscribe("sync", 0);
	(void)subscribe("link.keys", 3600 * USEC_PER_SEC);
	run_until(NULL, NULL, 0, USEC_PER_SEC);
	cr_assert_eq(told, 3);
	for (int i = 0; i < 100; i++)
		wakes += sd_event_run(event, 10000) > 0;
	cr_assert_eq(wakes, 0, "%u wake-ups", wakes);
}

Test(statistics_bus, news_that_a_reader_does_not_want_leave_no_timer_behind)
{
	unsigned wakes = 0;

	(void)subscribe("sync", 0);
	run_until(NULL, NULL, 0, USEC_PER_SEC / 2);
	for (int i = 0; i < 3; i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

		statistics_update(&values[KEYS], 7);
		call(&reply, "GetStatistics", "asb", 0, false);
	}
	run_until(NULL, NULL, 0, USEC_PER_SEC / 2);
	cr_assert_eq(told, 1);
	for (int i = 0; i < 100; i++)
		wakes += sd_event_run(event, 10000) > 0;
	cr_assert_eq(wakes, 0, "%u wake-ups", wakes);
}

Test(statistics_bus, who_unsubscribes_is_not_told_any_more)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *again = NULL;
	uint32_t id = subscribe("link", 0);

	run_until(NULL, &told, 1, USEC_PER_SEC);
	call(&reply, "Unsubscribe", "u", id);
	cr_assert_not(sd_bus_message_is_method_error(reply, NULL));
	cr_assert_eq(statistics_bus_reader_count(statistics), 0);
	statistics_update(&values[KEYS], 7);
	call(&again, "Unsubscribe", "u", id);
	cr_assert(sd_bus_message_is_method_error(again, SD_BUS_ERROR_INVALID_ARGS));
	run_until(NULL, &told, 2, USEC_PER_SEC / 2);
	cr_assert_eq(told, 1);
}

Test(statistics_bus, there_are_only_so_many_readers)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	for (unsigned i = 0; i < STATISTICS_BUS_MAX_READERS; i++)
		cr_assert_neq(subscribe("link", 0), 0);
	call(&reply, "Subscribe", "asbt", 0, false, UINT64_C(0));
	cr_assert(sd_bus_message_is_method_error(reply, SD_BUS_ERROR_LIMITS_EXCEEDED));
}

Test(statistics_bus, a_connection_that_ends_takes_its_readers_with_it)
{
	(void)subscribe("link", 0);
	(void)subscribe("sync", 0);
	statistics_bus_forget(statistics, client);
	cr_assert_eq(statistics_bus_reader_count(statistics), 2);
	statistics_bus_forget(statistics, server);
	cr_assert_eq(statistics_bus_reader_count(statistics), 0);
}

/* With a bus daemon between */

static pid_t daemon_pid;
static char *bus_directory;
static char address[128];

static sd_bus *connect_to_daemon(void)
{
	sd_bus *bus;

	sd_bus_new(&bus);
	sd_bus_set_address(bus, address);
	sd_bus_set_bus_client(bus, true);
	sd_bus_set_watch_bind(bus, true);
	cr_assert_geq(sd_bus_start(bus), 0);
	sd_bus_attach_event(bus, event, 0);
	return bus;
}

static bool has_name(sd_bus *bus)
{
	const char *name;

	for (int i = 0; i < 300 && !sd_bus_is_ready(bus); i++)
		sd_event_run(event, 10000);
	return sd_bus_get_unique_name(bus, &name) >= 0;
}

static void set_up_daemon(void)
{
	set_up_loop();
	bus_directory = test_directory_new();
	snprintf(address, sizeof(address), "unix:path=%s/bus", bus_directory);
	daemon_pid = fork();
	if (daemon_pid == 0) {
		char option[160];

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
		snprintf(option, sizeof(option), "--address=%s", address);
		execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", option,
		       NULL);
		_exit(EXIT_FAILURE);
	}
	server = connect_to_daemon();
	client = connect_to_daemon();
	cr_assert_geq(statistics_bus_attach(statistics, server), 0);
	cr_assert(has_name(server) && has_name(client));
	sd_bus_get_unique_name(server, &service);
	watch();
}

static void tear_down_daemon(void)
{
	tear_down();
	kill(daemon_pid, SIGTERM);
	waitpid(daemon_pid, NULL, 0);
	test_directory_remove(bus_directory);
}

TestSuite(statistics_on_a_bus, .init = set_up_daemon, .fini = tear_down_daemon, .timeout = 20);

static int count_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	(*(unsigned *)userdata)++;
	return 0;
}

Test(statistics_on_a_bus, what_a_subscriber_is_told_goes_to_it_alone)
{
	sd_bus *other = connect_to_daemon();
	unsigned overheard = 0;

	cr_assert(has_name(other));
	sd_bus_match_signal(other, NULL, NULL, NULL, STATISTICS_BUS_INTERFACE, NULL, count_message,
			    &overheard);
	(void)subscribe("link", 0);
	run_until(NULL, &told, 1, USEC_PER_SEC);
	cr_assert_eq(told, 1);
	run_until(NULL, NULL, 0, USEC_PER_SEC / 5);
	cr_assert_eq(overheard, 0);
	sd_bus_close_unref(other);
}

Test(statistics_on_a_bus, nobody_ends_another_ones_subscription)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	sd_bus *first = client, *other;
	uint32_t id = subscribe("link", 0);

	client = other = connect_to_daemon();
	cr_assert(has_name(other));
	call(&reply, "Unsubscribe", "u", id);
	cr_assert(sd_bus_message_is_method_error(reply, SD_BUS_ERROR_INVALID_ARGS));
	cr_assert_eq(statistics_bus_reader_count(statistics), 1);
	client = first;
	sd_bus_close_unref(other);
}

Test(statistics_on_a_bus, a_subscriber_that_leaves_the_bus_is_forgotten)
{
	sd_bus *first = client;

	client = connect_to_daemon();
	cr_assert(has_name(client));
	(void)subscribe("link", 0);
	(void)subscribe("sync", 0);
	cr_assert_eq(statistics_bus_reader_count(statistics), 2);
	sd_bus_flush_close_unref(client);
	client = first;
	for (int i = 0; i < 300 && statistics_bus_reader_count(statistics) > 0; i++)
		sd_event_run(event, 10000);
	cr_assert_eq(statistics_bus_reader_count(statistics), 0);
}
