/* SPDX-License-Identifier: MIT */
/*
 * The connection to the bus daemon. What a daemon does goes on without one, so no failure here ends
 * it: it is told, and tried again.
 */

#include "common/bus-connection.h"

#include <syslog.h>

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"
#define LOCAL_PATH         "/org/freedesktop/DBus/Local"
#define LOCAL_INTERFACE    "org.freedesktop.DBus.Local"
#define TROUBLE_MAX_CHARS  256

struct bus_connection {
	sd_event *event;
	char *address, *name;
	struct bus_connection_handler handler;
	void *userdata;
	sd_bus *bus;
	sd_event_source *retry;
};

static int retry_later(struct bus_connection *c);

static void tell(struct bus_connection *c, int level, const char *what, const char *why)
{
	char text[TROUBLE_MAX_CHARS];

	snprintf(text, sizeof(text), "%s: %s", what, why);
	c->handler.trouble(level, text, c->userdata);
}

static void disconnect(struct bus_connection *c)
{
	if (!c->bus)
		return;
	if (c->handler.forget)
		c->handler.forget(c->bus, c->userdata);
	sd_bus_detach_event(c->bus);
	c->bus = sd_bus_close_unref(c->bus);
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct bus_connection *c = userdata;

	c->handler.trouble(LOG_WARNING, "The bus daemon is gone; trying to reach it again",
			   c->userdata);
	disconnect(c);
	retry_later(c);
	return 0;
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus_connection *c = userdata;

	if (sd_bus_message_is_method_error(reply, NULL))
		tell(c, LOG_ERR, "The bus does not give us our name",
		     sd_bus_message_get_error(reply)->message);
	return 0;
}

static int on_connected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct bus_connection *c = userdata;
	int r = 0;

	if (c->name)
		r = sd_bus_request_name_async(c->bus, NULL, c->name, 0, on_name, c);
	if (r >= 0 && c->handler.connected)
		r = c->handler.connected(c->bus, c->userdata);
	if (r < 0)
		tell(c, LOG_WARNING, "Cannot serve the bus", strerror(-r));
	return 0;
}

static int match_local(struct bus_connection *c, const char *member,
		       sd_bus_message_handler_t handler)
{
	return sd_bus_match_signal(c->bus, NULL, NULL, LOCAL_PATH, LOCAL_INTERFACE, member, handler,
				   c);
}

/* Begins to connect; a socket that is not there yet is waited for. */
static int prepare(struct bus_connection *c)
{
	int r = sd_bus_set_address(c->bus, c->address);

	if (r >= 0)
		r = sd_bus_set_bus_client(c->bus, true);
	if (r >= 0)
		r = sd_bus_set_watch_bind(c->bus, true);
	if (r >= 0)
		r = sd_bus_set_connected_signal(c->bus, true);
	if (r >= 0)
		r = match_local(c, "Connected", on_connected);
	if (r >= 0)
		r = match_local(c, "Disconnected", on_disconnected);
	if (r >= 0)
		r = c->handler.attach(c->bus, c->userdata);
	if (r >= 0)
		r = sd_bus_start(c->bus);
	if (r >= 0)
		r = sd_bus_attach_event(c->bus, c->event, SD_EVENT_PRIORITY_NORMAL);
	return r;
}

static int connect_bus(struct bus_connection *c)
{
	int r = sd_bus_new(&c->bus);

	if (r < 0)
		return r;
	r = prepare(c);
	if (r < 0)
		c->bus = sd_bus_close_unref(c->bus);
	return r;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus_connection *c = userdata;
	int r = connect_bus(c);

	if (r >= 0)
		return 0;
	tell(c, LOG_DEBUG, "No bus yet", strerror(-r));
	return retry_later(c);
}

static int retry_later(struct bus_connection *c)
{
	c->retry = sd_event_source_disable_unref(c->retry);
	return sd_event_add_time_relative(c->event, &c->retry, CLOCK_MONOTONIC,
					  BUS_CONNECTION_RETRY_USEC, 0, on_retry, c);
}

static const char *resolve_address(const char *address)
{
	const char *given;

	if (!str_equal(address, BUS_CONNECTION_SYSTEM))
		return address;
	given = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
	return given ? given : SYSTEM_BUS_ADDRESS;
}

static int begin(struct bus_connection *c)
{
	int r = connect_bus(c);

	if (r >= 0 || r == -EINVAL) /* no address at all */
		return r;
	tell(c, LOG_WARNING, "Cannot reach the bus, trying again", strerror(-r));
	return retry_later(c);
}

int bus_connection_new(sd_event *event, const char *address, const char *name,
		       const struct bus_connection_handler *handler, void *userdata,
		       struct bus_connection **ret)
{
	_cleanup_(bus_connection_freep) struct bus_connection *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->event = sd_event_ref(event);
	c->handler = *handler;
	c->userdata = userdata;
	c->address = strdup(resolve_address(address));
	c->name = name ? strdup(name) : NULL;
	if (!c->address || (name && !c->name))
		return -ENOMEM;
	r = begin(c);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

struct bus_connection *bus_connection_free(struct bus_connection *c)
{
	if (!c)
		return NULL;
	if (c->bus)
		sd_bus_flush(c->bus);
	disconnect(c);
	sd_event_source_disable_unref(c->retry);
	sd_event_unref(c->event);
	free(c->address);
	free(c->name);
	free(c);
	return NULL;
}

sd_bus *bus_connection_get(const struct bus_connection *c)
{
	return c && c->bus && sd_bus_is_ready(c->bus) > 0 ? c->bus : NULL;
}
