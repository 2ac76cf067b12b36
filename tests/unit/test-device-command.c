/* SPDX-License-Identifier: MIT */
/* AddDevice and RemoveDevice on a private bus: systemd played by the test, and qkd-linkd by a
 * script. */

#include <criterion/criterion.h>
#include <sys/stat.h>

#include "fake-issuer.h"
#include "fake-paths.h"
#include "qkd-keyringd/bus-api.h"
#include "qkd-keyringd/keyringd-bus.h"
#include "tests/unit/support/private-bus.h"
#include "tests/unit/support/test-directory.h"

static sd_event *event;
static struct private_bus bus_daemon;
static struct admission admission;
static struct bus_api api;
static struct bus_connection *keyringd;
static struct keyringd_config config = {.site = "alice",
					.runtime = "/run/qkd",
					.bus = "system",
					.tls_ca = "/ca",
					.tls_certificate = "/c",
					.tls_key = "/k"};
static struct storage *state;
static sd_bus *systemd, *caller;
static sd_bus_message *reply;
static char *home, program[128], units[256];
static bool systemd_refuses;

static int method_unit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *unit, *mode;

	cr_assert_gt(sd_bus_message_read(m, "ss", &unit, &mode), 0);
	strcat(strcat(strcat(units, sd_bus_message_get_member(m)), " "), unit);
	strcat(units, ";");
	if (systemd_refuses)
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_FAILED, "no such job");
	return sd_bus_reply_method_return(m, "o", "/job/1");
}

static const sd_bus_vtable systemd_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("StartUnit", "ss", "o", method_unit, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("StopUnit", "ss", "o", method_unit, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* A qkd-linkd that says these words of every file and ends with this status. */
static void write_program(const char *words, int status)
{
	FILE *file = fopen(program, "w");

	cr_assert_not_null(file);
	fprintf(file, "#!/bin/sh\n[ -z \"%s\" ] || echo \"${2#--config=}:1:2: %s\" >&2\nexit %d\n",
		words, words, status);
	fclose(file);
	cr_assert_eq(chmod(program, 0700), 0);
}

static bool is_serving(void)
{
	return bus_connection_get(keyringd) != NULL && api.links != NULL;
}

static bool is_answered(void)
{
	return reply != NULL;
}

static void run_until(bool (*done)(void))
{
	for (int i = 0; i < 500 && !done(); i++)
		sd_event_run(event, 10000);
	cr_assert(done());
}

static void start_keyringd(void)
{
	cr_assert_eq(devices_new(event, state, &config, program, &api.devices), 0);
	cr_assert_eq(keyringd_bus_new(event, bus_daemon.address, &api, &keyringd), 0);
	run_until(is_serving);
}

static void stop_keyringd(void)
{
	keyringd = bus_connection_free(keyringd);
	api.devices = devices_free(api.devices);
}

static void set_up(void)
{
	struct policy *policy;

	config.home = home = test_directory_new();
	cr_assert_eq(storage_new_directory(home, &state), 0);
	snprintf(program, sizeof(program), "%s/linkd", home);
	private_bus_start(&bus_daemon);
	sd_event_new(&event);
	policy_new_default(&policy);
	admission_init(&admission, NULL, policy);
	api.site = "alice";
	cr_assert_eq(bus_calls_init(&api.calls, &admission), 0);
	cr_assert_eq(bus_authority_new(api.calls.callers, &api.authority), 0);
	systemd = private_bus_connect(&bus_daemon, event, "org.freedesktop.systemd1");
	sd_bus_add_object_vtable(systemd, NULL, "/org/freedesktop/systemd1",
				 "org.freedesktop.systemd1.Manager", systemd_vtable, NULL);
	start_keyringd();
	caller = private_bus_connect(&bus_daemon, event, NULL);
}

static void tear_down(void)
{
	sd_bus_message_unref(reply);
	sd_bus_close_unref(caller);
	sd_bus_close_unref(systemd);
	stop_keyringd();
	bus_authority_free(api.authority);
	bus_calls_done(&api.calls);
	admission_done(&admission);
	sd_event_unref(event);
	storage_free(state);
	private_bus_stop(&bus_daemon);
	test_directory_remove(home);
}

TestSuite(device_command, .init = set_up, .fini = tear_down);

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	reply = sd_bus_message_ref(message);
	return 0;
}

static void add(const char *link, const char *settings)
{
	reply = sd_bus_message_unref(reply);
	cr_assert_geq(sd_bus_call_method_async(caller, NULL, BUS_API_NAME, BUS_API_PATH,
					       BUS_API_INTERFACE, "AddDevice", on_reply, NULL, "ss",
					       link, settings),
		      0);
	run_until(is_answered);
}

static void remove_link(const char *link)
{
	reply = sd_bus_message_unref(reply);
	cr_assert_geq(sd_bus_call_method_async(caller, NULL, BUS_API_NAME, BUS_API_PATH,
					       BUS_API_INTERFACE, "RemoveDevice", on_reply, NULL,
					       "s", link),
		      0);
	run_until(is_answered);
}

static void expect_error(const char *name, const char *words)
{
	const sd_bus_error *error = sd_bus_message_get_error(reply);

	cr_assert_not_null(error, "%s", name);
	cr_expect_str_eq(error->name, name);
	cr_expect_not_null(strstr(error->message, words), "%s", error->message);
}

static bool has_file(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/links.d/%s", home, name);
	return access(path, F_OK) == 0;
}

Test(device_command, what_is_added_is_written_and_started_and_what_is_removed_stopped)
{
	write_program("", 0);
	add("alice-bob", "{\"peer\": \"bob\"}");
	cr_assert_not(sd_bus_message_is_method_error(reply, NULL));
	cr_expect(has_file("alice-bob.json"));
	cr_expect_str_eq(units, "StartUnit qkd-linkd@alice-bob.service;");
	add("alice-bob", "{}");
	expect_error(DEVICE_ERROR_EXISTS, "There is a link");
	remove_link("alice-bob");
	cr_assert_not(sd_bus_message_is_method_error(reply, NULL));
	cr_expect_not(has_file("alice-bob.json"));
	cr_expect_str_eq(units, "StartUnit qkd-linkd@alice-bob.service;"
				"StopUnit qkd-linkd@alice-bob.service;");
	remove_link("alice-bob");
	expect_error(DEVICE_ERROR_UNKNOWN, "No link of that name");
}

Test(device_command, what_linkd_refuses_is_refused_in_its_words)
{
	write_program("peer: is required and missing", 2);
	add("alice-bob", "{}");
	expect_error("org.qkd.Error.Invalid", "1:2: peer: is required and missing");
	cr_expect_null(strstr(sd_bus_message_get_error(reply)->message, home));
	cr_expect_not(has_file("alice-bob.json") || has_file("alice-bob.json.new"));
	cr_expect_str_eq(units, "");
	add("../x", "{}");
	expect_error("org.qkd.Error.Invalid", "not a link's name");
	add("alice-bob", "{\"home\": \"/\"}");
	expect_error("org.qkd.Error.Invalid", "home: is the site's own");
}

Test(device_command, what_cannot_be_checked_or_started_leaves_nothing)
{
	add("alice-bob", "{}");
	expect_error(SD_BUS_ERROR_FAILED, "No such file");
	write_program("", 0);
	systemd_refuses = true;
	add("alice-bob", "{}");
	expect_error(SD_BUS_ERROR_FAILED, "no such job");
	cr_expect_not(has_file("alice-bob.json"));
}

static bool has_started(void)
{
	return units[0];
}

Test(device_command, what_was_added_is_started_again_with_the_daemon)
{
	write_program("", 0);
	add("alice-bob", "{}");
	units[0] = '\0';
	stop_keyringd();
	start_keyringd();
	run_until(has_started);
	cr_expect_str_eq(units, "StartUnit qkd-linkd@alice-bob.service;");
}

Test(device_command, a_check_that_is_under_way_ends_with_the_daemon)
{
	FILE *file = fopen(program, "w");

	fprintf(file, "#!/bin/sh\nexec sleep 60\n");
	fclose(file);
	chmod(program, 0700);
	sd_bus_call_method_async(caller, NULL, BUS_API_NAME, BUS_API_PATH, BUS_API_INTERFACE,
				 "AddDevice", on_reply, NULL, "ss", "alice-bob", "{}");
	for (int i = 0; i < 50; i++)
		sd_event_run(event, 10000);
	cr_expect_null(reply);
	reply = NULL;
	sd_bus_call_method_async(caller, NULL, BUS_API_NAME, BUS_API_PATH, BUS_API_INTERFACE,
				 "AddDevice", on_reply, NULL, "ss", "carol", "{}");
	run_until(is_answered);
	expect_error("org.qkd.Error.Quota", "Another device");
}
