/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The linkd of this site as keyringd sees them on the bus: which are there, that they are ours,
 * what they have agreed. What callers want of them is link-command.h's.
 */

#include <systemd/sd-bus.h>

#include "issuer.h"

#define KEYRINGD_LINKS_MAX 256

struct keyringd_links;

/* bus is referenced; matches are added and the linkd that are there already looked for. */
int keyringd_links_new(sd_bus *bus, struct issuer *issuer, struct keyringd_links **ret);
struct keyringd_links *keyringd_links_free(struct keyringd_links *links);
DEFINE_CLEANUP(struct keyringd_links *, keyringd_links_free);
/* linkd on the bus that run as our uid or root. */
size_t keyringd_links_count(const struct keyringd_links *links);

/* The name on the bus of the linkd for this link, NULL when it is not there; borrowed. */
const char *keyringd_links_find(const struct keyringd_links *links, const char *link);
/* Calls back with the name on the bus of each; stops at a negative answer and returns it. */
int keyringd_links_foreach(const struct keyringd_links *links,
			   int (*each)(const char *name, void *userdata), void *userdata);
sd_bus *keyringd_links_bus(const struct keyringd_links *links); /* borrowed */
