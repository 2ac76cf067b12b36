/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * All that the daemons of a site tell about themselves, asked for at the same time: a daemon that
 * hangs costs the time limit once, and is named.
 */

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "common/macros.h"

#define CTL_SNAPSHOT_USEC (1 * USEC_PER_SEC)
#define CTL_MAX_LINKS     256

#define CTL_LINKS_DIRECTORY "/etc/qkd/links.d"
#define CTL_HOME            "/var/lib/qkd" /* where it is unless configured otherwise */

/* Members of links besides the properties: "running" (on the bus), "answering". */
struct ctl_snapshot {
	json_t *keyring;   /* keyringd's properties, or null when it does not answer */
	json_t *stores;    /* their properties, by peer */
	json_t *links;     /* of every linkd on the bus, and of every link that is configured */
	json_t *paths;     /* as ListPaths tells them */
	json_t *quota;     /* of keyringd's user: keys, max_keys, bytes, max_bytes; or null */
	json_t *disk;      /* of CTL_HOME: free and size in bytes; or null */
	char trouble[160]; /* why keyringd does not answer; "" */
};

/* links_directory: where configured links are, as CTL_LINKS_DIRECTORY. Negative errno only when the
 * bus itself fails. */
int ctl_snapshot_take(sd_bus *bus, const char *links_directory, uint64_t timeout_usec,
		      struct ctl_snapshot *ret);
void ctl_snapshot_done(struct ctl_snapshot *snapshot);
