/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Tells others what happens to the stores: D-Bus signals on every bus that we are on, and the
 * STATUS line of the unit. A busy store's changes are told together, once a second.
 */

#include "issuer.h"
#include "keyringd-bus.h"
#include "keyringd-direct-bus.h"

#define KEYRINGD_NOTIFY_USEC USEC_PER_SEC

struct keyringd_notify;

/* The buses are borrowed; either may be NULL. */
int keyringd_notify_new(sd_event *event, struct issuer *issuer, struct bus_connection *bus,
			struct keyringd_direct_bus *direct_bus, struct keyringd_notify **ret);
struct keyringd_notify *keyringd_notify_free(struct keyringd_notify *notify);
DEFINE_CLEANUP(struct keyringd_notify *, keyringd_notify_free);

void keyringd_notify_ready(struct keyringd_notify *notify);
void keyringd_notify_store_changed(struct keyringd_notify *notify, const char *peer);
void keyringd_notify_label(struct keyringd_notify *notify, const char *peer, const char *label,
			   const struct uuid *id);
void keyringd_notify_path(struct keyringd_notify *notify, const struct path *path, bool up);
void keyringd_notify_low_water(struct keyringd_notify *notify, const char *peer,
			       uint64_t available);
