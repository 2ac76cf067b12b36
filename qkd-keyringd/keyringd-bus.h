/* SPDX-License-Identifier: MIT */
#pragma once

/* keyringd on the system bus (or another one by address): owns org.qkd.Keyring1 there. */

#include "bus-api.h"
#include "common/bus-connection.h"

/* address: "system", or a D-Bus address. api is borrowed; its links are set while connected. */
int keyringd_bus_new(sd_event *event, const char *address, struct bus_api *api,
		     struct bus_connection **ret);
