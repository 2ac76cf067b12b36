/* SPDX-License-Identifier: MIT */
#pragma once

/* Links by name: those that are configured, their names on the bus, lists of them. */

#include <jansson.h>

#include "common/name.h"

#define CTL_LINK_PREFIX     "org.qkd.Link1."
#define CTL_LINK_NAME_CHARS (sizeof(CTL_LINK_PREFIX) + 1 + NAME_MAX_CHARS)

/* alice-bob: org.qkd.Link1.alice_bob */
void ctl_links_bus_name(const char *link, char ret[static CTL_LINK_NAME_CHARS]);
bool ctl_links_is_name(const char *bus_name);

/* [{"link": NAME, "running": false, "answering": false}] of every LINK.json in the directory; empty
 * without one. */
int ctl_links_read_configured(const char *directory, json_t **ret);
/* Something with this name is on the bus: the configured link whose name it is, or one more. */
int ctl_links_mark_running(json_t *links, const char *bus_name);
/* Takes link; it stands for the one of the same name on the bus. */
int ctl_links_replace(json_t *links, json_t *link);
/* Takes list and gives it back in the order of that member. */
json_t *ctl_links_sort(json_t *list, const char *member);
