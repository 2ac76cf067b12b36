/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who may change something over D-Bus: root, the daemon's own user and group qkd; for everybody
 * else polkit is asked, where it is on the bus, and without it they may not. Nothing waits: the
 * method runs when the answer is there.
 */

#include "common/bus-caller.h"

#define BUS_AUTHORITY_MAX_OPEN    64
#define BUS_AUTHORITY_USEC        (10 * USEC_PER_SEC)
#define BUS_AUTHORITY_PERSON_USEC (120 * USEC_PER_SEC) /* polkit asks a person for a password */
#define BUS_AUTHORITY_GROUP       "qkd"

#define BUS_ACTION_LINKS      "org.qkd.manage-links"
#define BUS_ACTION_DEVICES    "org.qkd.manage-devices"
#define BUS_ACTION_PARAMETERS "org.qkd.set-parameters"

struct bus_authority;

/* callers: borrowed. */
int bus_authority_new(struct bus_callers *callers, struct bus_authority **ret);
/* Calls that wait end without an answer. */
struct bus_authority *bus_authority_free(struct bus_authority *authority);
DEFINE_CLEANUP(struct bus_authority *, bus_authority_free);
/* The connection ends: calls that came over it end without an answer. */
void bus_authority_forget(struct bus_authority *authority, sd_bus *bus);

/* Runs method() for the message, now or later, when its caller may do action; else answers
 * AccessDenied. The result is for sd-bus. */
int bus_authority_run(struct bus_authority *authority, sd_bus_message *message, const char *action,
		      sd_bus_message_handler_t method, void *userdata);
