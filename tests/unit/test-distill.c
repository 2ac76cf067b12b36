/* SPDX-License-Identifier: MIT */
/*
 * Whole distillation sessions, both ends in one process: equal keys, or none where none may be.
 * What a man in the middle can do is in test-distill-meddled.c.
 */

#include <criterion/criterion.h>
#include <math.h>

#include "common/prng.h"
#include "qkd-linkd/distill/cascade.h"
#include "qkd-linkd/distill/loopback.h"
#include "qkd-linkd/distill/recording.h"

#define MAX_BLOCKS 64

struct outcome {
	struct secret *keys[2][MAX_BLOCKS];
	struct distill_report reports[2][MAX_BLOCKS];
	size_t released[2], dropped[2];
	bool released_after_failure;
	struct loopback *loopback;
	/* The meddler's plan. */
	enum block_wire_type change_type; /* 0: none; else a bit of the first one of this type... */
	int change_at;                    /* ... in this byte, from the end when negative */
};

static void on_key(enum wegman_carter_role end, uint32_t block, const struct secret *key,
		   void *userdata)
{
	struct outcome *outcome = userdata;

	cr_assert_lt(block, MAX_BLOCKS);
	cr_assert_null(outcome->keys[end][block], "block %u twice", block);
	cr_assert_eq(secret_new_copy(key->bytes, key->size_bytes, &outcome->keys[end][block]), 0);
	outcome->released[end]++;
	if (outcome->loopback && loopback_failure(outcome->loopback, end) < 0)
		outcome->released_after_failure = true;
}

static void on_report(enum wegman_carter_role end, const struct distill_report *report,
		      void *userdata)
{
	struct outcome *outcome = userdata;

	if (report->block < MAX_BLOCKS)
		outcome->reports[end][report->block] = *report;
	outcome->dropped[end] += report->drop != BLOCK_DROP_NONE;
}

static enum loopback_fate meddle(enum wegman_carter_role sender, uint64_t index, uint8_t *bytes,
				 size_t size_bytes, void *userdata)
{
	struct outcome *outcome = userdata;

	if (outcome->change_type && bytes[0] == outcome->change_type) {
		bytes[outcome->change_at < 0 ? (int)size_bytes + outcome->change_at
					     : outcome->change_at] ^= 1;
		outcome->change_type = 0;
	}
	return LOOPBACK_DELIVER;
}

static const struct loopback_handler handler = {
	.on_key = on_key,
	.on_report = on_report,
	.meddle = meddle,
};

/* Small blocks that give key: half of each basis, the single-photon bound. */
static void small_config(struct sim_optics_parameters *optics, struct distill_config *config)
{
	sim_optics_defaults(optics);
	optics->key_basis = 0.5;
	optics->dead_gates = 0;
	optics->loss_db = 0;
	optics->sync_slots = 0;
	distill_config_defaults(config);
	config->bound = DISTILL_BOUND_TOMAMICHEL;
	config->block_frames = 2;
}

static int run(struct outcome *outcome, const struct sim_optics_parameters *optics,
	       const struct distill_config *config, uint64_t blocks)
{
	_cleanup_(loopback_freep) struct loopback *loopback = NULL;
	int r;

	cr_assert_eq(loopback_new(optics, config, 3, &handler, outcome, &loopback), 0);
	outcome->loopback = loopback;
	r = loopback_run(loopback, blocks, UINT64_MAX);
	outcome->loopback = NULL;
	return r;
}

static void outcome_done(struct outcome *outcome)
{
	for (size_t i = 0; i < 2 * MAX_BLOCKS; i++)
		secret_free(outcome->keys[i / MAX_BLOCKS][i % MAX_BLOCKS]);
}

static void expect_equal_keys(const struct outcome *outcome, const char *when)
{
	for (size_t i = 0; i < MAX_BLOCKS; i++) {
		const struct secret *a = outcome->keys[0][i], *b = outcome->keys[1][i];

		if (a && b)
			cr_assert(secret_equal(a, b), "%s: block %zu differs", when, i);
		/* Bob checks Alice's tag first and tells her: she never has what he has not. */
		if (a)
			cr_assert_not_null(b, "%s: block %zu only at Alice's", when, i);
	}
	cr_assert_not(outcome->released_after_failure, "%s", when);
}

Test(distill, both_ends_get_the_same_key_for_every_block)
{
	struct outcome outcome = {};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	cr_assert_eq(run(&outcome, &optics, &config, 8), 0);
	cr_expect_geq(outcome.released[0], 8);
	cr_expect_geq(outcome.released[1], 8);
	expect_equal_keys(&outcome, "undisturbed");
	for (size_t i = 0; i < 8; i++) {
		const struct distill_report *a = &outcome.reports[0][i];

		cr_expect_eq(a->sifted_bits, 2 * CASCADE_FRAME_BITS);
		cr_expect_gt(a->key_bits, 10000);
		cr_expect_eq(a->key_bits, outcome.keys[0][i]->size_bytes * 8);
		cr_expect(fabs(a->error_rate - 0.015) < 0.004, "%f", a->error_rate);
		cr_expect(a->efficiency > 1 && a->efficiency < 1.3, "%f", a->efficiency);
		cr_expect_neq(
			memcmp(outcome.keys[0][i]->bytes, outcome.keys[0][(i + 1) % 8]->bytes, 16),
			0);
	}
	outcome_done(&outcome);
}

Test(distill, time_tags_of_a_clock_that_is_off_give_the_same_key_too)
{
	struct outcome outcome = {};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	optics.sync_slots = 2000000;
	optics.offset_ps = -1e9;
	optics.drift = 1e-5;
	cr_assert_eq(run(&outcome, &optics, &config, 3), 0);
	cr_expect_geq(outcome.released[0], 3);
	expect_equal_keys(&outcome, "off clock");
	outcome_done(&outcome);
}

#define LIGHT_BYTES (4u << 20)

/* Light that is recorded while it is drawn, or drawn from the record. */
struct light {
	struct sim_optics *optics; /* NULL: replay */
	struct recording recording;
	uint8_t *bytes;
	size_t size, at;
	struct secret *keys[2];
};

static ssize_t draw_light(uint64_t end_slot, struct sim_event *ret_events, size_t max,
			  void *userdata)
{
	struct light *light = userdata;
	size_t count = 0;

	if (light->optics) {
		uint8_t *to = light->bytes + light->size;

		count = sim_optics_draw(light->optics, end_slot, ret_events, max);
		cr_assert_leq(light->size + count * RECORDING_EVENT_MAX_BYTES, LIGHT_BYTES);
		for (size_t i = 0; i < count; i++)
			to = recording_put(&light->recording, &ret_events[i], to);
		light->size = (size_t)(to - light->bytes);
		return (ssize_t)count;
	}
	for (; count < max && light->at < light->size; count++) {
		ssize_t used = recording_get(&light->recording, light->bytes + light->at,
					     light->size - light->at, &ret_events[count]);

		cr_assert_gt(used, 0);
		light->at += (size_t)used;
	}
	return (ssize_t)count;
}

static void keep_key(enum wegman_carter_role end, uint32_t block, const struct secret *key,
		     void *userdata)
{
	struct light *light = userdata;

	if (end == WEGMAN_CARTER_ALICE && block == 0)
		cr_assert_eq(secret_new_copy(key->bytes, key->size_bytes,
					     &light->keys[light->optics == NULL]),
			     0);
}

static void distil_light(struct light *light, const struct sim_optics_parameters *optics,
			 const struct distill_config *config)
{
	static const struct loopback_handler recorder = {.on_key = keep_key, .draw = draw_light};
	_cleanup_(loopback_freep) struct loopback *loopback = NULL;
	struct recording_header header = {.intensities = 3};

	recording_init(&light->recording, &header);
	cr_assert_eq(loopback_new(optics, config, 3, &recorder, light, &loopback), 0);
	cr_assert_eq(loopback_run(loopback, 1, UINT64_MAX), 0);
}

Test(distill, recorded_light_gives_the_key_that_it_gave_when_it_was_recorded)
{
	_cleanup_(sim_optics_freep) struct sim_optics *simulation = NULL;
	struct sim_optics_parameters optics;
	struct distill_config config;
	struct light light = {.bytes = malloc(LIGHT_BYTES)};

	cr_assert_not_null(light.bytes);
	small_config(&optics, &config);
	optics.sync_slots = 2000000;
	optics.offset_ps = 1e9;
	optics.drift = -1e-5;
	cr_assert_eq(sim_optics_new(&optics, &simulation), 0);
	light.optics = simulation;
	distil_light(&light, &optics, &config);
	light.optics = NULL;
	distil_light(&light, &optics, &config);
	cr_assert(light.keys[0] && light.keys[1]);
	cr_expect(secret_equal(light.keys[0], light.keys[1]));
	secret_free(light.keys[0]);
	secret_free(light.keys[1]);
	free(light.bytes);
}

Test(distill, two_decoys_and_large_blocks_give_key_by_lim_2014)
{
	struct outcome outcome = {};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	config.bound = DISTILL_BOUND_LIM;
	config.block_frames = 128;
	cr_assert_eq(run(&outcome, &optics, &config, 1), 0);
	cr_expect_geq(outcome.released[0], 1);
	expect_equal_keys(&outcome, "two decoys");
	cr_expect_gt(outcome.reports[0][0].phase_error, 0.015);
	outcome_done(&outcome);
}

Test(distill, one_decoy_gives_key_by_wiesemann_2024)
{
	struct outcome outcome = {};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	optics.intensity_count = config.source.intensity_count = 2;
	optics.mean_photons[1] = config.source.mean_photons[1] = 0.15;
	optics.probability[0] = config.source.probability[0] = 0.7;
	optics.probability[1] = config.source.probability[1] = 0.3;
	config.bound = DISTILL_BOUND_WIESEMANN;
	config.block_frames = 128;
	cr_assert_eq(run(&outcome, &optics, &config, 1), 0);
	cr_expect_geq(outcome.released[0] + outcome.dropped[0], 1);
	cr_expect_eq(outcome.reports[0][0].drop, BLOCK_DROP_NONE);
	expect_equal_keys(&outcome, "one decoy");
	outcome_done(&outcome);
}

Test(distill, what_both_ends_say_can_be_counted_as_leaked)
{
	struct outcome once = {}, twice = {};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	cr_assert_eq(run(&once, &optics, &config, 1), 0);
	config.count_both_directions = true;
	cr_assert_eq(run(&twice, &optics, &config, 1), 0);
	cr_expect_leq(twice.reports[0][0].key_bits + once.reports[0][0].leak_bits,
		      once.reports[0][0].key_bits + 8);
	outcome_done(&once);
	outcome_done(&twice);
}

Test(distill, intercept_and_resend_of_everything_gives_no_key_and_an_alarm)
{
	_cleanup_(loopback_freep) struct loopback *loopback = NULL;
	struct outcome outcome = {};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	optics.intercept = 1;
	cr_assert_eq(loopback_new(&optics, &config, 3, &handler, &outcome, &loopback), 0);
	cr_assert_eq(loopback_run(loopback, DISTILL_ALARM_AFTER, UINT64_MAX), 0);
	cr_expect_eq(outcome.released[0] + outcome.released[1], 0);
	cr_expect_eq(outcome.reports[0][0].drop, BLOCK_DROP_ERROR_RATE);
	cr_expect_eq(outcome.reports[1][0].drop, BLOCK_DROP_ERROR_RATE);
	cr_expect(distill_alarm(loopback_end(loopback, WEGMAN_CARTER_ALICE)));
	cr_expect(distill_alarm(loopback_end(loopback, WEGMAN_CARTER_BOB)));
}

Test(distill, blocks_too_small_for_the_bound_are_dropped)
{
	struct outcome outcome = {};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	config.bound = DISTILL_BOUND_LIM;
	cr_assert_eq(run(&outcome, &optics, &config, 2), 0);
	cr_expect_eq(outcome.released[0] + outcome.released[1], 0);
	cr_expect_eq(outcome.reports[0][0].drop, BLOCK_DROP_KEY_LENGTH);
	outcome_done(&outcome);
}

Test(distill, authentication_key_is_replenished_and_never_shrinks_in_the_long_run)
{
	_cleanup_(loopback_freep) struct loopback *loopback = NULL;
	struct outcome outcome = {};
	struct sim_optics_parameters optics;
	struct distill_config config;
	const struct wegman_carter *wc;

	small_config(&optics, &config);
	config.block_frames = 1;
	optics.misalignment = 0.001;
	cr_assert_eq(loopback_new(&optics, &config, 3, &handler, &outcome, &loopback), 0);
	wc = loopback_authentication(loopback, WEGMAN_CARTER_ALICE);
	cr_assert_eq(loopback_run(loopback, 40, UINT64_MAX), 0);
	cr_expect_geq(wegman_carter_send_left(wc), 200); /* it began with 64 */
	outcome_done(&outcome);
}

/* What a forger could want to change: it is all under the tags. */
Test(distill, changes_that_keep_the_form_are_rejected_by_the_authentication)
{
	static const struct {
		enum block_wire_type type;
		int at; /* from the end when negative */
	} changes[] = {
		{BLOCK_WIRE_ANNOUNCE, -1}, {BLOCK_WIRE_CORRECTED, 8}, {BLOCK_WIRE_SEED, 8},
		{BLOCK_WIRE_SEED, -30},    {BLOCK_WIRE_AMPLIFY, 9},   {BLOCK_WIRE_AMPLIFY, 16},
		{BLOCK_WIRE_AMPLIFY, -1},  {BLOCK_WIRE_AMPLIFY, -20}, {BLOCK_WIRE_ACCEPT, -1},
		{BLOCK_WIRE_ACCEPT, 8},
	};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
		struct outcome outcome = {.change_type = changes[i].type,
					  .change_at = changes[i].at};

		cr_expect_eq(run(&outcome, &optics, &config, 2), -EKEYREJECTED, "change %zu", i);
		cr_expect_eq(outcome.released[0], 0, "change %zu", i);
		cr_expect(outcome.released[1] == 0 || changes[i].type == BLOCK_WIRE_ACCEPT);
		expect_equal_keys(&outcome, "changed");
		outcome_done(&outcome);
	}
}

/* Bob is told that his bits are right when they are not, and the other way round. */
Test(distill, a_forged_result_of_the_verification_releases_nothing)
{
	struct outcome outcome = {.change_type = BLOCK_WIRE_RESULT, .change_at = -1};
	struct sim_optics_parameters optics;
	struct distill_config config;

	small_config(&optics, &config);
	cr_expect_lt(run(&outcome, &optics, &config, 1), 0);
	cr_expect_eq(outcome.released[0] + outcome.released[1], 0);
	outcome_done(&outcome);
}

Test(distill, frames_of_noise_end_the_session_or_change_nothing)
{
	struct distill_config config;
	struct prng prng;
	static const struct distill_handler nothing = {};
	_cleanup_(secret_freep) struct secret *first = NULL;
	_cleanup_(wegman_carter_freep) struct wegman_carter *wc = NULL;

	distill_config_defaults(&config);
	config.block_frames = 1;
	cr_assert_eq(secret_new(WEGMAN_CARTER_FIRST_BYTES, &first), 0);
	cr_assert_eq(wegman_carter_new(gf128_kernel(), WEGMAN_CARTER_ALICE, first, &wc), 0);
	prng_init(&prng, 5);
	for (int i = 0; i < 40; i++) {
		_cleanup_(distill_freep) struct distill *distill = NULL;
		uint8_t noise[64];

		config.role = i & 1 ? WEGMAN_CARTER_ALICE : WEGMAN_CARTER_BOB;
		cr_assert_eq(distill_new(&config, &nothing, NULL, wc, &distill), 0);
		for (int j = 0; j < 200; j++) {
			size_t size = prng_below(&prng, sizeof(noise));

			for (size_t k = 0; k < size; k++)
				noise[k] = (uint8_t)prng_next(&prng);
			if (size > 8) {
				noise[0] = (uint8_t)(1 + prng_below(&prng, 15));
				memset(noise + 1, 0, 7);
			}
			distill_receive(distill, noise, size);
		}
	}
}

#define POST_FRAMES 256

/* Frames to one end; those that would begin the correction of a block are lost. */
struct post {
	struct {
		uint8_t *bytes;
		size_t size_bytes;
	} frames[POST_FRAMES];
	size_t count, announced;
};

static int post(const void *bytes, size_t size_bytes, void *userdata)
{
	struct post *to = userdata;
	uint8_t *copy = malloc(size_bytes);

	to->announced += *(const uint8_t *)bytes == BLOCK_WIRE_ANNOUNCE;
	if (*(const uint8_t *)bytes == BLOCK_WIRE_START) {
		free(copy);
		return 0;
	}
	cr_assert(copy && to->count < POST_FRAMES);
	to->frames[to->count].bytes = memcpy(copy, bytes, size_bytes);
	to->frames[to->count++].size_bytes = size_bytes;
	return 0;
}

static int fixed_seed(void *ret_bytes, size_t size_bytes, void *userdata)
{
	memset(ret_bytes, 0x5a, size_bytes);
	return 0;
}

static struct distill *post_end(enum wegman_carter_role role, unsigned window,
				struct wegman_carter *wc, struct post *to)
{
	static const struct distill_handler poster = {.send = post, .random = fixed_seed};
	struct distill *distill = NULL;
	struct distill_config config;

	distill_config_defaults(&config);
	config.bound = DISTILL_BOUND_TOMAMICHEL;
	config.block_frames = 1;
	config.window = window;
	config.role = role;
	cr_assert_eq(distill_new(&config, &poster, to, wc, &distill), 0);
	return distill;
}

/* All the light that the queue takes, at once; two announcements of it fill a block. */
static void post_light(struct distill *distill)
{
	static struct detection light[DISTILL_QUEUE_DETECTIONS];

	for (size_t i = 0; i < ELEMENTSOF(light); i++) {
		light[i].time = 10 * i;
		light[i].bit = prng_mix(i) & 1;
		light[i].basis = i % 5 < 3;
	}
	cr_assert_eq(distill_detections(distill, light, ELEMENTSOF(light)), 0);
}

static void expect_delivered(struct distill *to, const struct post *from, size_t i)
{
	if (i >= from->count)
		return;
	cr_assert_eq(distill_receive(to, from->frames[i].bytes, from->frames[i].size_bytes), 0,
		     "frame %zu", i);
	free(from->frames[i].bytes);
}

/* Light goes on while no block is reconciled: the queue keeps it, there are not ever more blocks.
 * Answers how many announcements there were. */
static size_t announce_until_held_up(unsigned window)
{
	_cleanup_(freep) struct post *to_alice = calloc(1, sizeof(*to_alice));
	_cleanup_(freep) struct post *to_bob = calloc(1, sizeof(*to_bob));
	_cleanup_(secret_freep) struct secret *first = NULL;
	_cleanup_(wegman_carter_freep) struct wegman_carter *wc = NULL;
	_cleanup_(distill_freep) struct distill *alice = NULL, *bob = NULL;

	cr_assert_eq(secret_new(WEGMAN_CARTER_FIRST_BYTES, &first), 0);
	cr_assert_eq(wegman_carter_new(gf128_kernel(), WEGMAN_CARTER_ALICE, first, &wc), 0);
	cr_assert(to_alice && to_bob);
	alice = post_end(WEGMAN_CARTER_ALICE, window, wc, to_bob);
	bob = post_end(WEGMAN_CARTER_BOB, window, wc, to_alice);
	post_light(alice);
	post_light(bob);
	for (size_t i = 0; i < POST_FRAMES; i++) {
		expect_delivered(alice, to_alice, i);
		expect_delivered(bob, to_bob, i);
	}
	cr_expect_gt(distill_room(bob), 0);
	return to_alice->announced;
}

Test(distill, blocks_that_do_not_come_on_hold_up_the_announcements)
{
	size_t narrow = announce_until_held_up(2), wide = announce_until_held_up(4);

	cr_expect_gt(narrow, 3);
	cr_expect_leq(narrow, 2 * 2 + DISTILL_ANNOUNCE_WINDOW);
	cr_expect_gt(wide, 2 * 2 + DISTILL_ANNOUNCE_WINDOW);
	cr_expect_leq(wide, 2 * 4 + DISTILL_ANNOUNCE_WINDOW);
}

Test(distill, configurations_without_sense_are_named)
{
	struct distill_config config, wrong;

	distill_config_defaults(&config);
	cr_expect_null(distill_config_fault(&config));
	wrong = config;
	wrong.window = 0;
	cr_expect_not_null(distill_config_fault(&wrong));
	wrong = config;
	wrong.block_frames = DISTILL_MAX_FRAMES + 1;
	cr_expect_not_null(distill_config_fault(&wrong));
	wrong = config;
	wrong.bound = DISTILL_BOUND_WIESEMANN;
	cr_expect_not_null(distill_config_fault(&wrong));
	wrong = config;
	wrong.max_error_rate = 0.2;
	cr_expect_not_null(distill_config_fault(&wrong));
	wrong = config;
	wrong.source.mean_photons[1] = 0.6;
	cr_expect_not_null(distill_config_fault(&wrong));
}
