/* SPDX-License-Identifier: MIT */
/* D-Bus properties as JSON. */

#include <criterion/criterion.h>
#include <sys/socket.h>

#include "common/macros.h"
#include "keyring-helpers/qkdctl/ctl-message.h"

static sd_bus *bus;

/* A bus that talks to nobody, because a message needs one. */
static void set_up(void)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	sd_bus_new(&bus);
	sd_bus_set_fd(bus, fds[0], fds[0]);
	cr_assert_geq(sd_bus_start(bus), 0);
}

static void tear_down(void)
{
	sd_bus_close_unref(bus);
}

TestSuite(ctl_message, .init = set_up, .fini = tear_down);

static sd_bus_message *new_message(void)
{
	sd_bus_message *message;

	cr_assert_geq(sd_bus_message_new_signal(bus, &message, "/a", "a.b", "C"), 0);
	return message;
}

static void seal(sd_bus_message *message)
{
	cr_assert_geq(sd_bus_message_seal(message, 1, 0), 0);
	cr_assert_geq(sd_bus_message_rewind(message, true), 0);
}

static void assert_json(json_t *json, const char *expected)
{
	_cleanup_(freep) char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	cr_assert_str_eq(text, expected);
	json_decref(json);
}

Test(ctl_message, reads_properties_of_all_simple_types)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message();
	json_t *json;

	sd_bus_message_append(message, "a{sv}", 5, "KeysPerSecond", "d", 2.5, "Connected", "b", 1,
			      "NextSequence", "t", (uint64_t)7, "Link", "s", "alice-bob", "Bits",
			      "u", 256u);
	seal(message);
	cr_assert_geq(ctl_message_read_properties(message, &json), 0);
	assert_json(json, "{\"bits\":256,\"connected\":true,\"keys_per_second\":2.5,"
			  "\"link\":\"alice-bob\",\"next_sequence\":7}");
}

Test(ctl_message, leaves_out_what_json_has_no_simple_type_for)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message();
	json_t *json;

	sd_bus_message_append(message, "a{sv}", 2, "Many", "as", 2, "x", "y", "One", "s", "z");
	seal(message);
	cr_assert_geq(ctl_message_read_properties(message, &json), 0);
	assert_json(json, "{\"one\":\"z\"}");
}

Test(ctl_message, reads_a_list_of_links)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message();
	json_t *json;

	sd_bus_message_append(message, "aa{sv}", 2, 1, "Link", "s", "a", 1, "Link", "s", "b");
	seal(message);
	cr_assert_geq(ctl_message_read_list(message, &json), 0);
	assert_json(json, "[{\"link\":\"a\"},{\"link\":\"b\"}]");
}

Test(ctl_message, reads_the_objects_that_have_the_interface)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message();
	json_t *json;

	sd_bus_message_append(message, "a{oa{sa{sv}}}", 2, "/x", 2, "other", 0, "wanted", 1, "Peer",
			      "s", "bob", "/y", 1, "other", 1, "Peer", "s", "no");
	seal(message);
	cr_assert_geq(ctl_message_read_objects(message, "wanted", &json), 0);
	assert_json(json, "[{\"peer\":\"bob\"}]");
}

Test(ctl_message, refuses_an_answer_of_another_type)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message();
	json_t *json = NULL;

	sd_bus_message_append(message, "s", "x");
	seal(message);
	cr_assert_lt(ctl_message_read_properties(message, &json), 0);
	cr_assert_lt(ctl_message_read_list(message, &json), 0);
	cr_assert_lt(ctl_message_read_objects(message, "wanted", &json), 0);
	cr_assert_null(json);
}
