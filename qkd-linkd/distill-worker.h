/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A thread that runs one distillation session, so that the daemon's loop never waits for it: frames
 * and detections go in, frames, keys and reports come out, through two queues.
 */

#include "drivers/driver.h"
#include "qkd-linkd/distill/distill.h"

/* Tags between two saved states are fewer: each block makes one a direction, and its end a state.
 */
#define DISTILL_WORKER_TAG_MARGIN (DISTILL_MAX_WINDOW + DISTILL_ANNOUNCE_WINDOW)

enum distill_output_kind {
	DISTILL_OUTPUT_FRAME,
	DISTILL_OUTPUT_KEY,
	DISTILL_OUTPUT_REPORT,
	DISTILL_OUTPUT_STATE, /* of the authentication, to be kept before what follows is sent */
	DISTILL_OUTPUT_ALARM,
	DISTILL_OUTPUT_FAILED,
};

struct distill_output {
	struct distill_output *next;
	enum distill_output_kind kind;
	uint32_t block;
	bool raised;
	int result;
	struct secret *key; /* or the state */
	struct distill_report report;
	size_t size_bytes;
	uint8_t bytes[];
};
struct distill_output *distill_output_free(struct distill_output *output);
DEFINE_CLEANUP(struct distill_output *, distill_output_free);

struct distill_worker;

/* authentication is the worker's until it is freed. source as the device describes itself. */
int distill_worker_new(const struct distill_config *config, const struct detection_source *source,
		       struct wegman_carter *authentication, struct distill_worker **ret);
/* Ends the thread; what has not come out is dropped. */
struct distill_worker *distill_worker_free(struct distill_worker *worker);
DEFINE_CLEANUP(struct distill_worker *, distill_worker_free);

#define DISTILL_WORKER_MAX_DETECTIONS 8192 /* in one call */

/* Copies. */
int distill_worker_frame(struct distill_worker *worker, const void *bytes, size_t size_bytes);
int distill_worker_detections(struct distill_worker *worker, const struct detection *detections,
			      size_t count);
size_t distill_worker_pending(struct distill_worker *worker); /* detections not yet taken */

/* Readable when something has come out, or detections have been taken. */
int distill_worker_fd(const struct distill_worker *worker);
void distill_worker_clear(struct distill_worker *worker);
/* In order; NULL when there is nothing (more). */
struct distill_output *distill_worker_next(struct distill_worker *worker);
