/* SPDX-License-Identifier: MIT */
/* org.qkd.Keyring1 over our own socket: a client and the server on one loop, a fake issuer behind.
 */

#include <criterion/criterion.h>

#include "fake-issuer.h"
#include "fake-paths.h"
#include "qkd-keyringd/keyringd-direct-bus.h"

#define XML_FILE "docs/dbus/org.qkd.Keyring1.xml"

static sd_event *event;
static struct admission admission;
static struct bus_api api;
static struct keyringd_direct_bus *server;
static sd_bus *client;
static char path[] = "/tmp/qkd-test-bus-XXXXXX";

static void set_policy(const char *user)
{
	char file[] = "/tmp/qkd-test-bus-policy-XXXXXX";
	int fd = mkstemp(file);
	struct policy *policy;

	dprintf(fd, "{\"rules\": [{\"users\": [%s]}]}", user);
	close(fd);
	cr_assert_eq(policy_load(file, &policy_system_names, stderr, &policy), 0);
	unlink(file);
	admission_set_policy(&admission, policy);
}

static void set_up(void)
{
	char address[64], uid[16];

	close(mkstemp(path));
	sd_event_new(&event);
	admission_init(&admission, NULL, NULL);
	snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
	set_policy(uid);
	api.site = "alice";
	cr_assert_eq(bus_calls_init(&api.calls, &admission), 0);
	cr_assert_eq(bus_authority_new(api.calls.callers, &api.authority), 0);
	cr_assert_eq(keyringd_direct_bus_new(event, path, &api, &server), 0);

	snprintf(address, sizeof(address), "unix:path=%s", path);
	sd_bus_new(&client);
	sd_bus_set_address(client, address);
	cr_assert_geq(sd_bus_start(client), 0);
	sd_bus_attach_event(client, event, 0);
}

static void tear_down(void)
{
	sd_bus_close_unref(client);
	keyringd_direct_bus_free(server);
	bus_authority_free(api.authority);
	bus_calls_done(&api.calls);
	admission_done(&admission);
	sd_event_unref(event);
	cr_assert_neq(access(path, F_OK), 0, "the socket is gone");
}

TestSuite(bus_api, .init = set_up, .fini = tear_down);

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	*(sd_bus_message **)userdata = sd_bus_message_ref(reply);
	return 0;
}

/* Runs the loop until the answer is here, or the issuer has been asked. */
static void wait_for(sd_bus_message **reply)
{
	for (int i = 0; i < 1000 && !*reply && !fake.pending; i++)
		sd_event_run(event, 10000);
}

#define call(ret_reply, object, interface, member, ...)                                           \
	do {                                                                                      \
		cr_assert_geq(sd_bus_call_method_async(client, NULL, NULL, object, interface,     \
						       member, on_reply, ret_reply, __VA_ARGS__), \
			      0);                                                                 \
		wait_for(ret_reply);                                                              \
	} while (0)

#define call_keyring(ret_reply, member, ...) \
	call(ret_reply, BUS_API_PATH, BUS_API_INTERFACE, member, __VA_ARGS__)

static void answer(sd_bus_message **reply, int result, const struct uuid *ids, size_t count)
{
	cr_assert(fake.pending);
	fake.pending = false;
	fake.operation.reserved(result, ids, count, fake.operation.userdata);
	wait_for(reply);
	cr_assert_not_null(*reply);
}

static const struct uuid two_ids[] = {{{1}}, {{2}}};

Test(bus_api, reserves_a_new_key_for_the_caller_and_answers_its_id)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *id;

	call_keyring(&reply, "GetNewKey", "su", "bob", 256);
	cr_assert_str_eq(fake.peer, "bob");
	cr_assert_eq(fake.bits, 256);
	cr_assert_eq(fake.count, 1);
	cr_assert_eq(fake.owner, getuid());
	answer(&reply, 0, two_ids, 1);
	cr_assert_gt(sd_bus_message_read(reply, "s", &id), 0);
	cr_assert_str_eq(id, "01000000-0000-0000-0000-000000000000");
}

Test(bus_api, reserves_many_keys_in_one_call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *first, *second;

	call_keyring(&reply, "GetNewKeys", "suu", "bob", 0, 2);
	cr_assert_eq(fake.count, 2);
	answer(&reply, 0, two_ids, 2);
	cr_assert_gt(sd_bus_message_read(reply, "as", 2, &first, &second), 0);
	cr_assert_str_eq(second, "02000000-0000-0000-0000-000000000000");
}

Test(bus_api, reserves_an_existing_key)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	call_keyring(&reply, "GetExistingKey", "ss", "bob", "01000000-0000-0000-0000-000000000000");
	cr_assert(uuid_equal(&fake.id, &two_ids[0]));
	answer(&reply, 0, two_ids, 1);
	cr_assert_not(sd_bus_message_is_method_error(reply, NULL));
}

Test(bus_api, destroys_a_key_of_the_caller)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	call_keyring(&reply, "DestroyKey", "ss", "bob", "02000000-0000-0000-0000-000000000000");
	cr_assert_eq(fake.destroyed, 1);
	cr_assert(uuid_equal(&fake.id, &two_ids[1]));
	cr_assert_eq(fake.owner, getuid());
	cr_assert_not(sd_bus_message_is_method_error(reply, NULL));
}

Test(bus_api, tells_errors_by_their_names)
{
	static const struct {
		int result;
		const char *name;
	} cases[] = {
		{-ENOKEY, "org.qkd.Error.NoSuchPeer"},       {-ETIMEDOUT, "org.qkd.Error.Timeout"},
		{-EKEYEXPIRED, "org.qkd.Error.Spent"},       {-EACCES, "org.qkd.Error.NotAllowed"},
		{-EINVAL, "org.qkd.Error.Invalid"},          {-EDQUOT, "org.qkd.Error.Quota"},
		{-EIO, "org.freedesktop.DBus.Error.Failed"},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

		call_keyring(&reply, "GetNewKey", "su", "bob", 0);
		answer(&reply, cases[i].result, NULL, 0);
		cr_assert(sd_bus_message_is_method_error(reply, cases[i].name), "%s",
			  cases[i].name);
	}
}

static void assert_refused(const char *member, const char *types, const char *peer, uint32_t bits,
			   uint32_t count)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	call_keyring(&reply, member, types, peer, bits, count);
	cr_assert_not(fake.pending);
	cr_assert(sd_bus_message_is_method_error(reply, "org.qkd.Error.Invalid"));
}

Test(bus_api, refuses_arguments_outside_their_limits)
{
	assert_refused("GetNewKey", "su", "../bob", 0, 0);
	assert_refused("GetNewKey", "su", "", 0, 0);
	assert_refused("GetNewKey", "su", "bob", 7, 0);
	assert_refused("GetNewKey", "su", "bob", 8192, 0);
	assert_refused("GetNewKeys", "suu", "bob", 0, 0);
	assert_refused("GetNewKeys", "suu", "bob", 0, 1025);
}

Test(bus_api, refuses_an_id_that_is_none)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	call_keyring(&reply, "GetExistingKey", "ss", "bob", "01");
	cr_assert(sd_bus_message_is_method_error(reply, "org.qkd.Error.Invalid"));
}

Test(bus_api, refuses_whom_the_policy_refuses)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	set_policy("4000000000");
	call_keyring(&reply, "GetNewKey", "su", "bob", 0);
	cr_assert_not(fake.pending);
	cr_assert(sd_bus_message_is_method_error(reply, "org.qkd.Error.NotAllowed"));
}

Test(bus_api, cancels_the_calls_of_a_client_that_went_away)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	call_keyring(&reply, "GetNewKey", "su", "bob", 0);
	cr_assert_eq(api.calls.open_count, 1);
	sd_bus_close(client);
	for (int i = 0; i < 100 && api.calls.open_count > 0; i++)
		sd_event_run(event, 10000);
	cr_assert_eq(api.calls.open_count, 0);
	cr_assert(fake.cancelled);
}

Test(bus_api, shows_a_store_for_each_peer)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	uint64_t available;

	call(&reply, "/org/qkd/Keyring1/store/carol_2d1", "org.freedesktop.DBus.Properties", "Get",
	     "ss", BUS_API_STORE, "AvailablePeer");
	cr_assert_gt(sd_bus_message_read(reply, "v", "t", &available), 0);
	cr_assert_eq(available, 21);
}

Test(bus_api, lists_the_stores_as_managed_objects)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	unsigned stores = 0;

	call(&reply, BUS_API_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
	cr_assert_gt(sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}"), 0);
	while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
		const char *object;

		sd_bus_message_read(reply, "o", &object);
		stores += strncmp(object, BUS_API_STORE_PATH "/", sizeof(BUS_API_STORE_PATH)) == 0;
		sd_bus_message_skip(reply, "a{sa{sv}}");
		sd_bus_message_exit_container(reply);
	}
	cr_assert_eq(stores, 2);
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	*(sd_bus_message **)userdata = sd_bus_message_ref(message);
	return 0;
}

static void emit(sd_bus *bus, void *userdata)
{
	bus_api_emit_label_reserved(bus, "bob", "vpn1", &two_ids[0]);
	bus_api_emit_low_water(bus, "bob", 7);
	bus_api_emit_store_changed(bus, "bob");
}

Test(bus_api, signals_labels_low_water_and_changes_of_a_store)
{
	static const char *const members[] = {"LabelReserved", "LowWater", "PropertiesChanged"};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	sd_bus_message *signals[3] = {NULL};

	for (size_t i = 0; i < ELEMENTSOF(members); i++)
		sd_bus_match_signal(client, NULL, NULL, NULL, NULL, members[i], on_signal,
				    &signals[i]);
	call_keyring(&reply, "DestroyKey", "ss", "bob", "02000000-0000-0000-0000-000000000000");
	keyringd_direct_bus_foreach(server, emit, NULL);
	for (size_t i = 0; i < ELEMENTSOF(members); i++) {
		wait_for(&signals[i]);
		cr_assert_not_null(signals[i], "%s", members[i]);
		sd_bus_message_unref(signals[i]);
	}
}

static char *read_file(const char *name)
{
	FILE *file = fopen(name, "r");
	char *text = NULL;
	size_t size = 0;

	cr_assert_not_null(file, "%s", name);
	cr_assert_gt(getdelim(&text, &size, '\0', file), 0);
	fclose(file);
	return text;
}

/* The lines of one interface, allocated. */
static char *interface_of(const char *xml, const char *name)
{
	char opening[64];
	const char *begin, *end;

	snprintf(opening, sizeof(opening), " <interface name=\"%s\">\n", name);
	begin = strstr(xml, opening);
	cr_assert_not_null(begin, "%s in\n%s", name, xml);
	end = strstr(begin, "</interface>");
	cr_assert_not_null(end);
	return strndup(begin, (size_t)(end - begin));
}

static void assert_documented(const char *object, const char *interface)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(freep) char *file = read_file(XML_FILE);
	_cleanup_(freep) char *documented = interface_of(file, interface), *running = NULL;
	const char *xml;

	call(&reply, object, "org.freedesktop.DBus.Introspectable", "Introspect", NULL);
	cr_assert_gt(sd_bus_message_read(reply, "s", &xml), 0);
	running = interface_of(xml, interface);
	cr_assert_str_eq(running, documented);
}

Test(bus_api, is_what_the_introspection_file_says)
{
	assert_documented(BUS_API_PATH, BUS_API_INTERFACE);
	assert_documented("/org/qkd/Keyring1/store/bob", BUS_API_STORE);
}
