/* SPDX-License-Identifier: MIT */
#pragma once

/* D-Bus properties as JSON: {"KeysPerSecond": d} becomes {"keys_per_second": number}. */

#include <jansson.h>
#include <systemd/sd-bus.h>

#define CTL_MESSAGE_MAX_ENTRIES 65536 /* links, stores or properties in one message */

/* Reads an a{sv}; values that are no string, boolean or number are left out. */
int ctl_message_read_properties(sd_bus_message *message, json_t **ret);
/* Reads an aa{sv}. */
int ctl_message_read_list(sd_bus_message *message, json_t **ret);
/* Reads an a{oa{sa{sv}}}: the properties of this interface of every object that has it. */
int ctl_message_read_objects(sd_bus_message *message, const char *interface, json_t **ret);
