/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who sent a D-Bus message: the uid and groups that the bus vouches for, or on our own socket the
 * kernel. The bus is asked once for each connection and without waiting; its unique names are never
 * used again, so what it answered stays true.
 */

#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "common/macros.h"

#define BUS_CALLER_MAX_GROUPS   64 /* more of one caller are left out */
#define BUS_CALLER_CACHE        64 /* connections remembered */
#define BUS_CALLER_TIMEOUT_USEC (5 * USEC_PER_SEC)

struct bus_caller {
	uid_t uid;
	gid_t groups[BUS_CALLER_MAX_GROUPS];
	size_t group_count;
};

struct bus_callers;

/* caller is borrowed; NULL with a negative result. */
typedef void (*bus_caller_done_t)(int result, const struct bus_caller *caller, void *userdata);

int bus_callers_new(struct bus_callers **ret);
struct bus_callers *bus_callers_free(struct bus_callers *callers);
DEFINE_CLEANUP(struct bus_callers *, bus_callers_free);
/* The bus is another one now: names mean others. */
void bus_callers_forget(struct bus_callers *callers);

/* Calls done() at once when the caller is known, else later; until then *ret_slot holds the
 * question, and unreferencing it keeps done() from coming. *ret_slot is NULL when it was called. */
int bus_callers_identify(struct bus_callers *callers, sd_bus_message *message,
			 bus_caller_done_t done, void *userdata, sd_bus_slot **ret_slot);
