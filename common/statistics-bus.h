/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A daemon's statistics on D-Bus: org.qkd.Statistics1, see org.qkd.Statistics1(5). Readers ask
 * once, or subscribe with a filter and a maximum rate of their own and are told by a signal that
 * goes to them alone, for as long as their connection to the bus lasts.
 *
 * While nobody subscribes this does nothing between two calls, and while nothing happens in the
 * daemon it does nothing for subscribers either.
 */

#include <systemd/sd-bus.h>

#include "common/statistics.h"

#define STATISTICS_BUS_INTERFACE   "org.qkd.Statistics1"
#define STATISTICS_BUS_PATH        "/org/qkd/Statistics1"
#define STATISTICS_BUS_MAX_READERS 64
#define STATISTICS_BUS_LOOK_USEC   (100 * USEC_PER_MSEC) /* for news, while there are no news */

struct statistics_bus;

/* set is borrowed, and outlives it. */
int statistics_bus_new(sd_event *event, struct statistics *set, struct statistics_bus **ret);
struct statistics_bus *statistics_bus_free(struct statistics_bus *statistics);
DEFINE_CLEANUP(struct statistics_bus *, statistics_bus_free);

/* Puts the object on a connection. The slot floats: it goes with the connection. */
int statistics_bus_attach(struct statistics_bus *statistics, sd_bus *bus);
/* The connection ends: its readers are gone. */
void statistics_bus_forget(struct statistics_bus *statistics, sd_bus *bus);
size_t statistics_bus_reader_count(const struct statistics_bus *statistics);
