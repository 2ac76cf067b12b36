/* SPDX-License-Identifier: MIT */
/*
 * The connection to the bus daemon. Upcalls go on without one, so no failure here ends the daemon:
 * it is logged, and tried again.
 */

#include "keyringd-bus.h"

#include "common/log.h"

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"

struct keyringd_bus {
	sd_event *event;
	char *address;
	struct bus_api *api;
	sd_bus *bus;
	sd_event_source *retry;
};

static int retry_later(struct keyringd_bus *bus);

static void disconnect(struct keyringd_bus *bus)
{
	if (!bus->bus)
		return;
	bus->api->links = keyringd_links_free(bus->api->links);
	bus_api_forget(bus->api, bus->bus);
	sd_bus_detach_event(bus->bus);
	bus->bus = sd_bus_close_unref(bus->bus);
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct keyringd_bus *bus = userdata;

	log_warning("The bus daemon is gone; trying to reach it again");
	disconnect(bus);
	retry_later(bus);
	return 0;
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	if (sd_bus_message_is_method_error(reply, NULL))
		log_error("The bus does not give us the name %s: %s", BUS_API_NAME,
			  sd_bus_message_get_error(reply)->message);
	return 0;
}

static int on_connected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct keyringd_bus *bus = userdata;
	int r = sd_bus_request_name_async(bus->bus, NULL, BUS_API_NAME, 0, on_name, bus);

	if (r >= 0)
		r = keyringd_links_new(bus->bus, bus->api->issuer, &bus->api->links);
	if (r < 0)
		log_warning("Cannot serve the bus: %s", strerror(-r));
	return 0;
}

static int add_local_matches(struct keyringd_bus *bus)
{
	int r = sd_bus_match_signal(bus->bus, NULL, NULL, "/org/freedesktop/DBus/Local",
				    "org.freedesktop.DBus.Local", "Connected", on_connected, bus);

	if (r < 0)
		return r;
	return sd_bus_match_signal(bus->bus, NULL, NULL, "/org/freedesktop/DBus/Local",
				   "org.freedesktop.DBus.Local", "Disconnected", on_disconnected,
				   bus);
}

/* Begins to connect; a socket that is not there yet is waited for. */
static int prepare(struct keyringd_bus *bus)
{
	int r = sd_bus_set_address(bus->bus, bus->address);

	if (r < 0)
		return r;
	r = sd_bus_set_bus_client(bus->bus, true);
	if (r < 0)
		return r;
	r = sd_bus_set_watch_bind(bus->bus, true);
	if (r < 0)
		return r;
	r = sd_bus_set_connected_signal(bus->bus, true);
	if (r < 0)
		return r;
	r = add_local_matches(bus);
	if (r < 0)
		return r;
	r = bus_api_attach(bus->api, bus->bus);
	if (r < 0)
		return r;
	r = sd_bus_start(bus->bus);
	if (r < 0)
		return r;
	return sd_bus_attach_event(bus->bus, bus->event, SD_EVENT_PRIORITY_NORMAL);
}

static int connect_bus(struct keyringd_bus *bus)
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
	struct keyringd_bus *bus = userdata;
	int r = connect_bus(bus);

	if (r >= 0)
		return 0;
	log_debug("no bus yet: %s", strerror(-r));
	return retry_later(bus);
}

static int retry_later(struct keyringd_bus *bus)
{
	bus->retry = sd_event_source_disable_unref(bus->retry);
	return sd_event_add_time_relative(bus->event, &bus->retry, CLOCK_MONOTONIC,
					  KEYRINGD_BUS_RETRY_USEC, 0, on_retry, bus);
}

static const char *resolve_address(const char *address)
{
	const char *given;

	if (!str_equal(address, KEYRINGD_BUS_SYSTEM))
		return address;
	given = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
	return given ? given : SYSTEM_BUS_ADDRESS;
}

int keyringd_bus_new(sd_event *event, const char *address, struct bus_api *api,
		     struct keyringd_bus **ret)
{
	_cleanup_(keyringd_bus_freep) struct keyringd_bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return -ENOMEM;
	bus->event = sd_event_ref(event);
	bus->api = api;
	bus->address = strdup(resolve_address(address));
	if (!bus->address)
		return -ENOMEM;
	r = connect_bus(bus);
	if (r == -EINVAL)
		return r; /* no address at all */
	if (r < 0) {
		log_warning("Cannot reach the bus, trying again: %s", strerror(-r));
		r = retry_later(bus);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(bus);
	return 0;
}

struct keyringd_bus *keyringd_bus_free(struct keyringd_bus *bus)
{
	if (!bus)
		return NULL;
	if (bus->bus)
		sd_bus_flush(bus->bus);
	disconnect(bus);
	sd_event_source_disable_unref(bus->retry);
	sd_event_unref(bus->event);
	free(bus->address);
	free(bus);
	return NULL;
}

sd_bus *keyringd_bus_get(const struct keyringd_bus *bus)
{
	return bus && bus->bus && sd_bus_is_ready(bus->bus) > 0 ? bus->bus : NULL;
}
