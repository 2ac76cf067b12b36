/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The link on D-Bus: org.qkd.Link1, see org.qkd.Link1(5). Works without a bus, and finds it again
 * when it comes back.
 */

#include "qkd-linkd/link.h"

struct link_bus;

/* address: "system" or a D-Bus address. link is borrowed. */
int link_bus_new(sd_event *event, const char *address, struct link *link, struct link_bus **ret);
struct link_bus *link_bus_free(struct link_bus *bus);
DEFINE_CLEANUP(struct link_bus *, link_bus_free);

void link_bus_state_changed(struct link_bus *bus);
void link_bus_keys_agreed(struct link_bus *bus, const char *directory, uint64_t first,
			  uint64_t count);

#define LINK_BUS_NAME_MAX 96
/* org.qkd.Link1.LINK with '_' for what a bus name cannot hold. */
void link_bus_name(const char *link, char ret_name[static LINK_BUS_NAME_MAX]);
