/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A device that yields detections, made into one that yields keys: the same table of functions as a
 * driver's, with distillation behind it. It needs the connection to the peer for that, which a
 * driver does not have, so the link tells it about the connection.
 */

#include "common/storage.h"
#include "drivers/driver.h"
#include "qkd-linkd/distill-statistics.h"

struct distilled_device_settings {
	struct storage *storage; /* borrowed: the link's directory, for the authentication key */
	const char *secret_path; /* the first one; NULL is an error */
	uint64_t block_frames, window;
	bool count_both_directions; /* as leaked */
};

struct distilled_device_peer {
	int (*send)(const void *bytes, size_t size_bytes, void *userdata);
	/* Begin the connection anew, because the session on it is over. */
	void (*reconnect)(const char *reason, void *userdata);
};

/* url: of a driver's device that yields detections. Results as those of a driver's open(). */
int distilled_device_new(sd_event *event, const struct device_url *url,
			 const struct distilled_device_settings *settings,
			 const struct device_handler *handler, void *userdata, char **ret_what,
			 struct device **ret);
void distilled_device_set_peer(struct device *device, const struct distilled_device_peer *peer,
			       void *userdata);
void distilled_device_connected(struct device *device);
void distilled_device_disconnected(struct device *device);
int distilled_device_receive(struct device *device, const uint8_t *bytes, size_t size_bytes);

bool distilled_device_is(const struct device *device);
/* DISTILL_STATISTIC_COUNT_ of them. */
struct statistic *distilled_device_statistics(struct device *device);
bool distilled_device_alarm(const struct device *device);
double distilled_device_error_rate(const struct device *device); /* of the last block; 0: none */
