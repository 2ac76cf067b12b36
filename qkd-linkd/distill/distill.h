/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One end of a distillation session: detections in, frames to and from the other end, secret key
 * out. Pure: no I/O, no clock of its own; it sends and reports through callbacks, so a test runs
 * both ends in one process and a man in the middle between them.
 *
 * Several blocks are under way at once: one is sifted while others are reconciled. A block whose
 * error rate or key length says no is dropped; too many in a row raise an alarm. Nothing is
 * released before verification has matched and the block's transcript is authenticated at this end.
 * Any violation of the protocol ends the session for good.
 */

#include "common/secret.h"
#include "drivers/detection.h"
#include "qkd-linkd/distill/block-wire.h"
#include "qkd-linkd/distill/key-length.h"
#include "qkd-linkd/distill/wegman-carter.h"

#define DISTILL_MAX_FRAMES        2048 /* of Cascade in a block: 2^25 sifted bits */
#define DISTILL_MAX_WINDOW        8    /* blocks under way */
#define DISTILL_GROUP_FRAMES      64   /* frames that share questions */
#define DISTILL_ANNOUNCE_WINDOW   4    /* announcements under way */
#define DISTILL_QUEUE_DETECTIONS  (1u << 20)
#define DISTILL_MAX_VERIFICATIONS 3
#define DISTILL_MAX_ERROR_RATE    0.11 /* h(e) = 1/2: single photons give no key above it */
/* A block gives back more than the one unit it uses while the store is low: interruptions cost
 * some. */
#define DISTILL_MAX_UNITS   16
#define DISTILL_ALARM_AFTER 3

enum distill_bound {
	DISTILL_BOUND_LIM,        /* three intensities */
	DISTILL_BOUND_WIESEMANN,  /* two */
	DISTILL_BOUND_TOMAMICHEL, /* a source of single photons */
};

struct distill_config {
	enum wegman_carter_role role; /* Alice transmits */
	enum distill_bound bound;
	struct key_length_source source;
	double eps_sec, eps_cor;
	double max_error_rate;
	unsigned block_frames, window;
	unsigned alarm_after;
	/* Count what both ends say in reconciliation as leaked, not Alice's parities alone: twice
	 * the leak, and the conservative answer to arXiv:2307.00576. */
	bool count_both_directions;
};
void distill_config_defaults(struct distill_config *ret);
const char *distill_config_fault(const struct distill_config *config); /* NULL, or what is wrong */

/* Nanoseconds of processor time of each stage at this end. */
struct distill_times {
	uint64_t sift, reconcile, verify, amplify, authenticate;
};

struct distill_report {
	uint32_t block;
	enum block_drop drop; /* BLOCK_DROP_NONE: key was released */
	uint64_t announced, sifted_bits, test_bits, test_errors;
	uint64_t errors, leak_bits;    /* of reconciliation */
	double error_rate, efficiency; /* f: leak over n h(e) */
	unsigned verifications, patched_frames, rounds;
	double single_photons, phase_error; /* the bounds; at Alice */
	uint64_t key_bits;
	struct distill_times times;
};

struct distill_handler {
	/* Alice's and Bob's frames arrive whole and in order at the other end. */
	int (*send)(const void *bytes, size_t size_bytes, void *userdata);
	/* Key passes to the callee; both ends get the same bytes for the same block, if both get
	 * it. */
	int (*on_key)(uint32_t block, struct secret *key, void *userdata);
	void (*on_report)(const struct distill_report *report, void *userdata);
	/* raised: too many blocks in a row gave nothing; false again after one that gave key. */
	void (*on_alarm)(bool raised, void *userdata);
	int (*random)(void *ret_bytes, size_t size_bytes, void *userdata);
	uint64_t (*cpu_nsec)(void *userdata); /* or NULL: times are 0 */
};

struct distill;

/* authentication (of the same role) is borrowed and outlives the session. -EINVAL for a bad config.
 */
int distill_new(const struct distill_config *config, const struct distill_handler *handler,
		void *userdata, struct wegman_carter *authentication, struct distill **ret);
struct distill *distill_free(struct distill *distill);
DEFINE_CLEANUP(struct distill *, distill_free);

/* How many detections it takes now. */
size_t distill_room(const struct distill *distill);
/* By rising slot, across calls too (-EINVAL); -EAGAIN above distill_room(). */
int distill_detections(struct distill *distill, const struct detection *detections, size_t count);
/*
 * A frame from the other end. -EBADMSG: it violates the protocol; -EKEYREJECTED: authentication
 * failed; others: out of memory, or what a callback said. After any error the session is over and
 * every call gives that error.
 */
int distill_receive(struct distill *distill, const uint8_t *bytes, size_t size_bytes);

bool distill_alarm(const struct distill *distill);
double distill_error_rate(const struct distill *distill); /* expected of the next block */
