/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A daemon on the system bus (or another one by address): connects, owns its name there, and comes
 * back by itself when the bus daemon was not there yet or went away.
 */

#include <systemd/sd-bus.h>

#include "common/macros.h"

#define BUS_CONNECTION_RETRY_USEC (5 * USEC_PER_SEC)
#define BUS_CONNECTION_SYSTEM     "system"
#define BUS_CONNECTION_NONE       "none" /* for the caller to know: no connection at all */

struct bus_connection;

struct bus_connection_handler {
	/* Before a connection begins: puts objects on it. */
	int (*attach)(sd_bus *bus, void *userdata);
	/* The bus has answered; the name is asked for. May be NULL. */
	int (*connected)(sd_bus *bus, void *userdata);
	/* It ends: nothing goes over it any more. May be NULL. */
	void (*forget)(sd_bus *bus, void *userdata);
	/* For the log; level as syslog(3). */
	void (*trouble)(int level, const char *what, void *userdata);
};

/* address: "system", or a D-Bus address; -EINVAL when it is neither. name: to own; NULL for none.
 * Copied. A bus that is not there is no failure. */
int bus_connection_new(sd_event *event, const char *address, const char *name,
		       const struct bus_connection_handler *handler, void *userdata,
		       struct bus_connection **ret);
struct bus_connection *bus_connection_free(struct bus_connection *connection);
DEFINE_CLEANUP(struct bus_connection *, bus_connection_free);
/* NULL while we are not connected; borrowed. */
sd_bus *bus_connection_get(const struct bus_connection *connection);
