/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The link's device: its session, kept up with growing intervals, and the calls for keys that are
 * under way. Knows nothing of the peer or of transactions but their numbers.
 */

#include "common/statistics.h"
#include "drivers/driver.h"
#include "qkd-linkd/distilled-device.h"

#define LINK_DEVICE_BACKOFF_MIN_USEC (1 * USEC_PER_SEC) /* before a session is started again */
#define LINK_DEVICE_BACKOFF_MAX_USEC (60 * USEC_PER_SEC)
#define LINK_DEVICE_AGAIN_USEC       (20 * USEC_PER_MSEC) /* after an empty answer */
#define LINK_DEVICE_FAILED_USEC      (1 * USEC_PER_SEC)   /* after a failed call, doubling */

enum link_device_statistic {
	LINK_DEVICE_STATISTIC_STATE,
	LINK_DEVICE_STATISTIC_SESSIONS,
	LINK_DEVICE_STATISTIC_KEYS,
	LINK_DEVICE_STATISTIC_EMPTY,
	LINK_DEVICE_STATISTIC_FAILURES,
	LINK_DEVICE_STATISTIC_LATENCY,
	LINK_DEVICE_STATISTIC_COUNT_,
};
extern const struct statistics_definition link_device_definitions[LINK_DEVICE_STATISTIC_COUNT_];

struct link_device;

struct link_device_handler {
	void (*on_state)(enum device_state state, void *userdata);
	void (*on_keys)(struct key_batch *keys, void *userdata); /* passes ownership */
	void (*on_fetched)(uint64_t txn, int result, struct key_batch *keys, void *userdata);
	/* A pause is over: keys can be asked for again. */
	void (*on_resumed)(void *userdata);
};

/* Opens and claims; -EBUSY when another link has this device. Logs what is wrong. distillation: for
 * a device that yields detections; copied but for what it points to. */
int link_device_new(sd_event *event, const char *url, const char *runtime,
		    const struct distilled_device_settings *distillation,
		    const struct link_device_handler *handler, void *userdata,
		    struct link_device **ret);
struct link_device *link_device_free(struct link_device *device);
DEFINE_CLEANUP(struct link_device *, link_device_free);

/* The session; both idempotent. */
int link_device_start(struct link_device *device);
void link_device_stop(struct link_device *device);

/* Has calls for so many batches of so many keys under way, or as many as the device takes. */
void link_device_ask(struct link_device *device, unsigned calls, size_t keys);
int link_device_fetch(struct link_device *device, uint64_t txn, const struct uuid *ids,
		      size_t count);

/* The distilled device behind it, or NULL: it yields keys of itself. */
struct device *link_device_distilled(const struct link_device *device);

enum device_state link_device_state(const struct link_device *device);
const char *link_device_id(const struct link_device *device);
const char *link_device_driver(const struct link_device *device);
uint32_t link_device_key_bits(const struct link_device *device);
/* LINK_DEVICE_STATISTIC_COUNT_ of them; the state is whoever reads it's to set. */
struct statistic *link_device_statistics(struct link_device *device);
const char *link_device_error(const struct link_device *device); /* the last; "" for none */
