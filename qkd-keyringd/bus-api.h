/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * org.qkd.Keyring1 as D-Bus objects: what stands in docs/dbus/org.qkd.Keyring1.xml. The same
 * objects are put on the system bus and on every connection to our own socket.
 */

#include <systemd/sd-bus.h>

#include "bus-call.h"
#include "common/bus-authority.h"
#include "common/parameters-bus.h"
#include "common/statistics-bus.h"
#include "device-command.h"
#include "keyringd-links.h"
#include "path-manager.h"
#include "site-ping.h"

#define BUS_API_NAME         "org.qkd.Keyring1"
#define BUS_API_INTERFACE    "org.qkd.Keyring1"
#define BUS_API_STORE        "org.qkd.Keyring1.Store"
#define BUS_API_PATH         "/org/qkd/Keyring1"
#define BUS_API_STORE_PATH   "/org/qkd/Keyring1/store"
#define BUS_API_CHANGED_USEC USEC_PER_SEC /* a store's changes are told together */

/* What sd-bus hands to a store's properties. */
struct bus_api_store {
	struct bus_api *api;
	size_t index; /* the issuer's */
};

struct bus_api {
	const char *site;
	bool kernel_shared;
	struct issuer *issuer;
	struct bus_calls calls;
	struct bus_authority *authority; /* owned by whoever owns calls */
	struct parameters parameters;
	struct devices *devices;           /* or NULL: none can be added; borrowed */
	struct statistics_bus *statistics; /* or NULL; borrowed */
	struct multihop *multihop;         /* borrowed, with the next */
	struct path_manager *paths;        /* NULL before it is there */
	struct site_pings *pings;          /* borrowed */
	struct keyringd_links *links;      /* NULL while there is no bus with linkd on it */
	struct bus_api_store stores[ISSUE_MAX_PEERS];
};

/* The slots float: they go with the bus. */
int bus_api_attach(struct bus_api *api, sd_bus *bus);
/* The connection ends: nothing is done for whoever called over it any more. */
void bus_api_forget(struct bus_api *api, sd_bus *bus);
int bus_api_emit_label_reserved(sd_bus *bus, const char *peer, const char *label,
				const struct uuid *id);
int bus_api_emit_low_water(sd_bus *bus, const char *peer, uint64_t available);
int bus_api_emit_path_changed(sd_bus *bus, const struct path *path, bool up);
int bus_api_emit_store_changed(sd_bus *bus, const char *peer);
