/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Recorded detections: what both ends of a link saw, in the order of the slots, as bytes. For
 * distilling the same light again, or that of a real device; qkd-detections(5) describes the
 * format for those who write such files themselves.
 *
 * Pure: encodes and decodes, touches no file. All of it is foreign bytes.
 */

#include "common/macros.h"
#include "drivers/sim-optics.h"
#include "qkd-linkd/distill/varint.h"

#define RECORDING_HEADER_BYTES    64
#define RECORDING_EVENT_MAX_BYTES (2 * VARINT_MAX_BYTES + 1)
#define RECORDING_MAX_SLOT        (UINT64_C(1) << 56)
#define RECORDING_MAX_TAG_PS      (INT64_C(1) << 62)
#define RECORDING_MAX_SYNC_SLOTS  (UINT64_C(1) << 30)
#define RECORDING_MIN_PERIOD_PS   100.0
#define RECORDING_MAX_PERIOD_PS   1e12

/* What there is to know of the device besides its detections. */
struct recording_header {
	double period_ps;     /* 1e-3 exact */
	uint64_t sync_slots;  /* with the public pattern, at the start; 0: slots are aligned */
	uint64_t sync_seed;   /* of the pattern */
	unsigned intensities; /* 2 or 3 */
	double mean_photons[DETECTION_INTENSITIES_MAX]; /* 1e-6 exact */
	double probability[DETECTION_INTENSITIES_MAX];  /* 1e-6 exact */
};

void recording_put_header(const struct recording_header *header,
			  uint8_t ret[static RECORDING_HEADER_BYTES]);
/* -EINVAL with a sentence in ret_what (static). */
int recording_get_header(const uint8_t bytes[static RECORDING_HEADER_BYTES],
			 struct recording_header *ret, const char **ret_what);

/* Where a stream of events stands: the next one is told as a distance from here. */
struct recording {
	unsigned intensities;
	uint64_t next_slot;
	int64_t tag_ps;
};
void recording_init(struct recording *ret, const struct recording_header *header);

/* Rising slots only; to has room for RECORDING_EVENT_MAX_BYTES. Returns where it ends. */
uint8_t *recording_put(struct recording *recording, const struct sim_event *event, uint8_t *to);
/* How many bytes the event has; -EBADMSG: no event, or it does not end before size_bytes. */
ssize_t recording_get(struct recording *recording, const uint8_t *bytes, size_t size_bytes,
		      struct sim_event *ret);
