/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * AddDevice and RemoveDevice: a link is added by its settings, checked, written down and its unit
 * started; it comes again with the daemon until it is removed. Links whose file the administrator
 * has written below /etc are his, and not touched.
 */

#include "device-files.h"
#include "keyringd-links.h"

#define DEVICE_ERROR_EXISTS  "org.qkd.Error.DeviceExists"
#define DEVICE_ERROR_UNKNOWN "org.qkd.Error.NoSuchDevice"

struct devices;

/* state and config are borrowed. program: qkd-linkd's path; copied. */
int devices_new(sd_event *event, struct storage *state, const struct keyringd_config *config,
		const char *program, struct devices **ret);
struct devices *devices_free(struct devices *devices);
DEFINE_CLEANUP(struct devices *, devices_free);
/* The bus is here, for the first time or again: starts the units of all. */
void devices_start_all(struct devices *devices, sd_bus *bus);
/* The connection ends: what came over it has no answer. */
void devices_forget(struct devices *devices, sd_bus *bus);

/* Of AddDevice(s link, s settings) and RemoveDevice(s link). Results are for sd-bus. */
int devices_add(struct devices *devices, struct keyringd_links *links, sd_bus_message *message);
int devices_remove(struct devices *devices, struct keyringd_links *links, sd_bus_message *message);

/* qkd-linkd beside the program that runs. */
int devices_find_program(char **ret);
