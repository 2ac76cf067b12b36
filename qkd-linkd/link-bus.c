/* SPDX-License-Identifier: MIT */

/*
 * The object /org/qkd/Link1: properties read from link_status(), two methods, one signal.
 */

#include "qkd-linkd/link-bus.h"

#include <ctype.h>

#include "common/bus-authority.h"
#include "common/bus-connection.h"
#include "common/log.h"
#include "common/parameters-bus.h"
#include "common/statistics-bus.h"

#define OBJECT      "/org/qkd/Link1"
#define INTERFACE   "org.qkd.Link1"
#define NAME_PREFIX "org.qkd.Link1."

struct link_bus {
	struct link *link;
	struct bus_callers *callers;
	struct bus_authority *authority;
	struct bus_connection *connection;
};

void link_bus_name(const char *link, char ret_name[static LINK_BUS_NAME_MAX])
{
	size_t n = (size_t)snprintf(ret_name, LINK_BUS_NAME_MAX, NAME_PREFIX "%s%s",
				    isdigit((unsigned char)link[0]) ? "_" : "", link);

	for (size_t i = strlen(NAME_PREFIX); i < MIN(n, (size_t)LINK_BUS_NAME_MAX); i++)
		if (!isalnum((unsigned char)ret_name[i]) && ret_name[i] != '\0')
			ret_name[i] = '_';
}

/* Properties */

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	static const struct {
		const char *property;
		size_t offset;
	} texts[] = {
		{"Link", offsetof(struct link_status, link)},
		{"Site", offsetof(struct link_status, site)},
		{"Peer", offsetof(struct link_status, peer)},
		{"State", offsetof(struct link_status, state)},
		{"Device", offsetof(struct link_status, device)},
		{"Driver", offsetof(struct link_status, driver)},
		{"Directory", offsetof(struct link_status, directory)},
		{"LastError", offsetof(struct link_status, last_error)},
		{"PeerError", offsetof(struct link_status, peer_error)},
	};
	struct link_bus *self = userdata;
	struct link_status status;

	link_status(self->link, &status);
	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		if (str_equal(property, texts[i].property))
			return sd_bus_message_append(
				reply, "s", *(const char **)((char *)&status + texts[i].offset));
	return -ENOENT;
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;
	struct link_status status;

	link_status(self->link, &status);
	if (str_equal(property, "NextSequence"))
		return sd_bus_message_append(reply, "t", status.next_sequence);
	if (str_equal(property, "KeysAgreed"))
		return sd_bus_message_append(reply, "t", status.keys_agreed);
	if (str_equal(property, "KeysPerSecond"))
		return sd_bus_message_append(reply, "d", status.keys_per_second);
	if (str_equal(property, "ErrorRate"))
		return sd_bus_message_append(reply, "d", status.error_rate);
	if (str_equal(property, "Alarm"))
		return sd_bus_message_append(reply, "b", (int)status.alarm);
	if (str_equal(property, "KeyBits"))
		return sd_bus_message_append(reply, "u", status.key_bits);
	if (str_equal(property, "OpenTransactions"))
		return sd_bus_message_append(reply, "u", status.open_transactions);
	if (str_equal(property, "Connected"))
		return sd_bus_message_append(reply, "b", (int)status.connected);
	return -ENOENT;
}

/* Methods */

static int start(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;
	int r = link_start(self->link);

	return r < 0 ? r : sd_bus_reply_method_return(message, NULL);
}

static int stop(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;

	link_stop(self->link);
	return sd_bus_reply_method_return(message, NULL);
}

static int set_parameter(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;

	return parameters_bus_set(link_parameters(self->link), message);
}

static int on_start(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;

	return bus_authority_run(self->authority, message, BUS_ACTION_LINKS, start, self);
}

static int on_stop(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;

	return bus_authority_run(self->authority, message, BUS_ACTION_LINKS, stop, self);
}

static int on_set_parameter(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;

	return bus_authority_run(self->authority, message, BUS_ACTION_PARAMETERS, set_parameter,
				 self);
}

static int on_list_parameters(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;

	return parameters_bus_list(link_parameters(self->link), message);
}

/* Who may call is the bus policy's, and of what changes something bus-authority.c's. */
#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED
#define CONST        SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES      SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Link", "s", get_text, 0, CONST),
	SD_BUS_PROPERTY("Site", "s", get_text, 0, CONST),
	SD_BUS_PROPERTY("Peer", "s", get_text, 0, CONST),
	SD_BUS_PROPERTY("State", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("Device", "s", get_text, 0, CONST),
	SD_BUS_PROPERTY("Driver", "s", get_text, 0, CONST),
	SD_BUS_PROPERTY("Directory", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("KeyBits", "u", get_number, 0, CONST),
	SD_BUS_PROPERTY("NextSequence", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("KeysAgreed", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("KeysPerSecond", "d", get_number, 0, 0),
	SD_BUS_PROPERTY("OpenTransactions", "u", get_number, 0, 0),
	SD_BUS_PROPERTY("Connected", "b", get_number, 0, CHANGES),
	SD_BUS_PROPERTY("LastError", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("PeerError", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("ErrorRate", "d", get_number, 0, 0),
	SD_BUS_PROPERTY("Alarm", "b", get_number, 0, 0),
	SD_BUS_METHOD("Start", NULL, NULL, on_start, UNPRIVILEGED),
	SD_BUS_METHOD("Stop", NULL, NULL, on_stop, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetParameter", SD_BUS_ARGS("s", name, "s", value),
				SD_BUS_NO_RESULT, on_set_parameter, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListParameters", SD_BUS_NO_ARGS,
				SD_BUS_RESULT("a(ssb)", parameters), on_list_parameters,
				UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_NAMES(
		"KeysAgreed", "stt",
		SD_BUS_PARAM(directory) SD_BUS_PARAM(first_sequence) SD_BUS_PARAM(count), 0),
	SD_BUS_VTABLE_END,
};

/* Connection */

static int attach(sd_bus *bus, void *userdata)
{
	struct link_bus *self = userdata;
	int r = sd_bus_add_object_vtable(bus, NULL, OBJECT, INTERFACE, vtable, self);

	return r < 0 ? r : statistics_bus_attach(link_statistics_bus(self->link), bus);
}

static void forget(sd_bus *bus, void *userdata)
{
	struct link_bus *self = userdata;

	statistics_bus_forget(link_statistics_bus(self->link), bus);
	bus_authority_forget(self->authority, bus);
	bus_callers_forget(self->callers);
}

static void trouble(int level, const char *what, void *userdata)
{
	log_line(level, "%s", what);
}

int link_bus_new(sd_event *event, const char *address, struct link *link, struct link_bus **ret)
{
	static const struct bus_connection_handler handler = {
		.attach = attach, .forget = forget, .trouble = trouble};
	_cleanup_(link_bus_freep) struct link_bus *bus = calloc(1, sizeof(*bus));
	char name[LINK_BUS_NAME_MAX];
	struct link_status status;
	int r;

	if (!bus)
		return -ENOMEM;
	bus->link = link;
	link_status(link, &status);
	link_bus_name(status.link, name);
	r = bus_callers_new(&bus->callers);
	if (r >= 0)
		r = bus_authority_new(bus->callers, &bus->authority);
	if (r >= 0)
		r = bus_connection_new(event, address, name, &handler, bus, &bus->connection);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

struct link_bus *link_bus_free(struct link_bus *bus)
{
	if (!bus)
		return NULL;
	bus_connection_free(bus->connection);
	bus_authority_free(bus->authority);
	bus_callers_free(bus->callers);
	free(bus);
	return NULL;
}

/* Signals */

void link_bus_state_changed(struct link_bus *bus)
{
	sd_bus *on = bus ? bus_connection_get(bus->connection) : NULL;

	if (on)
		(void)sd_bus_emit_properties_changed(on, OBJECT, INTERFACE, "State", "Connected",
						     "Directory", "LastError", NULL);
}

void link_bus_keys_agreed(struct link_bus *bus, const char *directory, uint64_t first,
			  uint64_t count)
{
	sd_bus *on = bus ? bus_connection_get(bus->connection) : NULL;

	if (on && sd_bus_emit_signal(on, OBJECT, INTERFACE, "KeysAgreed", "stt", directory, first,
				     count) < 0)
		log_debug("KeysAgreed was not sent");
}
