/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The contract between qkd-linkd and a device: one table of functions for each URL scheme.
 *
 * Everything runs on the caller's sd_event loop and never blocks; a vendor library that blocks runs
 * in a worker process of its driver. A driver never logs above debug and never keeps key bytes
 * outside secret memory. Callbacks come from the loop, never from within the call that asked.
 */

#include <systemd/sd-event.h>

#include "common/name.h"
#include "common/secret.h"
#include "drivers/detection.h"
#include "drivers/device-url.h"

#define DRIVER_MAX_KEYS  1024 /* in one call, and in one transaction */
#define DRIVER_MAX_CALLS 128  /* under way at one device */

enum driver_yield {
	DRIVER_YIELDS_KEYS,
	DRIVER_YIELDS_DETECTIONS,
};

enum device_state {
	DEVICE_INACTIVE,
	DEVICE_LISTENING,
	DEVICE_CONNECTED,
	DEVICE_READY,
	DEVICE_SESSION_STARTED,
};

/* How a device ended, or why a call failed: what the link should do about it. */
enum device_end {
	DEVICE_RETRY,               /* with back-off */
	DEVICE_GIVE_UP,             /* until somebody intervenes */
	DEVICE_WRONG_CONFIGURATION, /* until the configuration is changed */
};

struct device;

/* count keys of key_bytes each, one after another in keys; ids[i] names key i. 1..DRIVER_MAX_KEYS.
 */
struct key_batch {
	size_t count;
	size_t key_bytes;
	struct uuid *ids;
	struct secret *keys;
};
struct key_batch *key_batch_free(struct key_batch *batch);
int key_batch_new(size_t count, size_t key_bytes, struct key_batch **ret);
DEFINE_CLEANUP(struct key_batch *, key_batch_free);
static inline uint8_t *key_batch_key(const struct key_batch *batch, size_t i)
{
	return batch->keys->bytes + i * batch->key_bytes;
}

struct device_handler {
	void (*on_state)(struct device *device, enum device_state state, void *userdata);
	/* The session is over; the device may be started again unless end says otherwise. */
	void (*on_end)(struct device *device, enum device_end end, const char *reason,
		       void *userdata);
};

/*
 * result 0: batch passes to the callee. Else batch is NULL and result says why:
 *   -EAGAIN   no key at the moment; ask again when you like: the driver paces what it asks of an
 *             empty device, so the next call may wait some seconds before it is answered
 *   -ENOKEY   (by id) one or more ids are unknown, used or expired; nothing was taken
 *   -EPROTO   the device answered nonsense (wrong size or number, bad id, duplicate)
 *   -EACCES   the device refuses us;  -ETIMEDOUT, -ECONNREFUSED, ...: not reachable
 *   -ECANCELED the session ended first, by end_session() or with an on_end() that follows
 * reason is a sentence without key bytes.
 */
typedef void (*device_keys_t)(struct device *device, int result, struct key_batch *batch,
			      const char *reason, void *userdata);

/* What linkd has to know of a device that yields detections. */
struct detection_source {
	bool transmits; /* the pulses are ours */
	unsigned intensity_count;
	double mean_photons[DETECTION_INTENSITIES_MAX], probability[DETECTION_INTENSITIES_MAX];
	/* The receiver's detections carry picoseconds of its own clock, to be aligned: pulses every
	 * period_ps, the first sync_slots of them in a public pattern, 64 slots a word. */
	bool time_is_tag;
	double period_ps;
	uint64_t sync_seed, sync_slots;
	uint64_t (*sync_word)(uint64_t sync_seed, uint64_t index);
};

/* detections are the driver's (secret memory), valid during the call. */
typedef void (*device_detections_t)(struct device *device, const struct detection *detections,
				    size_t count, void *userdata);

struct driver {
	const char *scheme;
	const char *description;
	enum driver_yield yield;
	const char *const *parameters; /* names of its own URL parameters, NULL-terminated */
	/* Those of them that tell apart devices behind one address, for device_claim(). Or NULL. */
	const char *const *instance_parameters;

	/* Checks everything that can be checked without the device. -EINVAL with a sentence in
	 * ret_what (free() it). Does not connect. */
	int (*open)(sd_event *event, const struct device_url *url,
		    const struct device_handler *handler, void *userdata, char **ret_what,
		    struct device **ret);
	/* Ends everything without further callbacks. */
	void (*close)(struct device *device);

	/* To SESSION_STARTED, asynchronously, or on_end. -EBUSY while a session is there. */
	int (*start_session)(struct device *device);
	/* To INACTIVE at once, without on_state or on_end; calls under way get -ECANCELED from the
	 * loop. Nothing happens when there is no session. */
	void (*end_session)(struct device *device);

	/* DRIVER_YIELDS_KEYS: up to count keys of url->key_bits (leader)...
	 * -ENOTCONN without a session, -EBUSY with DRIVER_MAX_CALLS under way, -EINVAL. */
	int (*get_keys)(struct device *device, size_t count, device_keys_t done, void *userdata);
	/* ... and exactly these, in this order (follower). */
	int (*get_keys_by_id)(struct device *device, const struct uuid *ids, size_t count,
			      device_keys_t done, void *userdata);

	/* DRIVER_YIELDS_DETECTIONS: what comes next, at most max; -EBUSY while a call is under way.
	 * A call that is under way when the session ends is forgotten. */
	int (*get_detections)(struct device *device, size_t max, device_detections_t done,
			      void *userdata);
	void (*describe_source)(const struct device *device, struct detection_source *ret);
};

/* Embedded first by every driver's device. */
struct device {
	const struct driver *driver;
	enum device_state state;
};

extern const struct driver *const drivers[]; /* NULL-terminated; drivers/registry.c */
const struct driver *driver_find(const char *scheme);
const char *device_state_name(enum device_state state);

/*
 * Claims a device for this process: a lock file named by its id in directory, so that a second link
 * is refused (-EBUSY). The descriptor holds the claim.
 */
int device_claim(const char *directory, const struct device_url *url, int *ret_fd);
