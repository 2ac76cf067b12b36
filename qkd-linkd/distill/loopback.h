/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Both ends of a distillation session in one process, on simulated or recorded light, with whoever
 * the caller likes in the middle of the classical channel: for qkd-distill, the benchmark and the
 * tests.
 */

#include "drivers/sim-optics.h"
#include "qkd-linkd/distill/align.h"
#include "qkd-linkd/distill/distill.h"

enum loopback_fate {
	LOOPBACK_DELIVER,
	LOOPBACK_LOSE,
	LOOPBACK_REPEAT, /* deliver it twice */
	LOOPBACK_DELAY,  /* deliver it after the next one of its direction */
	LOOPBACK_REPLAY, /* deliver it, and once more LOOPBACK_REPLAY_AFTER frames later */
};
#define LOOPBACK_REPLAY_AFTER 8

struct loopback_handler {
	void (*on_report)(enum wegman_carter_role end, const struct distill_report *report,
			  void *userdata);
	void (*on_key)(enum wegman_carter_role end, uint32_t block, const struct secret *key,
		       void *userdata);
	/* The man in the middle: may change the bytes of the index-th frame that sender sends. */
	enum loopback_fate (*meddle)(enum wegman_carter_role sender, uint64_t index, uint8_t *bytes,
				     size_t size_bytes, void *userdata);
	/* Where the light comes from instead of the simulation, as sim_optics_draw() does; also a
	 * negative errno. */
	ssize_t (*draw)(uint64_t end_slot, struct sim_event *ret_events, size_t max,
			void *userdata);
};

struct loopback;

/* config.role is not used. handler's members may be NULL; with draw, optics says no more than the
 * period and the synchronisation pattern. seed stands for the operating system's
 * random numbers and the first authentication secret: never for real keys. */
int loopback_new(const struct sim_optics_parameters *optics, const struct distill_config *config,
		 uint64_t seed, const struct loopback_handler *handler, void *userdata,
		 struct loopback **ret);
struct loopback *loopback_free(struct loopback *loopback);
DEFINE_CLEANUP(struct loopback *, loopback_free);

/*
 * Runs until both ends have finished so many blocks, or nothing moves any more (-EPIPE: a frame was
 * lost), or an end has ended its session (its error), or the light of max_slots is over (-ETIME).
 */
int loopback_run(struct loopback *loopback, uint64_t blocks, uint64_t max_slots);

const struct distill *loopback_end(const struct loopback *loopback, enum wegman_carter_role end);
int loopback_failure(const struct loopback *loopback, enum wegman_carter_role end);
uint64_t loopback_slot(const struct loopback *loopback);             /* simulated so far */
uint64_t loopback_simulation_nsec(const struct loopback *loopback);  /* processor time of it */
const struct align *loopback_align(const struct loopback *loopback); /* NULL: slots are given */
const struct wegman_carter *loopback_authentication(const struct loopback *loopback,
						    enum wegman_carter_role end);
