/* SPDX-License-Identifier: MIT */
#pragma once

/* What the two roles of a distillation session share; for distill*.c and block.c only. */

#include "qkd-linkd/distill/block.h"
#include "qkd-linkd/distill/distill.h"
#include "qkd-linkd/distill/error-estimate.h"
#include "qkd-linkd/distill/privacy-amplify.h"

/* Blocks at Alice's end: Bob's announcements may each open one more before he knows. */
#define DISTILL_MAX_BLOCKS (DISTILL_MAX_WINDOW + DISTILL_ANNOUNCE_WINDOW)

/* An announcement without an answer, as it went or came. */
struct pending_announcement {
	uint32_t number;
	size_t count, frame_bytes;
	uint64_t last_slot; /* A */
	uint8_t *frame;
};

struct distill {
	struct distill_config config;
	struct distill_handler handler;
	void *userdata;
	const struct gf2_kernel *kernel;
	int failure;
	struct wegman_carter *authentication;
	struct privacy_amplifier *amplifier;
	struct error_estimate estimate;
	unsigned dropped_in_a_row;
	bool alarm;

	struct detection *queue; /* secret memory; from queue_start, queue_count of them */
	size_t queue_start, queue_count;
	size_t queue_announced; /* B: of these, the first so many */
	uint64_t last_slot;
	bool has_last_slot;

	struct pending_announcement announcements[DISTILL_ANNOUNCE_WINDOW];
	size_t announcement_count; /* oldest first */
	uint32_t next_announcement;

	struct block *blocks[DISTILL_MAX_BLOCKS]; /* NULL: free */
	struct block *sifting;                    /* one of them, or NULL */
	uint32_t next_block;

	uint8_t *frame; /* being built; BLOCK_WIRE_MAX_BYTES */
};

/* Sends header and payload (which lies in distill->frame after the header) and hashes them. */
int distill_send(struct distill *distill, struct block *block, enum block_wire_type type,
		 uint8_t group, size_t payload_bytes);
static inline uint8_t *distill_payload(struct distill *distill)
{
	return distill->frame + BLOCK_WIRE_HEADER_BYTES;
}

struct block *distill_find_block(const struct distill *distill, uint32_t number);
int distill_open_block(struct distill *distill, struct block **ret);
void distill_close_block(struct distill *distill, struct block *block);
/* Tells the other end, reports and closes. */
int distill_drop(struct distill *distill, struct block *block, enum block_drop reason);
int distill_on_drop(struct distill *distill, struct block *block, const struct block_wire *wire);
/* Reports and closes a block that the other end has dropped. */
void distill_dropped(struct distill *distill, struct block *block, enum block_drop reason);
/* The last step at either end: amplifies, feeds the authentication, hands out, closes. */
int distill_release(struct distill *distill, struct block *block);
void distill_consume(struct distill *distill, size_t count); /* from the queue's front */
uint64_t distill_clock(const struct distill *distill);

int distill_alice_receive(struct distill *distill, const struct block_wire *wire,
			  const uint8_t *frame);
int distill_alice_detections(struct distill *distill);
int distill_bob_receive(struct distill *distill, const struct block_wire *wire,
			const uint8_t *frame);
int distill_bob_detections(struct distill *distill);
