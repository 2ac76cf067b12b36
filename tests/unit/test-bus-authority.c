/* SPDX-License-Identifier: MIT */
/* A daemon's method on a private bus, called by processes of several users, with and without a
 * polkit that the test plays. */

#include <criterion/criterion.h>
#include <grp.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/bus-authority.h"
#include "tests/unit/support/private-bus.h"

#define STRANGER     65534 /* nobody: the bus wants users that it can look up */
#define SERVER_NAME  "org.qkd.Test"
#define OBJECT       "/org/qkd/Test"
#define CHILD_USEC   (5 * USEC_PER_SEC)
#define CHILD_DENIED 7
#define CHILD_LIMIT  8
#define CHILD_FAILED 9

static sd_event *event;
static struct bus_callers *callers;
static struct bus_authority *authority;
static sd_bus *server, *polkit;
static struct private_bus bus_daemon;
static unsigned received, changes, asked;
static int polkit_says;
static char asked_action[64];

static int change(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *what;
	int r = sd_bus_message_read(message, "s", &what);

	cr_assert_gt(r, 0);
	cr_expect_str_eq(what, "it");
	changes++;
	return sd_bus_reply_method_return(message, NULL);
}

static int method_change(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	received++;
	return bus_authority_run(authority, message, BUS_ACTION_LINKS, change, NULL);
}

static const sd_bus_vtable server_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Change", "s", NULL, method_change, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int method_check(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *action;

	sd_bus_message_skip(message, "(sa{sv})");
	sd_bus_message_read(message, "s", &action);
	snprintf(asked_action, sizeof(asked_action), "%s", action);
	asked++;
	if (polkit_says < 0)
		return polkit_says;
	return sd_bus_reply_method_return(message, "(bba{ss})", polkit_says, false, 0);
}

static const sd_bus_vtable polkit_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", method_check,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static void start_polkit(int says)
{
	polkit_says = says;
	polkit = private_bus_connect(&bus_daemon, event, "org.freedesktop.PolicyKit1");
	sd_bus_add_object_vtable(polkit, NULL, "/org/freedesktop/PolicyKit1/Authority",
				 "org.freedesktop.PolicyKit1.Authority", polkit_vtable, NULL);
}

static void set_up(void)
{
	private_bus_start(&bus_daemon);
	cr_assert_geq(sd_event_new(&event), 0);
	cr_assert_eq(bus_callers_new(&callers), 0);
	cr_assert_eq(bus_authority_new(callers, &authority), 0);
	server = private_bus_connect(&bus_daemon, event, SERVER_NAME);
	sd_bus_add_object_vtable(server, NULL, OBJECT, SERVER_NAME, server_vtable, NULL);
}

static void tear_down(void)
{
	sd_bus_close_unref(polkit);
	bus_authority_forget(authority, server);
	sd_bus_close_unref(server);
	bus_authority_free(authority);
	bus_callers_free(callers);
	sd_event_unref(event);
	private_bus_stop(&bus_daemon);
}

TestSuite(bus_authority, .init = set_up, .fini = tear_down);

static int call_once(uid_t uid)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus;

	if (uid != 0 && (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0))
		return CHILD_FAILED;
	if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, bus_daemon.address) < 0 ||
	    sd_bus_set_bus_client(bus, true) < 0 || sd_bus_start(bus) < 0)
		return CHILD_FAILED;
	if (sd_bus_call_method(bus, SERVER_NAME, OBJECT, SERVER_NAME, "Change", &error, NULL, "s",
			       "it") >= 0)
		return 0;
	if (sd_bus_error_has_name(&error, SD_BUS_ERROR_LIMITS_EXCEEDED))
		return CHILD_LIMIT;
	return sd_bus_error_has_name(&error, SD_BUS_ERROR_ACCESS_DENIED) ? CHILD_DENIED
									 : CHILD_FAILED;
}

/* What a process of this user gets. */
static int call_as(uid_t uid)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		alarm(CHILD_USEC / USEC_PER_SEC);
		_exit(call_once(uid));
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		sd_event_run(event, 10 * USEC_PER_MSEC);
	cr_assert(WIFEXITED(status), "status %x", (unsigned)status);
	return WEXITSTATUS(status);
}

Test(bus_authority, the_daemons_own_user_may_and_polkit_is_not_asked)
{
	start_polkit(false);
	cr_expect_eq(call_as(getuid()), 0);
	cr_expect_eq(changes, 1u);
	cr_expect_eq(asked, 0u);
}

Test(bus_authority, a_stranger_may_not_where_there_is_no_polkit)
{
	if (getuid() != 0)
		cr_skip_test("only root can be a stranger");
	cr_expect_eq(call_as(STRANGER), CHILD_DENIED);
	cr_expect_eq(changes, 0u);
}

Test(bus_authority, a_stranger_may_what_polkit_allows)
{
	if (getuid() != 0)
		cr_skip_test("only root can be a stranger");
	start_polkit(true);
	cr_expect_eq(call_as(STRANGER), 0);
	cr_expect_eq(changes, 1u);
	cr_expect_eq(asked, 1u);
	cr_expect_str_eq(asked_action, BUS_ACTION_LINKS);
}

Test(bus_authority, a_stranger_may_not_what_polkit_refuses_or_fails_to_answer)
{
	if (getuid() != 0)
		cr_skip_test("only root can be a stranger");
	start_polkit(false);
	cr_expect_eq(call_as(STRANGER), CHILD_DENIED);
	polkit_says = -EIO;
	cr_expect_eq(call_as(STRANGER), CHILD_DENIED);
	cr_expect_eq(asked, 2u);
	cr_expect_eq(changes, 0u);
}

/* polkit never answers: its connection is not on the loop. */
Test(bus_authority, calls_that_wait_are_bounded_and_end_with_the_connection)
{
	static pid_t pids[BUS_AUTHORITY_MAX_OPEN];
	int status;

	if (getuid() != 0)
		cr_skip_test("only root can be a stranger");
	start_polkit(true);
	sd_bus_detach_event(polkit);
	for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(call_once(STRANGER));
	}
	for (int i = 0; i < 1000 && received < BUS_AUTHORITY_MAX_OPEN; i++)
		sd_event_run(event, 10 * USEC_PER_MSEC);
	cr_assert_eq(received, BUS_AUTHORITY_MAX_OPEN);
	cr_expect_eq(call_as(STRANGER), CHILD_LIMIT);
	cr_expect_eq(changes, 0u);
	bus_authority_forget(authority, server);
	for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], &status, 0);
	}
}
