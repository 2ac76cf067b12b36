/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Sifting: from detections at both ends to the bits that both measured in the key basis, and to the
 * counts by intensity that the key length wants.
 *
 * The receiver announces what it detected: slots, bases, and the bits of the test basis, which is
 * disclosed whole. The transmitter answers which of them count: both bases equal, and the block not
 * full. Neither intensities nor bits of the key basis are ever sent.
 *
 * Announcement: 8 bytes little endian, the first slot; 4 bytes, the count; for each further
 * detection the distance to the one before, 2 bytes, or 2 zeros and 8 bytes; one bit a detection:
 * test basis; one bit a detection of the test basis: its bit. Answer: one bit a detection: it
 * counts.
 */

#include "common/macros.h"
#include "drivers/detection.h"

#define SIFT_MAX_DETECTIONS     32768u /* in one announcement */
#define SIFT_MAX_ANNOUNCE_BYTES (12 + SIFT_MAX_DETECTIONS * 10 + 2 * (SIFT_MAX_DETECTIONS / 8 + 1))
#define SIFT_MAX_ANSWER_BYTES   (SIFT_MAX_DETECTIONS / 8)

/* Sifted key bits, in secret memory of the caller's. */
struct sift_key {
	uint64_t *words;
	uint64_t bit_count, max_bits;
	uint8_t *intensities; /* of each bit, at the transmitter; or NULL */
};

struct sift_tally {
	uint64_t n_x[DETECTION_INTENSITIES_MAX];                                 /* key basis */
	uint64_t n_z[DETECTION_INTENSITIES_MAX], m_z[DETECTION_INTENSITIES_MAX]; /* test basis */
	uint64_t announced;
};

/* detections: by rising slot. Bytes written, or -EINVAL (none, too many, not rising). */
ssize_t sift_announce(const struct detection *detections, size_t count,
		      uint8_t ret_message[static SIFT_MAX_ANNOUNCE_BYTES]);

/* The last slot of an announcement, so that the transmitter can wait for its own record of it. */
int sift_last_slot(const uint8_t *message, size_t size_bytes, uint64_t *ret_slot);

/*
 * The transmitter: sent is what it knows of its pulses, by rising slot. Takes bits until the key is
 * full, and says how many of sent lie at or before the last slot announced. Bytes of the answer, or
 * -EBADMSG for a malformed announcement (then nothing was taken).
 */
ssize_t sift_match(const struct detection *sent, size_t sent_count, const uint8_t *message,
		   size_t size_bytes, struct sift_key *key, struct sift_tally *tally,
		   size_t *ret_consumed, uint8_t ret_answer[static SIFT_MAX_ANSWER_BYTES]);

/* The receiver: takes the bits that count. -EBADMSG for an answer of another size, or one with more
 * bits than the key has room for. */
int sift_apply(const struct detection *detections, size_t count, const uint8_t *answer,
	       size_t size_bytes, struct sift_key *key);
