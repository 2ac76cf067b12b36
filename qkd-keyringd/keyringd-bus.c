/* SPDX-License-Identifier: MIT */
/*
 * keyringd's objects and name on a bus. Upcalls go on without one.
 */

#include "keyringd-bus.h"

#include "common/log.h"

static int attach(sd_bus *bus, void *userdata)
{
	return bus_api_attach(userdata, bus);
}

static int connected(sd_bus *bus, void *userdata)
{
	struct bus_api *api = userdata;

	devices_start_all(api->devices, bus);
	return keyringd_links_new(bus, api->issuer, &api->links);
}

static void forget(sd_bus *bus, void *userdata)
{
	struct bus_api *api = userdata;

	api->links = keyringd_links_free(api->links);
	bus_api_forget(api, bus);
}

static void trouble(int level, const char *what, void *userdata)
{
	log_line(level, "%s", what);
}

int keyringd_bus_new(sd_event *event, const char *address, struct bus_api *api,
		     struct bus_connection **ret)
{
	static const struct bus_connection_handler handler = {
		.attach = attach,
		.connected = connected,
		.forget = forget,
		.trouble = trouble,
	};

	return bus_connection_new(event, address, BUS_API_NAME, &handler, api, ret);
}
