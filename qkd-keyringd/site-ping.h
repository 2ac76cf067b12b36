/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * PingSite of org.qkd.Keyring1: how long the smallest request takes to a peer and back, through
 * both daemons and over the connection that all requests take. It asks for the state of a key that
 * nobody has.
 */

#include <systemd/sd-bus.h>

#include "issuer.h"

#define SITE_PING_USEC (5 * USEC_PER_SEC) /* then the caller is told that there is no answer */
#define SITE_PING_MAX  64                 /* under way at once, for all callers */

struct site_pings;

/* issuer is borrowed and outlives it. */
int site_pings_new(sd_event *event, struct issuer *issuer, struct site_pings **ret);
/* Callers that still wait get no answer. */
struct site_pings *site_pings_free(struct site_pings *pings);
DEFINE_CLEANUP(struct site_pings *, site_pings_free);

/* PingSite(s site) -> t: microseconds. Answers the message, now or later. */
int site_pings_bus(struct site_pings *pings, sd_bus_message *message);
