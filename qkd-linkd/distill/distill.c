/* SPDX-License-Identifier: MIT */
/*
 * One end of a distillation session: what both roles share. Alice's side of the conversation is in
 * distill-alice.c, Bob's in distill-bob.c.
 */

#include "qkd-linkd/distill/distill-internal.h"

#define RATE_UNIT 1000000u /* of an error rate on the wire */

void distill_config_defaults(struct distill_config *ret)
{
	*ret = (struct distill_config){
		.role = WEGMAN_CARTER_ALICE,
		.bound = DISTILL_BOUND_LIM,
		.source = {3, {0.5, 0.1, 0}, {0.70, 0.15, 0.15}},
		.eps_sec = KEY_LENGTH_EPS_SEC,
		.eps_cor = KEY_LENGTH_EPS_COR,
		.max_error_rate = DISTILL_MAX_ERROR_RATE,
		.block_frames = DISTILL_MAX_FRAMES,
		.window = 2,
		.alarm_after = DISTILL_ALARM_AFTER,
	};
}

static bool is_probability(double x)
{
	return x > 0 && x < 1;
}

const char *distill_config_fault(const struct distill_config *config)
{
	unsigned intensities = config->bound == DISTILL_BOUND_LIM ? 3 : 2;

	if (!is_probability(config->eps_sec) || !is_probability(config->eps_cor))
		return "the security parameters must lie between 0 and 1";
	if (!(config->max_error_rate > 0 && config->max_error_rate <= DISTILL_MAX_ERROR_RATE))
		return "the error rate limit must be above 0 and at most 0.11";
	if (config->block_frames < 1 || config->block_frames > DISTILL_MAX_FRAMES)
		return "a block has 1 to 2048 frames";
	if (config->window < 1 || config->window > DISTILL_MAX_WINDOW)
		return "the window is 1 to 8 blocks";
	if (config->alarm_after < 1)
		return "the alarm needs at least one dropped block";
	if (config->bound == DISTILL_BOUND_TOMAMICHEL)
		return NULL;
	if (config->source.intensity_count != intensities)
		return "the bound does not suit the number of intensities";
	return key_length_source_fault(&config->source);
}

int distill_new(const struct distill_config *config, const struct distill_handler *handler,
		void *userdata, struct wegman_carter *authentication, struct distill **ret)
{
	_cleanup_(distill_freep) struct distill *distill = NULL;
	uint64_t bits = (uint64_t)config->block_frames * CASCADE_FRAME_BITS;
	int r;

	if (distill_config_fault(config))
		return -EINVAL;
	distill = calloc(1, sizeof(*distill));
	if (!distill)
		return -ENOMEM;
	distill->config = *config;
	distill->handler = *handler;
	distill->userdata = userdata;
	distill->kernel = gf128_kernel();
	distill->frame = malloc(BLOCK_WIRE_MAX_BYTES);
	distill->queue = secret_malloc(DISTILL_QUEUE_DETECTIONS * sizeof(distill->queue[0]));
	if (!distill->frame || !distill->queue)
		return -ENOMEM;
	distill->authentication = authentication;
	r = privacy_amplifier_new(distill->kernel, bits, &distill->amplifier);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(distill);
	return 0;
}

struct distill *distill_free(struct distill *distill)
{
	if (!distill)
		return NULL;
	for (size_t i = 0; i < DISTILL_MAX_BLOCKS; i++)
		block_free(distill->blocks[i]);
	for (size_t i = 0; i < distill->announcement_count; i++)
		free(distill->announcements[i].frame);
	privacy_amplifier_free(distill->amplifier);
	secret_mfree(distill->queue);
	free(distill->frame);
	free(distill);
	return NULL;
}

bool distill_alarm(const struct distill *distill)
{
	return distill->alarm;
}

double distill_error_rate(const struct distill *distill)
{
	return error_estimate_expect(&distill->estimate, 0, 0);
}

uint64_t distill_clock(const struct distill *distill)
{
	return distill->handler.cpu_nsec ? distill->handler.cpu_nsec(distill->userdata) : 0;
}

int distill_send(struct distill *distill, struct block *block, enum block_wire_type type,
		 uint8_t group, size_t payload_bytes)
{
	size_t size = BLOCK_WIRE_HEADER_BYTES + payload_bytes;
	uint64_t start = distill_clock(distill);

	block_wire_build(type, group, block->number, distill->frame);
	wegman_carter_update(distill->authentication, block->sent, distill->frame, size);
	block->report.times.authenticate += distill_clock(distill) - start;
	return distill->handler.send(distill->frame, size, distill->userdata);
}

struct block *distill_find_block(const struct distill *distill, uint32_t number)
{
	for (size_t i = 0; i < DISTILL_MAX_BLOCKS; i++)
		if (distill->blocks[i] && distill->blocks[i]->number == number)
			return distill->blocks[i];
	return NULL;
}

int distill_open_block(struct distill *distill, struct block **ret)
{
	for (size_t i = 0; i < DISTILL_MAX_BLOCKS; i++) {
		int r;

		if (distill->blocks[i])
			continue;
		r = block_new(&distill->config, distill->next_block, &distill->blocks[i]);
		if (r < 0)
			return r;
		distill->next_block++;
		*ret = distill->blocks[i];
		return 0;
	}
	return -EBADMSG; /* an honest end does not announce so much */
}

void distill_close_block(struct distill *distill, struct block *block)
{
	for (size_t i = 0; i < DISTILL_MAX_BLOCKS; i++)
		if (distill->blocks[i] == block)
			distill->blocks[i] = NULL;
	if (distill->sifting == block)
		distill->sifting = NULL;
	block_free(block);
}

static void fill_report(struct distill_report *report, const struct block *block)
{
	double n = (double)block->key.bit_count, rate;

	report->announced = block->tally.announced;
	report->sifted_bits = block->key.bit_count;
	report->test_bits = block_test_bits(block);
	report->test_errors = block_test_errors(block);
	report->leak_bits = block_leak_bits(block);
	rate = n > 0 ? (double)report->errors / n : 0;
	if (rate > 0)
		report->efficiency =
			(double)report->leak_bits / (n * key_length_entropy(MIN(rate, 0.5)));
	else if (report->test_bits > 0) /* dropped before the correction */
		rate = (double)report->test_errors / (double)report->test_bits;
	else
		rate = report->error_rate; /* as the other end told */
	report->error_rate = rate;
	for (unsigned i = 0; i < block->group_count; i++)
		if (block->correctors[i])
			report->rounds =
				MAX(report->rounds, cascade_corrector_rounds(block->correctors[i]));
}

static void finish_report(struct distill *distill, struct block *block, enum block_drop reason)
{
	fill_report(&block->report, block);
	block->report.drop = reason;
	block->report.key_bits = reason == BLOCK_DROP_NONE ? block->report.key_bits : 0;
	if (distill->handler.on_report)
		distill->handler.on_report(&block->report, distill->userdata);
}

static void set_alarm(struct distill *distill, bool raised)
{
	if (distill->alarm == raised)
		return;
	distill->alarm = raised;
	if (distill->handler.on_alarm)
		distill->handler.on_alarm(raised, distill->userdata);
}

void distill_dropped(struct distill *distill, struct block *block, enum block_drop reason)
{
	finish_report(distill, block, reason);
	distill_close_block(distill, block);
	if (++distill->dropped_in_a_row >= distill->config.alarm_after)
		set_alarm(distill, true);
}

static double rate_for_drop(const struct block *block)
{
	double bits = (double)block->key.bit_count, tests = (double)block_test_bits(block);

	if (block->report.errors > 0)
		return (double)block->report.errors / bits;
	return tests > 0 ? (double)block_test_errors(block) / tests : 0;
}

int distill_drop(struct distill *distill, struct block *block, enum block_drop reason)
{
	uint8_t *payload = distill_payload(distill);
	int r;

	payload[0] = (uint8_t)reason;
	block_wire_put32(payload + 1, (uint32_t)(rate_for_drop(block) * RATE_UNIT));
	r = distill_send(distill, block, BLOCK_WIRE_DROP, 0, 5);
	if (r >= 0)
		distill_dropped(distill, block, reason);
	return r;
}

int distill_on_drop(struct distill *distill, struct block *block, const struct block_wire *wire)
{
	if (wire->size_bytes != 5 || wire->payload[0] == BLOCK_DROP_NONE ||
	    wire->payload[0] > BLOCK_DROP_NO_PADS)
		return -EBADMSG;
	block->report.error_rate =
		MIN(block_wire_get32(wire->payload + 1), RATE_UNIT) / (double)RATE_UNIT;
	distill_dropped(distill, block, wire->payload[0]);
	return 0;
}

static int amplify(struct distill *distill, struct block *block, struct secret **ret)
{
	uint64_t start = distill_clock(distill), words = (block->key_bits + 63) / 64;
	_cleanup_(secret_freep) struct secret *key = NULL;
	int r = secret_new(words * sizeof(uint64_t), &key);

	if (r < 0)
		return r;
	r = privacy_amplify(distill->amplifier, block->key.words, block->key.bit_count, block->seed,
			    block->key_bits, (uint64_t *)key->bytes);
	if (r < 0)
		return r;
	block->report.times.amplify += distill_clock(distill) - start;
	*ret = TAKE_PTR(key);
	return 0;
}

static int feed_authentication(struct distill *distill, const struct block *block,
			       const struct secret *key)
{
	int r = 0;

	for (unsigned i = 0; i < block->authentication_units && r >= 0; i++)
		r = wegman_carter_add_unit(distill->authentication,
					   key->bytes + i * WEGMAN_CARTER_UNIT_BYTES);
	return r;
}

int distill_release(struct distill *distill, struct block *block)
{
	_cleanup_(secret_freep) struct secret *whole = NULL, *key = NULL;
	size_t skip = block->authentication_units * WEGMAN_CARTER_UNIT_BYTES;
	uint32_t number = block->number;
	int r = amplify(distill, block, &whole);

	if (r >= 0)
		r = feed_authentication(distill, block, whole);
	if (r >= 0)
		r = secret_new_copy(whole->bytes + skip, block->key_bits / 8 - skip, &key);
	if (r < 0)
		return r;
	block->report.key_bits = key->size_bytes * 8;
	error_estimate_add(&distill->estimate, block->report.errors, block->key.bit_count);
	finish_report(distill, block, BLOCK_DROP_NONE);
	distill_close_block(distill, block);
	distill->dropped_in_a_row = 0;
	set_alarm(distill, false);
	return distill->handler.on_key(number, TAKE_PTR(key), distill->userdata);
}

size_t distill_room(const struct distill *distill)
{
	return DISTILL_QUEUE_DETECTIONS - distill->queue_count;
}

void distill_consume(struct distill *distill, size_t count)
{
	distill->queue_start += count;
	distill->queue_count -= count;
	if (distill->queue_count == 0)
		distill->queue_start = 0;
}

static int enqueue(struct distill *distill, const struct detection *detections, size_t count)
{
	struct detection *queue = distill->queue;

	if (count > distill_room(distill))
		return -EAGAIN;
	for (size_t i = 0; i < count; i++) {
		if (distill->has_last_slot && detections[i].time <= distill->last_slot)
			return -EINVAL;
		distill->last_slot = detections[i].time;
		distill->has_last_slot = true;
	}
	if (distill->queue_start + distill->queue_count + count > DISTILL_QUEUE_DETECTIONS) {
		memmove(queue, queue + distill->queue_start, distill->queue_count * sizeof(*queue));
		distill->queue_start = 0;
	}
	memcpy(queue + distill->queue_start + distill->queue_count, detections,
	       count * sizeof(*queue));
	distill->queue_count += count;
	return 0;
}

int distill_detections(struct distill *distill, const struct detection *detections, size_t count)
{
	int r = distill->failure;

	if (r < 0)
		return r;
	r = enqueue(distill, detections, count);
	if (r < 0)
		return r;
	if (distill->config.role == WEGMAN_CARTER_ALICE)
		r = distill_alice_detections(distill);
	else
		r = distill_bob_detections(distill);
	distill->failure = r < 0 ? r : 0;
	return r;
}

int distill_receive(struct distill *distill, const uint8_t *bytes, size_t size_bytes)
{
	struct block_wire wire;
	int r = distill->failure;

	if (r < 0)
		return r;
	r = block_wire_parse(bytes, size_bytes, &wire);
	if (r >= 0 && distill->config.role == WEGMAN_CARTER_ALICE)
		r = distill_alice_receive(distill, &wire, bytes);
	else if (r >= 0)
		r = distill_bob_receive(distill, &wire, bytes);
	distill->failure = r < 0 ? r : 0;
	return r;
}
