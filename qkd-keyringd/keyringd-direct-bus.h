/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Our own D-Bus socket, RUNTIME/bus: callers in a hurry speak to keyringd without the bus daemon in
 * between. The kernel vouches for who they are.
 */

#include "bus-api.h"

#define KEYRINGD_DIRECT_BUS_MAX 64 /* connections at once */

struct keyringd_direct_bus;

int keyringd_direct_bus_new(sd_event *event, const char *path, struct bus_api *api,
			    struct keyringd_direct_bus **ret);
struct keyringd_direct_bus *keyringd_direct_bus_free(struct keyringd_direct_bus *server);
DEFINE_CLEANUP(struct keyringd_direct_bus *, keyringd_direct_bus_free);
void keyringd_direct_bus_foreach(struct keyringd_direct_bus *server,
				 void (*each)(sd_bus *bus, void *userdata), void *userdata);
