/* SPDX-License-Identifier: MIT */
/*
 * Bob's side of a distillation session: he announces what he detected, corrects his bits to
 * Alice's, compares, and is the first to hold the key. For each message: check its form and the
 * block's stage, do what it says, send what follows.
 */

#include <openssl/crypto.h>

#include "qkd-linkd/distill/distill-internal.h"
#include "qkd-linkd/distill/varint.h"
#include "qkd-linkd/distill/verify-tag.h"

#define ANNOUNCE_MIN_DETECTIONS 4096

/* Those that are full, and wait for Alice or for us. */
static size_t blocks_in_work(const struct distill *distill)
{
	size_t count = 0;

	for (size_t i = 0; i < DISTILL_MAX_BLOCKS; i++)
		count += distill->blocks[i] && distill->blocks[i] != distill->sifting;
	return count;
}

/* Announcements under way may each open a block beyond the window, and the last of these stays
 * half full until there is room for it. */
static bool may_announce(const struct distill *distill)
{
	return distill->announcement_count < DISTILL_ANNOUNCE_WINDOW &&
	       distill->queue_count - distill->queue_announced >= ANNOUNCE_MIN_DETECTIONS &&
	       blocks_in_work(distill) < distill->config.window;
}

/* What is announced stays at the front of the queue until Alice has answered. */
static int announce(struct distill *distill)
{
	const struct detection *first =
		distill->queue + distill->queue_start + distill->queue_announced;
	size_t count =
		MIN(distill->queue_count - distill->queue_announced, (size_t)SIFT_MAX_DETECTIONS);
	struct pending_announcement *a = &distill->announcements[distill->announcement_count];
	ssize_t size = sift_announce(first, count, distill_payload(distill));

	if (size < 0)
		return (int)size;
	*a = (struct pending_announcement){
		.number = distill->next_announcement,
		.count = count,
		.frame_bytes = BLOCK_WIRE_HEADER_BYTES + (size_t)size,
	};
	a->frame = malloc(a->frame_bytes);
	if (!a->frame)
		return -ENOMEM;
	block_wire_build(BLOCK_WIRE_ANNOUNCE, 0, a->number, distill->frame);
	memcpy(a->frame, distill->frame, a->frame_bytes);
	distill->next_announcement++;
	distill->announcement_count++;
	distill->queue_announced += count;
	return distill->handler.send(a->frame, a->frame_bytes, distill->userdata);
}

int distill_bob_detections(struct distill *distill)
{
	int r = 0;

	while (r >= 0 && may_announce(distill))
		r = announce(distill);
	return r;
}

static int apply(struct distill *distill, struct block *block, const struct block_wire *wire,
		 const struct pending_announcement *a, const uint8_t *frame)
{
	uint64_t start = distill_clock(distill);
	int r;

	wegman_carter_update(distill->authentication, block->sent, a->frame, a->frame_bytes);
	wegman_carter_update(distill->authentication, block->received, frame,
			     BLOCK_WIRE_HEADER_BYTES + wire->size_bytes);
	r = sift_apply(distill->queue + distill->queue_start, a->count, wire->payload + 5,
		       wire->size_bytes - 5, &block->key);
	block->tally.announced += a->count;
	block->report.times.sift += distill_clock(distill) - start;
	distill_consume(distill, a->count);
	distill->queue_announced -= a->count;
	return r;
}

static int on_sifted(struct distill *distill, const struct block_wire *wire, const uint8_t *frame)
{
	struct pending_announcement a = distill->announcements[0];
	struct block *block = distill->sifting;
	bool is_full;
	int r = 0;

	if (distill->announcement_count == 0 || wire->size_bytes < 5 ||
	    block_wire_get32(wire->payload) != a.number || wire->payload[4] > 1 ||
	    wire->block != (block ? block->number : distill->next_block))
		return -EBADMSG;
	if (!block)
		r = distill_open_block(distill, &block);
	if (r < 0)
		return r;
	distill->sifting = block;
	r = apply(distill, block, wire, &a, frame);
	free(a.frame);
	distill->announcement_count--;
	memmove(distill->announcements, distill->announcements + 1,
		distill->announcement_count * sizeof(a));
	if (r < 0)
		return r;
	is_full = block->key.bit_count == block->key.max_bits;
	if (is_full != (wire->payload[4] == 1))
		return -EBADMSG;
	if (is_full) {
		block->stage = BLOCK_STARTING;
		distill->sifting = NULL;
	}
	return distill_bob_detections(distill);
}

static uint64_t corrected_errors(const struct block *block)
{
	uint64_t errors = 0;

	for (unsigned i = 0; i < block->group_count; i++)
		errors += cascade_corrector_errors(block->correctors[i]);
	return errors;
}

/* The distances between the bits that the correction changed. */
static size_t put_positions(const struct block *block, uint8_t *to, uint64_t *ret_errors)
{
	const uint64_t *before = (const uint64_t *)block->before->bytes;
	uint8_t *start = to;
	uint64_t next = 0, errors = 0;

	for (size_t word = 0; word < block->key.bit_count / 64; word++) {
		uint64_t changed = before[word] ^ block->key.words[word];

		for (; changed; changed &= changed - 1) {
			uint64_t at = word * 64 + (unsigned)__builtin_ctzll(changed);

			to = varint_put(to, at - next);
			next = at + 1;
			errors++;
		}
	}
	*ret_errors = errors;
	return (size_t)(to - start);
}

static int send_corrected(struct distill *distill, struct block *block)
{
	uint8_t *payload = distill_payload(distill);
	uint64_t errors = corrected_errors(block);
	size_t size = 8;

	if (block->before)
		size += put_positions(block, payload + 8, &errors);
	block->report.errors = errors;
	block_wire_put64(payload, errors);
	block->stage = BLOCK_VERIFYING;
	return distill_send(distill, block, BLOCK_WIRE_CORRECTED, 0, size);
}

static int ask_group(struct distill *distill, struct block *block, unsigned group)
{
	uint8_t *payload = distill_payload(distill);
	const uint32_t *questions;
	uint64_t start = distill_clock(distill);
	ssize_t count = cascade_corrector_ask(block->correctors[group], &questions);

	if (count < 0)
		return (int)count;
	for (ssize_t i = 0; i < count; i++)
		block_wire_put32(payload + 4 * i, questions[i]);
	block->report.times.reconcile += distill_clock(distill) - start;
	if (count > 0)
		return distill_send(distill, block, BLOCK_WIRE_ASK, (uint8_t)group,
				    4 * (size_t)count);
	if (++block->groups_done < block->group_count)
		return 0;
	return send_corrected(distill, block);
}

static int on_start(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	struct cascade_plan plan;
	int r;

	if (block->stage != BLOCK_STARTING || wire->size_bytes != 12 || wire->payload[3] != 0)
		return -EBADMSG;
	cascade_plan_of(wire->payload[0], wire->payload[1], wire->payload[2], &plan);
	if (!cascade_plan_is_valid(&plan))
		return -EBADMSG;
	if (block->before)
		memcpy(block->before->bytes, block->bits->bytes, block->bits->size_bytes);
	r = block_start(block, WEGMAN_CARTER_BOB, &plan, block_wire_get64(wire->payload + 4));
	block->stage = BLOCK_RECONCILING;
	for (unsigned i = 0; i < block->group_count && r >= 0; i++)
		r = ask_group(distill, block, i);
	return r;
}

static int on_answer(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	uint64_t start = distill_clock(distill);
	size_t bits;
	int r;

	if (block->stage != BLOCK_RECONCILING || wire->group >= block->group_count ||
	    wire->size_bytes < 4)
		return -EBADMSG;
	bits = block_wire_get32(wire->payload);
	if (bits == 0 || wire->size_bytes - 4 != (bits + 7) / 8)
		return -EBADMSG;
	r = cascade_corrector_take(block->correctors[wire->group], wire->payload + 4, bits);
	block->report.times.reconcile += distill_clock(distill) - start;
	return r < 0 ? r : ask_group(distill, block, wire->group);
}

static int on_verify(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	unsigned tag_bytes = verify_tag_bytes(block->key.bit_count, distill->config.eps_cor);
	uint8_t tag[VERIFY_TAG_MAX_BYTES];
	uint64_t start = distill_clock(distill);
	bool is_equal;

	if (block->stage != BLOCK_VERIFYING || wire->size_bytes != VERIFY_TAG_KEY_BYTES + tag_bytes)
		return -EBADMSG;
	verify_tag(distill->kernel, wire->payload, block->key.words, block->key.bit_count / 64,
		   tag_bytes, tag);
	is_equal = CRYPTO_memcmp(tag, wire->payload + VERIFY_TAG_KEY_BYTES, tag_bytes) == 0;
	block->report.verifications++;
	block->report.times.verify += distill_clock(distill) - start;
	block->stage = is_equal ? BLOCK_FINISHING : BLOCK_COMPARING;
	*distill_payload(distill) = is_equal;
	return distill_send(distill, block, BLOCK_WIRE_RESULT, 0, 1);
}

static int on_frame_tags(struct distill *distill, struct block *block,
			 const struct block_wire *wire)
{
	const uint8_t *tags = wire->payload + VERIFY_TAG_KEY_BYTES;
	uint8_t *payload = distill_payload(distill), tag[BLOCK_WIRE_FRAME_TAG_BYTES];
	size_t count = 0;

	if (block->stage != BLOCK_COMPARING ||
	    wire->size_bytes !=
		    VERIFY_TAG_KEY_BYTES + (size_t)BLOCK_WIRE_FRAME_TAG_BYTES * block->frame_count)
		return -EBADMSG;
	memset(block->need, 0, sizeof(block->need));
	for (unsigned i = 0; i < block->frame_count; i++) {
		verify_tag(distill->kernel, wire->payload, block_frame(block, i),
			   CASCADE_FRAME_WORDS, sizeof(tag), tag);
		if (memcmp(tag, tags + i * sizeof(tag), sizeof(tag)) == 0)
			continue;
		block->need[i / 8] |= (uint8_t)(1u << i % 8);
		payload[2 * count] = (uint8_t)i;
		payload[2 * count++ + 1] = (uint8_t)(i >> 8);
	}
	if (count == 0)
		return distill_drop(distill, block, BLOCK_DROP_VERIFY);
	block->report.patched_frames += (unsigned)count;
	block->stage = BLOCK_PATCHING;
	return distill_send(distill, block, BLOCK_WIRE_NEED, 0, 2 * count);
}

/* The frames that Alice has given away replace ours. */
static int on_patch(struct block *block, const struct block_wire *wire)
{
	const uint8_t *from = wire->payload, *end = from + wire->size_bytes;
	uint64_t bits[CASCADE_FRAME_WORDS];

	if (block->stage != BLOCK_PATCHING)
		return -EBADMSG;
	for (unsigned i = 0; i < block->frame_count; i++) {
		uint64_t *ours = block_frame(block, i);

		if (!(block->need[i / 8] >> i % 8 & 1))
			continue;
		if (end - from < CASCADE_FRAME_BYTES)
			return -EBADMSG;
		memcpy(bits, from, sizeof(bits));
		for (unsigned word = 0; word < CASCADE_FRAME_WORDS; word++) {
			block->report.errors +=
				(unsigned)__builtin_popcountll(ours[word] ^ bits[word]);
			ours[word] = bits[word];
		}
		from += CASCADE_FRAME_BYTES;
	}
	block->stage = BLOCK_VERIFYING;
	return from == end ? 0 : -EBADMSG;
}

static bool is_key_length(const struct block *block)
{
	size_t least = block->authentication_units * WEGMAN_CARTER_UNIT_BYTES;

	return block->authentication_units <= DISTILL_MAX_UNITS && block->key_bits % 8 == 0 &&
	       block->key_bits / 8 > least && block->key_bits < block->key.bit_count;
}

/* Signs first, so that a key that cannot be told to Alice is never handed out. */
static int accept(struct distill *distill, struct block *block)
{
	uint8_t frame[BLOCK_WIRE_HEADER_BYTES + 8 + WEGMAN_CARTER_TAG_BYTES];
	uint64_t number;
	int r;

	if (wegman_carter_send_left(distill->authentication) == 0)
		return distill_drop(distill, block, BLOCK_DROP_NO_PADS);
	block_wire_build(BLOCK_WIRE_ACCEPT, 0, block->number, frame);
	r = wegman_carter_sign(distill->authentication, block->sent, block->received, &number,
			       frame + BLOCK_WIRE_HEADER_BYTES + 8);
	if (r < 0)
		return r;
	block_wire_put64(frame + BLOCK_WIRE_HEADER_BYTES, number);
	r = distill_release(distill, block);
	if (r >= 0)
		r = distill->handler.send(frame, sizeof(frame), distill->userdata);
	return r < 0 ? r : distill_bob_detections(distill);
}

static int on_seed(struct block *block, const struct block_wire *wire)
{
	size_t total = 8 * privacy_amplify_seed_words(block->key.bit_count);
	size_t wanted = MIN(total - block->seed_bytes, (size_t)BLOCK_WIRE_SEED_BYTES);

	if (block->stage != BLOCK_FINISHING || wanted == 0 || wire->size_bytes != wanted)
		return -EBADMSG;
	if (!block->seed)
		block->seed = malloc(total);
	if (!block->seed)
		return -ENOMEM;
	memcpy((uint8_t *)block->seed + block->seed_bytes, wire->payload, wanted);
	block->seed_bytes += wanted;
	return 0;
}

static int on_amplify(struct distill *distill, struct block *block, const struct block_wire *wire,
		      const uint8_t *frame)
{
	size_t total = 8 * privacy_amplify_seed_words(block->key.bit_count);
	const uint8_t *tag = wire->payload + 9;
	uint64_t start = distill_clock(distill);
	int r;

	if (block->stage != BLOCK_FINISHING || block->seed_bytes != total ||
	    wire->size_bytes != 9 + 8 + WEGMAN_CARTER_TAG_BYTES)
		return -EBADMSG;
	wegman_carter_update(distill->authentication, block->received, frame,
			     BLOCK_WIRE_HEADER_BYTES + 9);
	r = wegman_carter_check(distill->authentication, block->sent, block->received,
				block_wire_get64(tag), tag + 8);
	block->report.times.authenticate += distill_clock(distill) - start;
	if (r < 0)
		return r;
	block->key_bits = block_wire_get64(wire->payload);
	block->authentication_units = wire->payload[8];
	if (!is_key_length(block))
		return -EBADMSG;
	return accept(distill, block);
}

static int on_drop(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	int r = distill_on_drop(distill, block, wire);

	return r < 0 ? r : distill_bob_detections(distill);
}

static int receive(struct distill *distill, struct block *block, const struct block_wire *wire,
		   const uint8_t *frame)
{
	switch ((int)wire->type) {
	case BLOCK_WIRE_START:
		return on_start(distill, block, wire);
	case BLOCK_WIRE_ANSWER:
		return on_answer(distill, block, wire);
	case BLOCK_WIRE_VERIFY:
		return on_verify(distill, block, wire);
	case BLOCK_WIRE_FRAME_TAGS:
		return on_frame_tags(distill, block, wire);
	case BLOCK_WIRE_PATCH:
		return on_patch(block, wire);
	case BLOCK_WIRE_SEED:
		return on_seed(block, wire);
	case BLOCK_WIRE_AMPLIFY:
		return on_amplify(distill, block, wire, frame);
	case BLOCK_WIRE_DROP:
		return on_drop(distill, block, wire);
	default:
		return -EBADMSG;
	}
}

int distill_bob_receive(struct distill *distill, const struct block_wire *wire,
			const uint8_t *frame)
{
	struct block *block;

	if (wire->group != 0 && wire->type != BLOCK_WIRE_ANSWER)
		return -EBADMSG;
	if (wire->type == BLOCK_WIRE_SIFTED)
		return on_sifted(distill, wire, frame);
	if (wire->block >= distill->next_block)
		return -EBADMSG;
	block = distill_find_block(distill, wire->block);
	if (!block)
		return 0; /* still on its way when we dropped the block */
	if (wire->type != BLOCK_WIRE_AMPLIFY && wire->type != BLOCK_WIRE_DROP)
		wegman_carter_update(distill->authentication, block->received, frame,
				     BLOCK_WIRE_HEADER_BYTES + wire->size_bytes);
	return receive(distill, block, wire, frame);
}
