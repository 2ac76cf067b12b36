/* SPDX-License-Identifier: MIT */
#pragma once

/* StartPath, StopPath, SetPath, ListPaths of org.qkd.Keyring1: answers the message, now or later.
 */

#include <systemd/sd-bus.h>

#include "path-manager.h"

#define PATH_BUS_MAX_TEXT 65536 /* of SetPath's JSON */

/* StartPath(as sites, u weight, u stock, u disjoint) */
int path_bus_start(struct path_manager *manager, sd_bus_message *message);
/* StopPath(as sites) */
int path_bus_stop(struct path_manager *manager, sd_bus_message *message);
/* SetPath(s peer, s paths): JSON as in path.h, or "" for what was started. */
int path_bus_set(struct path_manager *manager, const char *site, sd_bus_message *message);
/* ListPaths() -> aa{sv} */
int path_bus_list(struct path_manager *manager, struct multihop *multihop, sd_bus_message *message);
/* GetConnectedSites() -> as */
int path_bus_connected_sites(struct issuer *issuer, sd_bus_message *message);
