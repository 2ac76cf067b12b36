/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An event loop on simulated time in place of sd-event's, for explore-issuer and explore-relay:
 * they define the functions of sd-event, clock_gettime() and getrandom() that the issuer calls, so
 * that a run follows from its seed and costs no system call.
 */

#include <systemd/sd-event.h>

#include "common/macros.h"
#include "common/prng.h"

/* The clocks of whichever site runs; monotonic time is the same at both. */
void fake_loop_set_time(uint64_t monotonic_usec);
void fake_loop_set_clock(int64_t offset_usec); /* wall clock less monotonic time */
void fake_loop_set_dice(struct prng *prng);    /* for getrandom(); borrowed */

/* Dispatches one source that is due, the one of the highest priority. False: none is. */
bool fake_loop_run_one(sd_event *event);
/* Monotonic time of the next timer; UINT64_MAX: none. 0: something is due now. */
uint64_t fake_loop_next(sd_event *event);
