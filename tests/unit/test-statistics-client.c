/* SPDX-License-Identifier: MIT */
/* Gathering from the daemons of a site, each a process on a bus: some tell, some are silent. */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/statistics-bus.h"
#include "common/statistics-client.h"
#include "tests/unit/support/test-directory.h"

#define TIMEOUT_USEC (300 * USEC_PER_MSEC)
#define MAX_CHILDREN 4

static char *directory;
static char address[128];
static pid_t children[MAX_CHILDREN];
static size_t child_count;
static sd_bus *bus;

static const struct statistics_definition definitions[] = {
	{"link.keys", STATISTICS_COUNTER, STATISTICS_INTEGER, "keys", "keys agreed"},
	{"store.own", STATISTICS_GAUGE, STATISTICS_INTEGER, "keys", "keys available"},
};

static void start_bus_daemon(void)
{
	char option[160];

	snprintf(option, sizeof(option), "--address=%s", address);
	children[child_count] = fork();
	if (children[child_count] == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
		execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", option,
		       NULL);
		_exit(EXIT_FAILURE);
	}
	child_count++;
}

static sd_bus *connect_to_daemon(void)
{
	sd_bus *new = NULL;
	int r = -ENOENT;

	for (int i = 0; i < 100 && r < 0; i++) {
		new = sd_bus_close_unref(new);
		sd_bus_new(&new);
		sd_bus_set_address(new, address);
		sd_bus_set_bus_client(new, true);
		r = sd_bus_start(new);
		if (r < 0)
			usleep(20000);
	}
	return new;
}

static void serve(const char *name, bool answers, int ready)
{
	struct statistic values[2] = {0};
	struct statistics_group group = {.definitions = definitions,
					 .values = values,
					 .count = 2,
					 .labels = {{"daemon", name}},
					 .label_count = 1};
	struct statistics_bus *statistics = NULL;
	struct statistics set;
	sd_event *event = NULL;
	sd_bus *own = connect_to_daemon();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sd_event_new(&event);
	statistics_init(&set, 0);
	statistics_add_group(&set, &group);
	statistics_update(&values[0], 64);
	statistics_bus_new(event, &set, &statistics);
	statistics_bus_attach(statistics, own);
	if (sd_bus_request_name(own, name, 0) < 0 || write(ready, "r", 1) != 1)
		_exit(EXIT_FAILURE);
	if (!answers)
		pause();
	sd_bus_attach_event(own, event, 0);
	sd_event_loop(event);
	_exit(EXIT_SUCCESS);
}

static void start_daemon(const char *name, bool answers)
{
	int fds[2];
	char byte;

	cr_assert_eq(pipe(fds), 0);
	children[child_count] = fork();
	if (children[child_count] == 0)
		serve(name, answers, fds[1]);
	child_count++;
	cr_assert_eq(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	close(fds[1]);
}

static void set_up(void)
{
	directory = test_directory_new();
	snprintf(address, sizeof(address), "unix:path=%s/bus", directory);
	start_bus_daemon();
	bus = connect_to_daemon();
	cr_assert_not_null(bus);
}

static void tear_down(void)
{
	sd_bus_close_unref(bus);
	while (child_count > 0) {
		kill(children[--child_count], SIGKILL);
		waitpid(children[child_count], NULL, 0);
	}
	test_directory_remove(directory);
}

TestSuite(statistics_client, .init = set_up, .fini = tear_down, .timeout = 20);

Test(statistics_client, the_daemons_are_known_by_their_names)
{
	cr_assert(statistics_client_is_daemon("org.qkd.Keyring1"));
	cr_assert(statistics_client_is_daemon("org.qkd.Link1.alice_bob"));
	cr_assert(!statistics_client_is_daemon("org.qkd.Keyring1.x"));
	cr_assert(!statistics_client_is_daemon("org.qkd.Link1"));
	cr_assert(!statistics_client_is_daemon(":1.5"));
}

Test(statistics_client, where_no_daemon_is_there_is_nothing_and_no_error)
{
	_cleanup_(statistics_client_answer_done) struct statistics_client_answer answer = {0};

	cr_assert_eq(statistics_client_gather(bus, NULL, false, TIMEOUT_USEC, &answer), 0);
	cr_assert_eq(answer.answered + answer.silent, 0);
	cr_assert_eq(answer.list.count, 0);
}

Test(statistics_client, what_all_of_them_tell_is_one_list)
{
	_cleanup_(statistics_client_answer_done) struct statistics_client_answer answer = {0};
	char *names[] = {(char *)"link", NULL};

	start_daemon("org.qkd.Keyring1", true);
	start_daemon("org.qkd.Link1.alice_bob", true);
	start_daemon("org.example.Other", true);
	cr_assert_eq(statistics_client_gather(bus, names, false, TIMEOUT_USEC, &answer), 0);
	cr_assert_eq(answer.answered, 2);
	cr_assert_eq(answer.silent, 0);
	cr_assert_eq(answer.list.count, 2);
	for (size_t i = 0; i < 2; i++) {
		cr_assert_str_eq(answer.list.readings[i].name, "link.keys");
		cr_assert_eq(answer.list.readings[i].total, 64);
	}
}

Test(statistics_client, one_that_is_silent_is_counted_and_keeps_nobody)
{
	_cleanup_(statistics_client_answer_done) struct statistics_client_answer answer = {0};

	start_daemon("org.qkd.Keyring1", true);
	start_daemon("org.qkd.Link1.alice_bob", false);
	cr_assert_eq(statistics_client_gather(bus, NULL, false, TIMEOUT_USEC, &answer), 0);
	cr_assert_eq(answer.answered, 1);
	cr_assert_eq(answer.silent, 1);
	cr_assert_eq(answer.list.count, 2);
	cr_assert_neq(answer.trouble[0], '\0');
}
