/* SPDX-License-Identifier: MIT */
/* Recorded detections come back as they were, and no bytes give anything else than detections. */

#include <criterion/criterion.h>

#include "common/prng.h"
#include "qkd-linkd/distill/recording.h"

#define COUNT 5000

static const struct recording_header usual = {
	.period_ps = 1000,
	.sync_slots = 2000000,
	.sync_seed = 7,
	.intensities = 3,
	.mean_photons = {0.5, 0.1, 0},
	.probability = {0.70, 0.15, 0.15},
};

static bool is_same(const struct sim_event *a, const struct sim_event *b)
{
	return a->slot == b->slot && a->tag_ps == b->tag_ps && a->sender_basis == b->sender_basis &&
	       a->sender_bit == b->sender_bit && a->intensity == b->intensity &&
	       a->receiver_basis == b->receiver_basis && a->receiver_bit == b->receiver_bit;
}

Test(recording, simulated_detections_come_back_as_they_were)
{
	static struct sim_event events[COUNT];
	static uint8_t bytes[COUNT * RECORDING_EVENT_MAX_BYTES];
	_cleanup_(sim_optics_freep) struct sim_optics *optics = NULL;
	struct sim_optics_parameters p;
	struct recording writer, reader;
	uint8_t *end = bytes;
	const uint8_t *at = bytes;

	sim_optics_defaults(&p);
	p.offset_ps = -1e9;
	p.drift = 1e-5;
	cr_assert_eq(sim_optics_new(&p, &optics), 0);
	cr_assert_eq(sim_optics_draw(optics, UINT64_MAX, events, COUNT), COUNT);
	recording_init(&writer, &usual);
	recording_init(&reader, &usual);
	for (size_t i = 0; i < COUNT; i++)
		end = recording_put(&writer, &events[i], end);
	cr_expect_lt(end - bytes, 6 * COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		struct sim_event got;
		ssize_t size = recording_get(&reader, at, (size_t)(end - at), &got);

		cr_assert_gt(size, 0, "event %zu", i);
		at += size;
		cr_assert(is_same(&got, &events[i]), "event %zu", i);
	}
	cr_expect_eq(at, end);
}

Test(recording, headers_come_back_as_they_were)
{
	uint8_t bytes[RECORDING_HEADER_BYTES];
	struct recording_header two = usual, got;
	const char *what;

	recording_put_header(&usual, bytes);
	cr_assert_eq(recording_get_header(bytes, &got, &what), 0);
	cr_expect_eq(memcmp(&got, &usual, sizeof(got)), 0);
	two.period_ps = 2500.125;
	two.intensities = 2;
	two.mean_photons[1] = 0.15;
	two.probability[1] = 0.3;
	two.mean_photons[2] = two.probability[2] = 0;
	recording_put_header(&two, bytes);
	cr_assert_eq(recording_get_header(bytes, &got, &what), 0);
	cr_expect_eq(memcmp(&got, &two, sizeof(got)), 0);
}

Test(recording, headers_without_sense_are_named)
{
	static const struct {
		unsigned at, size;
		uint64_t value;
	} wrong[] = {
		{0, 1, 'Q'},              /* magic */
		{7, 1, '2'},              /* another version */
		{8, 8, 99999},            /* a period of less than 100 ps */
		{8, 8, UINT64_MAX},       /* of more than a second */
		{16, 8, 2000001},         /* no multiple of 64 */
		{16, 8, (1u << 30) + 64}, /* too long a pattern */
		{32, 1, 0},               /* no intensity */
		{32, 1, 1},               /* one */
		{32, 1, 4},               /* four */
		{32, 1, 2},               /* one less than there are shares */
		{33, 1, 1},               /* reserved */
		{40, 4, 10000001},        /* as bright as day */
		{52, 4, 700001},          /* more than all */
		{52, 4, UINT32_MAX},      /* that wraps to it */
	};
	struct recording_header got;
	const char *what;

	for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
		uint8_t bytes[RECORDING_HEADER_BYTES];

		recording_put_header(&usual, bytes);
		for (unsigned j = 0; j < wrong[i].size; j++)
			bytes[wrong[i].at + j] = (uint8_t)(wrong[i].value >> 8 * j);
		what = NULL;
		cr_expect_eq(recording_get_header(bytes, &got, &what), -EINVAL, "row %zu", i);
		cr_expect_not_null(what, "row %zu", i);
	}
}

static void expect_refused(const struct recording *from, const char *what, const uint8_t *bytes,
			   size_t size)
{
	struct recording recording = *from;
	struct sim_event got;

	cr_expect_eq(recording_get(&recording, bytes, size, &got), -EBADMSG, "%s", what);
	cr_expect_eq(memcmp(&recording, from, sizeof(recording)), 0, "%s moves on", what);
}

Test(recording, bytes_that_are_no_detection_are_refused_and_nothing_moves)
{
	static const uint8_t far[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0};
	static const uint8_t late[] = {0,    0xfe, 0xff, 0xff, 0xff, 0xff,
				       0xff, 0xff, 0xff, 0xff, 1,    0};
	struct recording start, end;

	recording_init(&start, &usual);
	expect_refused(&start, "nothing", (const uint8_t[]){0}, 0);
	expect_refused(&start, "a slot alone", (const uint8_t[]){5}, 1);
	expect_refused(&start, "half a slot", (const uint8_t[]){0x85}, 1);
	expect_refused(&start, "no choices", (const uint8_t[]){5, 6}, 2);
	expect_refused(&start, "unused bits", (const uint8_t[]){5, 6, 0x40}, 3);
	expect_refused(&start, "a fourth intensity", (const uint8_t[]){5, 6, 0x0c}, 3);
	expect_refused(&start, "a slot beyond all clocks", far, sizeof(far));
	expect_refused(&start, "a time beyond all clocks", late, sizeof(late));
	end = start;
	end.next_slot = RECORDING_MAX_SLOT - 1;
	expect_refused(&end, "a slot after the last", (const uint8_t[]){1, 0, 0}, 3);
	end.intensities = 2;
	end.next_slot = 0;
	expect_refused(&end, "a third intensity of two", (const uint8_t[]){1, 0, 8}, 3);
}

Test(recording, noise_gives_rising_slots_and_known_choices_only)
{
	struct prng prng;

	prng_init(&prng, 4);
	for (int i = 0; i < 20000; i++) {
		uint8_t bytes[RECORDING_EVENT_MAX_BYTES];
		struct recording recording = {.intensities = 2, .next_slot = 1000};
		struct sim_event got;

		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)(prng_next(&prng) & (i & 1 ? 0xff : 0x3f));
		if (recording_get(&recording, bytes, sizeof(bytes), &got) < 0)
			continue;
		cr_assert(got.slot >= 1000 && got.slot < RECORDING_MAX_SLOT);
		cr_assert(got.intensity < 2 && got.sender_bit < 2 && got.receiver_bit < 2);
		cr_assert(got.tag_ps <= RECORDING_MAX_TAG_PS &&
			  got.tag_ps >= -RECORDING_MAX_TAG_PS);
		cr_assert_eq(recording.next_slot, got.slot + 1);
	}
}
