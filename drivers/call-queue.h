/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The calls for keys that are under way at one device, and the states of its session: what the
 * contract of driver.h promises about callbacks is kept here, once for all drivers.
 */

#include "drivers/driver.h"

struct call_queue;

/* In order of arrival. The driver owns source and work; the rest is set by call_queue_add(). */
struct queued_call {
	struct call_queue *queue;
	struct queued_call *next;
	struct uuid *ids; /* NULL: fresh keys */
	size_t count;
	device_keys_t done;
	void *userdata;
	sd_event_source *source; /* disabled and unreferenced when the call ends */
	void *work;              /* given to release() when the call ends */
};

struct call_queue {
	struct device *device;
	sd_event *event;
	struct device_handler handler;
	void *userdata;
	void (*release)(struct queued_call *call); /* or NULL */
	/* A call has been answered; comes before its owner is told. Or NULL. */
	void (*answered)(struct call_queue *queue);
	struct queued_call *active, *ended;
	size_t count; /* of both */
	sd_event_source *step, *drain;
	enum device_state target; /* step goes there, one on_state each round */
	bool telling;             /* on_end is due when the ended calls are answered */
	enum device_end end;
	char *reason;
};

/* ids NULL: fresh keys; else copied. Results as driver.h says of get_keys(). */
int call_queue_add(struct call_queue *queue, const struct uuid *ids, size_t count,
		   device_keys_t done, void *userdata, struct queued_call **ret);
/* Ends the call and tells its owner, who may close the device: touch nothing after it. Takes batch.
 */
void call_queue_answer(struct queued_call *call, int result, struct key_batch *batch,
		       const char *reason);
/* For a call that could not be begun: nobody is told. */
void call_queue_drop(struct queued_call *call);

/* Whether a session can be started. */
bool call_queue_is_idle(const struct call_queue *queue);
/* Through every state up to target, from the loop. */
int call_queue_step_to(struct call_queue *queue, enum device_state target);
/* Ends the session: the device is INACTIVE at once, calls get -ECANCELED from the loop, then comes
 * on_end. */
void call_queue_end(struct call_queue *queue, enum device_end end, const char *reason);
/* The same without on_end, also when one was due. */
void call_queue_end_quietly(struct call_queue *queue);
/* Nobody is told anything any more. */
void call_queue_done(struct call_queue *queue);
