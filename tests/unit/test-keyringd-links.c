/* SPDX-License-Identifier: MIT */
/* keyringd among linkd on a bus: a private dbus-daemon, a linkd played by the test. */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>

#include "fake-issuer.h"
#include "fake-paths.h"
#include "qkd-keyringd/bus-api.h"
#include "qkd-keyringd/keyringd-bus.h"
#include "tests/unit/support/private-bus.h"

#define LINK_NAME "org.qkd.Link1.alice_bob"

static sd_event *event;
static struct admission admission;
static struct bus_api api;
static struct bus_connection *keyringd;
static sd_bus *linkd, *caller;
static struct private_bus bus_daemon;
static unsigned started, stopped;

static sd_bus *connect_bus(void)
{
	return private_bus_connect(&bus_daemon, event, NULL);
}

static int method_start(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	started++;
	return sd_bus_reply_method_return(m, NULL);
}

static int method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	stopped++;
	return sd_bus_reply_method_errorf(m, "org.qkd.Error.Test", "no");
}

static int get_link(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", "alice-bob");
}

static const sd_bus_vtable link_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Start", "", "", method_start, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Stop", "", "", method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Link", "s", get_link, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END,
};

static void start_linkd(void)
{
	linkd = connect_bus();
	sd_bus_add_object_vtable(linkd, NULL, "/org/qkd/Link1", "org.qkd.Link1", link_vtable, NULL);
	cr_assert_geq(sd_bus_request_name_async(linkd, NULL, LINK_NAME, 0, NULL, NULL), 0);
}

static void run_until(bool (*done)(void))
{
	for (int i = 0; i < 500 && !done(); i++)
		sd_event_run(event, 10000);
	cr_assert(done());
}

static bool is_serving(void)
{
	return bus_connection_get(keyringd) != NULL && api.links != NULL;
}

static bool sees_link(void)
{
	return api.links && keyringd_links_count(api.links) == 1;
}

static bool sees_no_link(void)
{
	return api.links && keyringd_links_count(api.links) == 0;
}

static bool has_heard(void)
{
	return fake.agreed[0];
}

static void set_up(void)
{
	struct policy *policy;

	private_bus_start(&bus_daemon);
	sd_event_new(&event);
	policy_new_default(&policy);
	admission_init(&admission, NULL, policy);
	api.site = "alice";
	cr_assert_eq(bus_calls_init(&api.calls, &admission), 0);
	cr_assert_eq(bus_authority_new(api.calls.callers, &api.authority), 0);
	cr_assert_eq(keyringd_bus_new(event, bus_daemon.address, &api, &keyringd), 0);
	run_until(is_serving);
}

static void tear_down(void)
{
	sd_bus_close_unref(linkd);
	sd_bus_close_unref(caller);
	bus_connection_free(keyringd);
	bus_authority_free(api.authority);
	bus_calls_done(&api.calls);
	admission_done(&admission);
	sd_event_unref(event);
	private_bus_stop(&bus_daemon);
}

TestSuite(keyringd_links, .init = set_up, .fini = tear_down);

static void signal_keys_agreed(sd_bus *bus, const char *directory)
{
	cr_assert_geq(sd_bus_emit_signal(bus, "/org/qkd/Link1", "org.qkd.Link1", "KeysAgreed",
					 "stt", directory, (uint64_t)64, (uint64_t)8),
		      0);
}

Test(keyringd_links, looks_through_the_directories_when_a_linkd_appears)
{
	start_linkd();
	run_until(sees_link);
	cr_assert_eq(fake.rescans, 1);
	cr_assert_str_eq(keyringd_links_find(api.links, "alice-bob"), LINK_NAME);
	cr_assert_null(keyringd_links_find(api.links, "alice-bo"));
	linkd = sd_bus_close_unref(linkd);
	run_until(sees_no_link);
}

Test(keyringd_links, hears_what_a_linkd_has_agreed)
{
	start_linkd();
	run_until(sees_link);
	signal_keys_agreed(linkd, "bob");
	run_until(has_heard);
	cr_assert_str_eq(fake.agreed, "bob 64+8");
}

Test(keyringd_links, does_not_listen_to_others_nor_to_paths)
{
	start_linkd();
	run_until(sees_link);
	caller = connect_bus();
	signal_keys_agreed(caller, "forged");
	signal_keys_agreed(linkd, "../forged");
	signal_keys_agreed(linkd, "bob");
	run_until(has_heard);
	cr_assert_str_eq(fake.agreed, "bob 64+8");
	for (int i = 0; i < 20; i++)
		sd_event_run(event, 5000);
	cr_assert_str_eq(fake.agreed, "bob 64+8");
}

static sd_bus_message *reply;

static bool is_answered(void)
{
	return reply != NULL;
}

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	reply = sd_bus_message_ref(message);
	return 0;
}

static void call(const char *member, const char *types, const char *argument)
{
	reply = sd_bus_message_unref(reply);
	cr_assert_geq(sd_bus_call_method_async(caller, NULL, BUS_API_NAME, BUS_API_PATH,
					       BUS_API_INTERFACE, member, on_reply, NULL, types,
					       argument),
		      0);
	run_until(is_answered);
}

Test(keyringd_links, passes_commands_and_their_answers_on)
{
	start_linkd();
	run_until(sees_link);
	caller = connect_bus();
	call("StartLink", "s", "alice-bob");
	cr_assert_not(sd_bus_message_is_method_error(reply, NULL));
	cr_assert_eq(started, 1);
	call("StopLink", "s", "alice-bob");
	cr_assert(sd_bus_message_is_method_error(reply, "org.qkd.Error.Test"));
	cr_assert_eq(stopped, 1);
	call("StopLink", "s", "carol-dave");
	cr_assert_not(sd_bus_message_is_method_error(reply, NULL), "what does not run is stopped");
	call("StartLink", "s", "../x");
	cr_assert(sd_bus_message_is_method_error(reply, "org.qkd.Error.Invalid"));
	call("StartLink", "s", "carol-dave");
	cr_assert(sd_bus_message_is_method_error(reply, NULL), "no systemd on this bus");
	sd_bus_message_unref(reply);
}

Test(keyringd_links, lists_all_properties_of_every_link)
{
	const char *name = NULL, *value = NULL;

	start_linkd();
	run_until(sees_link);
	caller = connect_bus();
	call("ListLinks", NULL, NULL);
	cr_assert_gt(sd_bus_message_enter_container(reply, 'a', "a{sv}"), 0);
	cr_assert_gt(sd_bus_message_enter_container(reply, 'a', "{sv}"), 0);
	cr_assert_gt(sd_bus_message_read(reply, "{sv}", &name, "s", &value), 0);
	cr_assert_str_eq(name, "Link");
	cr_assert_str_eq(value, "alice-bob");
	sd_bus_message_unref(reply);
}

static int count_question(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	unsigned *questions = userdata;

	if (!sd_bus_message_is_method_call(message, "org.freedesktop.DBus",
					   "GetConnectionCredentials"))
		return 0;
	++*questions;
	return 1;
}

/* A connection that overhears what keyringd asks the bus. */
static sd_bus *eavesdrop(unsigned *questions)
{
	sd_bus *bus = connect_bus();

	sd_bus_add_filter(bus, NULL, count_question, questions);
	cr_assert_geq(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
					 "org.freedesktop.DBus", "AddMatch", NULL, NULL, "s",
					 "eavesdrop='true',type='method_call',"
					 "member='GetConnectionCredentials'"),
		      0);
	return bus;
}

static void destroy_a_key(void)
{
	reply = sd_bus_message_unref(reply);
	cr_assert_geq(sd_bus_call_method_async(caller, NULL, BUS_API_NAME, BUS_API_PATH,
					       BUS_API_INTERFACE, "DestroyKey", on_reply, NULL,
					       "ss", "bob", "01000000-0000-0000-0000-000000000000"),
		      0);
	run_until(is_answered);
	cr_assert_not(sd_bus_message_is_method_error(reply, NULL));
	cr_assert_eq(fake.owner, getuid());
}

Test(keyringd_links, asks_the_bus_once_who_calls)
{
	unsigned questions = 0;
	sd_bus *overhearing = eavesdrop(&questions);

	caller = connect_bus();
	destroy_a_key();
	destroy_a_key();
	for (int i = 0; i < 20; i++)
		sd_event_run(event, 5000);
	cr_assert_eq(fake.destroyed, 2);
	cr_assert_eq(questions, 1);
	sd_bus_message_unref(reply);
	sd_bus_close_unref(overhearing);
}

static bool has_lost_the_bus(void)
{
	return bus_connection_get(keyringd) == NULL && api.links == NULL;
}

Test(keyringd_links, goes_on_when_the_bus_daemon_dies)
{
	start_linkd();
	run_until(sees_link);
	kill(bus_daemon.pid, SIGKILL);
	run_until(has_lost_the_bus);
}
