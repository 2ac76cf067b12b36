/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Distillation for one link: a worker thread that owns the session's data, and on this side of it
 * the keys that it has released, by the ids that both ends give them.
 *
 * A session lives as long as the connection to the peer and the device's session do. It begins when
 * both ends have said hello: that they have light, how they are configured, and where their
 * authentication key stands. The state of that key lies in a file, written ahead of its use.
 */

#include <systemd/sd-event.h>

#include "common/storage.h"
#include "drivers/driver.h"
#include "qkd-linkd/distill/distill.h"

#define LINK_DISTILL_STOCK_BYTES   (8u << 20) /* released and not yet taken; above it no light */
#define LINK_DISTILL_WAIT_USEC     (5 * USEC_PER_SEC) /* for the block of a key asked for by id */
#define LINK_DISTILL_PENDING_INPUT (1u << 17)         /* detections before the worker */

struct link_distill;

struct link_distill_settings {
	struct detection_source source;
	uint32_t key_bits;
	unsigned block_frames, window;
	bool count_both_directions;
	const char *secret_path; /* the provisioned first secret */
	struct storage *storage; /* borrowed: what it has become is kept in "authentication" */
};

struct link_distill_handler {
	int (*send)(const void *bytes, size_t size_bytes, void *userdata); /* to the peer */
	void (*on_keys)(void *userdata);                                   /* there are some */
	void (*on_room)(void *userdata); /* detections can be taken */
	void (*on_report)(const struct distill_report *report, void *userdata);
	void (*on_alarm)(bool raised, void *userdata);
	/* The session is over, until the connection and the light have been made anew. */
	void (*on_failed)(int result, const char *reason, void *userdata);
};

int link_distill_new(sd_event *event, const struct link_distill_settings *settings,
		     const struct link_distill_handler *handler, void *userdata,
		     struct link_distill **ret);
struct link_distill *link_distill_free(struct link_distill *distill);
DEFINE_CLEANUP(struct link_distill *, link_distill_free);

/* The peer is connected and the device has light: says hello. */
int link_distill_begin(struct link_distill *distill);
/* One of them is gone. Keys that were released stay. */
void link_distill_end(struct link_distill *distill);
bool link_distill_is_begun(const struct link_distill *distill);

int link_distill_receive(struct link_distill *distill, const uint8_t *bytes, size_t size_bytes);
size_t link_distill_room(const struct link_distill *distill);
int link_distill_detections(struct link_distill *distill, const struct detection *detections,
			    size_t count);
bool link_distill_has_keys(const struct link_distill *distill);

/* Up to count keys that nobody has had; -EAGAIN. */
int link_distill_take(struct link_distill *distill, size_t count, struct key_batch **ret);
/* Exactly these. -EAGAIN: their block may still come; -ENOKEY: it will not, or they are gone. */
int link_distill_take_by_id(struct link_distill *distill, const struct uuid *ids, size_t count,
			    struct key_batch **ret);
