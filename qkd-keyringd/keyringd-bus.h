/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * keyringd on the system bus (or another one by address): owns org.qkd.Keyring1 there, and comes
 * back by itself when the bus daemon was not there yet or went away.
 */

#include "bus-api.h"

#define KEYRINGD_BUS_RETRY_USEC (5 * USEC_PER_SEC)
#define KEYRINGD_BUS_SYSTEM     "system"
#define KEYRINGD_BUS_NONE       "none"

struct keyringd_bus;

/* address: "system", or a D-Bus address. api is borrowed; its links are set while connected. */
int keyringd_bus_new(sd_event *event, const char *address, struct bus_api *api,
		     struct keyringd_bus **ret);
struct keyringd_bus *keyringd_bus_free(struct keyringd_bus *bus);
DEFINE_CLEANUP(struct keyringd_bus *, keyringd_bus_free);
/* NULL while we are not connected; borrowed. */
sd_bus *keyringd_bus_get(const struct keyringd_bus *bus);
