/* SPDX-License-Identifier: MIT */

/*
 * The object /org/qkd/Link1: properties read from link_status(), two methods, one signal.
 */

#include "qkd-linkd/link-bus.h"

#include <ctype.h>
#include <systemd/sd-bus.h>

#include "common/log.h"
#include "common/statistics-bus.h"

#define OBJECT      "/org/qkd/Link1"
#define INTERFACE   "org.qkd.Link1"
#define NAME_PREFIX "org.qkd.Link1."

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"

struct link_bus {
	sd_event *event;
	struct link *link;
	char *address;
	char name[LINK_BUS_NAME_MAX];
	sd_bus *bus;
	sd_event_source *retry;
	bool is_connected;
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

static int on_start(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;
	int r = link_start(self->link);

	return r < 0 ? r : sd_bus_reply_method_return(message, NULL);
}

static int on_stop(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *self = userdata;

	link_stop(self->link);
	return sd_bus_reply_method_return(message, NULL);
}

#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED /* who may call is the bus policy's */
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
	SD_BUS_SIGNAL_WITH_NAMES(
		"KeysAgreed", "stt",
		SD_BUS_PARAM(directory) SD_BUS_PARAM(first_sequence) SD_BUS_PARAM(count), 0),
	SD_BUS_VTABLE_END,
};

/* Connection */

static int retry_later(struct link_bus *bus);

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *bus = userdata;

	log_warning("The bus daemon is gone; trying to reach it again");
	bus->is_connected = false;
	statistics_bus_forget(link_statistics_bus(bus->link), bus->bus);
	sd_bus_detach_event(bus->bus);
	bus->bus = sd_bus_close_unref(bus->bus);
	return retry_later(bus);
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct link_bus *bus = userdata;

	if (sd_bus_message_is_method_error(reply, NULL))
		log_error("The bus does not give us the name %s: %s", bus->name,
			  sd_bus_message_get_error(reply)->message);
	return 0;
}

static int on_connected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct link_bus *bus = userdata;
	int r = sd_bus_request_name_async(bus->bus, NULL, bus->name, 0, on_name, bus);

	if (r < 0)
		log_warning("Cannot ask for the name %s: %s", bus->name, strerror(-r));
	bus->is_connected = r >= 0;
	return 0;
}

static int match_local(struct link_bus *bus, const char *member, sd_bus_message_handler_t handler)
{
	return sd_bus_match_signal(bus->bus, NULL, NULL, "/org/freedesktop/DBus/Local",
				   "org.freedesktop.DBus.Local", member, handler, bus);
}

static int prepare(struct link_bus *bus)
{
	int r = sd_bus_set_address(bus->bus, bus->address);

	if (r >= 0)
		r = sd_bus_set_bus_client(bus->bus, true);
	if (r >= 0)
		r = sd_bus_set_watch_bind(bus->bus, true);
	if (r >= 0)
		r = sd_bus_set_connected_signal(bus->bus, true);
	if (r >= 0)
		r = match_local(bus, "Connected", on_connected);
	if (r >= 0)
		r = match_local(bus, "Disconnected", on_disconnected);
	if (r >= 0)
		r = sd_bus_add_object_vtable(bus->bus, NULL, OBJECT, INTERFACE, vtable, bus);
	if (r >= 0)
		r = statistics_bus_attach(link_statistics_bus(bus->link), bus->bus);
	if (r >= 0)
		r = sd_bus_start(bus->bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus->bus, bus->event, SD_EVENT_PRIORITY_NORMAL);
	return r;
}

static int connect_bus(struct link_bus *bus)
{
	int r = sd_bus_new(&bus->bus);

	if (r < 0)
		return r;
	r = prepare(bus);
	if (r < 0)
		bus->bus = sd_bus_close_unref(bus->bus);
	return r;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link_bus *bus = userdata;
	int r = connect_bus(bus);

	if (r >= 0)
		return 0;
	log_debug("No bus yet: %s", strerror(-r));
	return retry_later(bus);
}

static int retry_later(struct link_bus *bus)
{
	bus->retry = sd_event_source_disable_unref(bus->retry);
	return sd_event_add_time_relative(bus->event, &bus->retry, CLOCK_MONOTONIC,
					  LINK_BUS_RETRY_USEC, 0, on_retry, bus);
}

static const char *resolve_address(const char *address)
{
	const char *given;

	if (!str_equal(address, "system"))
		return address;
	given = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
	return given ? given : SYSTEM_BUS_ADDRESS;
}

int link_bus_new(sd_event *event, const char *address, struct link *link, struct link_bus **ret)
{
	_cleanup_(link_bus_freep) struct link_bus *bus = calloc(1, sizeof(*bus));
	struct link_status status;
	int r;

	if (!bus)
		return -ENOMEM;
	bus->event = sd_event_ref(event);
	bus->link = link;
	bus->address = strdup(resolve_address(address));
	if (!bus->address)
		return -ENOMEM;
	link_status(link, &status);
	link_bus_name(status.link, bus->name);
	r = connect_bus(bus);
	if (r < 0) {
		log_warning("Cannot reach the bus at %s: %s", bus->address, strerror(-r));
		r = retry_later(bus);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(bus);
	return 0;
}

struct link_bus *link_bus_free(struct link_bus *bus)
{
	if (!bus)
		return NULL;
	sd_bus_flush_close_unref(bus->bus);
	sd_event_source_disable_unref(bus->retry);
	sd_event_unref(bus->event);
	free(bus->address);
	free(bus);
	return NULL;
}

/* Signals */

void link_bus_state_changed(struct link_bus *bus)
{
	if (bus && bus->is_connected)
		(void)sd_bus_emit_properties_changed(bus->bus, OBJECT, INTERFACE, "State",
						     "Connected", "Directory", "LastError", NULL);
}

void link_bus_keys_agreed(struct link_bus *bus, const char *directory, uint64_t first,
			  uint64_t count)
{
	if (!bus || !bus->is_connected)
		return;
	if (sd_bus_emit_signal(bus->bus, OBJECT, INTERFACE, "KeysAgreed", "stt", directory, first,
			       count) < 0)
		log_debug("KeysAgreed was not sent");
}
