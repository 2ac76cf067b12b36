/* SPDX-License-Identifier: MIT */
/*
 * Alice's side of a distillation session: she knows the pulses, her bits are the reference, she
 * computes the key length and chooses the amplification. For each message: check its form and the
 * block's stage, do what it asks, send what follows.
 */

#include <math.h>

#include "qkd-linkd/distill/distill-internal.h"
#include "qkd-linkd/distill/varint.h"
#include "qkd-linkd/distill/verify-tag.h"

#define EARLY_EFFICIENCY      1.05 /* of reconciliation, to see early that nothing will be left */
#define MIN_KEY_BITS          (8 * 2 * WEGMAN_CARTER_UNIT_BYTES) /* a unit and as much for use */
#define AUTHENTICATION_TARGET 256                                /* units kept in store */
#define EARLY_EPS             1e-10 /* to be sure before a block is full that it will be dropped */
#define MAX_PATCHED_SHARE     64    /* at most one frame of so many, and two, are given away */

static int send_start(struct distill *distill, struct block *block, double rate)
{
	uint8_t *payload = distill_payload(distill);
	struct cascade_plan plan;
	uint64_t seed;
	int r = distill->handler.random(&seed, sizeof(seed), distill->userdata);

	if (r < 0)
		return r;
	cascade_plan_for(rate, &plan);
	r = block_start(block, WEGMAN_CARTER_ALICE, &plan, seed);
	if (r < 0)
		return r;
	memcpy(payload, plan.block_log2, CASCADE_SIZED_PASSES);
	payload[CASCADE_SIZED_PASSES] = 0;
	block_wire_put64(payload + 4, seed);
	block->stage = BLOCK_RECONCILING;
	return distill_send(distill, block, BLOCK_WIRE_START, 0, 12);
}

/* The block is full: is it worth going on? */
static int finish_sifting(struct distill *distill, struct block *block)
{
	uint64_t errors = block_test_errors(block), bits = block_test_bits(block);
	double rate = error_estimate_expect(&distill->estimate, errors, bits);
	double leak = EARLY_EFFICIENCY * (double)block->key.bit_count * key_length_entropy(rate);

	distill->sifting = NULL;
	if (rate > distill->config.max_error_rate)
		return distill_drop(distill, block, BLOCK_DROP_ERROR_RATE);
	if (block_key_length(block, &distill->config, leak) < MIN_KEY_BITS)
		return distill_drop(distill, block, BLOCK_DROP_KEY_LENGTH);
	return send_start(distill, block, rate);
}

static int answer_announcement(struct distill *distill, const struct pending_announcement *a)
{
	uint8_t *payload = distill_payload(distill);
	const struct detection *sent = distill->queue + distill->queue_start;
	struct block *block = distill->sifting;
	uint64_t start = distill_clock(distill);
	size_t consumed;
	ssize_t size;
	int r = 0;

	if (!block)
		r = distill_open_block(distill, &block);
	if (r < 0)
		return r;
	distill->sifting = block;
	size = sift_match(sent, distill->queue_count, a->frame + BLOCK_WIRE_HEADER_BYTES,
			  a->frame_bytes - BLOCK_WIRE_HEADER_BYTES, &block->key, &block->tally,
			  &consumed, payload + 5);
	if (size < 0)
		return (int)size;
	distill_consume(distill, consumed);
	block->report.times.sift += distill_clock(distill) - start;
	wegman_carter_update(distill->authentication, block->received, a->frame, a->frame_bytes);
	block_wire_put32(payload, a->number);
	payload[4] = block->key.bit_count == block->key.max_bits;
	r = distill_send(distill, block, BLOCK_WIRE_SIFTED, 0, 5 + (size_t)size);
	if (r < 0)
		return r;
	if (block->key.bit_count == block->key.max_bits)
		return finish_sifting(distill, block);
	if (error_estimate_exceeds(block_test_errors(block), block_test_bits(block),
				   distill->config.max_error_rate, EARLY_EPS))
		return distill_drop(distill, block, BLOCK_DROP_ERROR_RATE);
	return 0;
}

/* Answers what our own record of the pulses has caught up with. */
int distill_alice_detections(struct distill *distill)
{
	while (distill->announcement_count > 0) {
		struct pending_announcement a = distill->announcements[0];
		int r;

		if (!distill->has_last_slot || distill->last_slot < a.last_slot)
			return 0;
		r = answer_announcement(distill, &a);
		free(a.frame);
		distill->announcement_count--;
		memmove(distill->announcements, distill->announcements + 1,
			distill->announcement_count * sizeof(a));
		if (r < 0)
			return r;
	}
	return 0;
}

static int on_announce(struct distill *distill, const struct block_wire *wire, const uint8_t *frame)
{
	struct pending_announcement *a;
	uint64_t last;
	int r = sift_last_slot(wire->payload, wire->size_bytes, &last);

	if (r < 0)
		return r;
	if (wire->block != distill->next_announcement || wire->group != 0 ||
	    distill->announcement_count == DISTILL_ANNOUNCE_WINDOW)
		return -EBADMSG;
	a = &distill->announcements[distill->announcement_count];
	*a = (struct pending_announcement){
		.number = distill->next_announcement++,
		.last_slot = last,
		.frame_bytes = BLOCK_WIRE_HEADER_BYTES + wire->size_bytes,
	};
	a->frame = malloc(a->frame_bytes);
	if (!a->frame)
		return -ENOMEM;
	memcpy(a->frame, frame, a->frame_bytes);
	distill->announcement_count++;
	return distill_alice_detections(distill);
}

static int on_ask(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	uint8_t *payload = distill_payload(distill);
	size_t count = wire->size_bytes / 4;
	_cleanup_(freep) uint32_t *questions = NULL;
	uint64_t start = distill_clock(distill);
	ssize_t bits;

	if (block->stage != BLOCK_RECONCILING || wire->group >= block->group_count || count == 0 ||
	    wire->size_bytes % 4 || count > CASCADE_MAX_QUESTIONS)
		return -EBADMSG;
	questions = malloc(count * sizeof(*questions));
	if (!questions)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		questions[i] = block_wire_get32(wire->payload + 4 * i);
	bits = cascade_reference_answer(block->references[wire->group], questions, count,
					payload + 4,
					BLOCK_WIRE_MAX_BYTES - BLOCK_WIRE_HEADER_BYTES - 4);
	if (bits < 0)
		return bits == -E2BIG ? -EBADMSG : (int)bits;
	block_wire_put32(payload, (uint32_t)bits);
	block->report.times.reconcile += distill_clock(distill) - start;
	return distill_send(distill, block, BLOCK_WIRE_ANSWER, wire->group,
			    4 + ((size_t)bits + 7) / 8);
}

/* The distances between Bob's errors give the errors by intensity. */
static int take_error_positions(struct block *block, const uint8_t *at, const uint8_t *end,
				uint64_t errors)
{
	uint64_t position = 0, distance;

	for (uint64_t i = 0; i < errors; i++) {
		at = varint_get(at, end, &distance);
		if (!at || distance >= block->key.bit_count - position)
			return -EBADMSG;
		position += distance;
		block->m_x[block->key.intensities[position]]++;
		if (++position == block->key.bit_count && i + 1 < errors)
			return -EBADMSG;
	}
	return at == end ? 0 : -EBADMSG;
}

static int send_verify(struct distill *distill, struct block *block)
{
	uint8_t *payload = distill_payload(distill);
	uint64_t start = distill_clock(distill);
	unsigned tag_bytes = verify_tag_bytes(block->key.bit_count, distill->config.eps_cor);
	double known = block->report.verifications == 0 ? log2(2 / distill->config.eps_cor) : 0;
	int r = distill->handler.random(payload, VERIFY_TAG_KEY_BYTES, distill->userdata);

	if (r < 0)
		return r;
	verify_tag(distill->kernel, payload, block->key.words, block->key.bit_count / 64, tag_bytes,
		   payload + VERIFY_TAG_KEY_BYTES);
	/* The key length formulas have subtracted the first log2(2/eps_cor) bits already. */
	block->extra_leak_bits += (uint64_t)ceil(fmax(8 * tag_bytes - known, 0));
	block->report.verifications++;
	block->report.times.verify += distill_clock(distill) - start;
	block->stage = BLOCK_VERIFYING;
	return distill_send(distill, block, BLOCK_WIRE_VERIFY, 0, VERIFY_TAG_KEY_BYTES + tag_bytes);
}

static int on_corrected(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	int r = 0;

	if (block->stage != BLOCK_RECONCILING || wire->size_bytes < 8)
		return -EBADMSG;
	block->report.errors = block_wire_get64(wire->payload);
	if (block->report.errors > block->key.bit_count)
		return -EBADMSG;
	if (distill->config.bound == DISTILL_BOUND_WIESEMANN)
		r = take_error_positions(block, wire->payload + 8, wire->payload + wire->size_bytes,
					 block->report.errors);
	else if (wire->size_bytes != 8)
		r = -EBADMSG;
	return r < 0 ? r : send_verify(distill, block);
}

/* One short tag for each frame, to find the few that differ. */
static int send_frame_tags(struct distill *distill, struct block *block)
{
	uint8_t *payload = distill_payload(distill), *tags = payload + VERIFY_TAG_KEY_BYTES;
	int r = distill->handler.random(payload, VERIFY_TAG_KEY_BYTES, distill->userdata);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < block->frame_count; i++)
		verify_tag(distill->kernel, payload, block_frame(block, i), CASCADE_FRAME_WORDS,
			   BLOCK_WIRE_FRAME_TAG_BYTES, tags + i * BLOCK_WIRE_FRAME_TAG_BYTES);
	block->extra_leak_bits += 8ull * BLOCK_WIRE_FRAME_TAG_BYTES * block->frame_count;
	block->stage = BLOCK_COMPARING;
	return distill_send(distill, block, BLOCK_WIRE_FRAME_TAGS, 0,
			    VERIFY_TAG_KEY_BYTES +
				    (size_t)BLOCK_WIRE_FRAME_TAG_BYTES * block->frame_count);
}

static int send_seed(struct distill *distill, struct block *block)
{
	size_t seed_bytes = 8 * privacy_amplify_seed_words(block->key.bit_count), size;
	int r;

	block->seed = malloc(seed_bytes);
	if (!block->seed)
		return -ENOMEM;
	r = distill->handler.random(block->seed, seed_bytes, distill->userdata);
	for (size_t at = 0; at < seed_bytes && r >= 0; at += size) {
		size = MIN(seed_bytes - at, (size_t)BLOCK_WIRE_SEED_BYTES);
		memcpy(distill_payload(distill), (uint8_t *)block->seed + at, size);
		r = distill_send(distill, block, BLOCK_WIRE_SEED, 0, size);
	}
	return r;
}

/* Everything said so far is under the tag: it is computed over it and appended. */
static int send_amplify(struct distill *distill, struct block *block)
{
	uint8_t *payload = distill_payload(distill), *tag = payload + 9;
	size_t signed_bytes = BLOCK_WIRE_HEADER_BYTES + 9;
	uint64_t start = distill_clock(distill), number;
	int r;

	block_wire_build(BLOCK_WIRE_AMPLIFY, 0, block->number, distill->frame);
	block_wire_put64(payload, block->key_bits);
	payload[8] = (uint8_t)block->authentication_units;
	wegman_carter_update(distill->authentication, block->sent, distill->frame, signed_bytes);
	r = wegman_carter_sign(distill->authentication, block->sent, block->received, &number,
			       tag + 8);
	if (r < 0)
		return r;
	block_wire_put64(tag, number);
	block->report.times.authenticate += distill_clock(distill) - start;
	block->stage = BLOCK_FINISHING;
	return distill->handler.send(distill->frame, signed_bytes + 8 + WEGMAN_CARTER_TAG_BYTES,
				     distill->userdata);
}

/* What the store of pads lacks, but at most half of the block's key. */
static unsigned units_wanted(const struct distill *distill, uint64_t key_bits)
{
	size_t left = wegman_carter_send_left(distill->authentication);
	uint64_t units = left < AUTHENTICATION_TARGET ? AUTHENTICATION_TARGET - left : 0;

	units = MIN(units, key_bits / 2 / (8 * WEGMAN_CARTER_UNIT_BYTES));
	return (unsigned)MIN(units, (uint64_t)DISTILL_MAX_UNITS);
}

static int finish_block(struct distill *distill, struct block *block)
{
	int r;

	if ((double)block->report.errors >
	    distill->config.max_error_rate * (double)block->key.bit_count)
		return distill_drop(distill, block, BLOCK_DROP_ERROR_RATE);
	block->key_bits =
		block_key_length(block, &distill->config, (double)block_leak_bits(block)) / 8 * 8;
	if (block->key_bits < MIN_KEY_BITS)
		return distill_drop(distill, block, BLOCK_DROP_KEY_LENGTH);
	if (wegman_carter_send_left(distill->authentication) == 0)
		return distill_drop(distill, block, BLOCK_DROP_NO_PADS);
	block->authentication_units = units_wanted(distill, block->key_bits);
	r = send_seed(distill, block);
	return r < 0 ? r : send_amplify(distill, block);
}

static int on_result(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	if (block->stage != BLOCK_VERIFYING || wire->size_bytes != 1 || wire->payload[0] > 1)
		return -EBADMSG;
	if (wire->payload[0] == 1)
		return finish_block(distill, block);
	/* With one decoy the errors by intensity would have to be told again. */
	if (block->report.verifications >= DISTILL_MAX_VERIFICATIONS ||
	    distill->config.bound == DISTILL_BOUND_WIESEMANN)
		return distill_drop(distill, block, BLOCK_DROP_VERIFY);
	return send_frame_tags(distill, block);
}

static int on_need(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	uint8_t *payload = distill_payload(distill);
	size_t count = wire->size_bytes / 2;
	uint32_t last = 0;
	int r;

	if (block->stage != BLOCK_COMPARING || count == 0 || wire->size_bytes % 2 ||
	    count > block->frame_count)
		return -EBADMSG;
	if (count > 2 + block->frame_count / MAX_PATCHED_SHARE)
		return distill_drop(distill, block, BLOCK_DROP_VERIFY);
	for (size_t i = 0; i < count; i++) {
		unsigned frame = wire->payload[2 * i] | (unsigned)wire->payload[2 * i + 1] << 8;

		if (frame >= block->frame_count || (i > 0 && frame <= last))
			return -EBADMSG;
		memcpy(payload + i * CASCADE_FRAME_BYTES, block_frame(block, frame),
		       CASCADE_FRAME_BYTES);
		last = frame;
	}
	block->extra_leak_bits += count * CASCADE_FRAME_BITS;
	block->report.patched_frames += (unsigned)count;
	r = distill_send(distill, block, BLOCK_WIRE_PATCH, 0, count * CASCADE_FRAME_BYTES);
	return r < 0 ? r : send_verify(distill, block);
}

static int on_accept(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	int r;

	if (block->stage != BLOCK_FINISHING || wire->size_bytes != 8 + WEGMAN_CARTER_TAG_BYTES)
		return -EBADMSG;
	r = wegman_carter_check(distill->authentication, block->sent, block->received,
				block_wire_get64(wire->payload), wire->payload + 8);
	if (r < 0)
		return r;
	return distill_release(distill, block);
}

int distill_alice_receive(struct distill *distill, const struct block_wire *wire,
			  const uint8_t *frame)
{
	struct block *block;

	if (wire->type == BLOCK_WIRE_ANNOUNCE)
		return on_announce(distill, wire, frame);
	if (wire->block >= distill->next_block)
		return -EBADMSG;
	block = distill_find_block(distill, wire->block);
	if (!block)
		return 0; /* still on its way when we dropped the block */
	if (wire->type != BLOCK_WIRE_ACCEPT && wire->type != BLOCK_WIRE_DROP)
		wegman_carter_update(distill->authentication, block->received, frame,
				     BLOCK_WIRE_HEADER_BYTES + wire->size_bytes);
	if (wire->group != 0 && wire->type != BLOCK_WIRE_ASK)
		return -EBADMSG;
	switch ((int)wire->type) {
	case BLOCK_WIRE_ASK:
		return on_ask(distill, block, wire);
	case BLOCK_WIRE_CORRECTED:
		return on_corrected(distill, block, wire);
	case BLOCK_WIRE_RESULT:
		return on_result(distill, block, wire);
	case BLOCK_WIRE_NEED:
		return on_need(distill, block, wire);
	case BLOCK_WIRE_ACCEPT:
		return on_accept(distill, block, wire);
	case BLOCK_WIRE_DROP:
		return distill_on_drop(distill, block, wire);
	default:
		return -EBADMSG;
	}
}
