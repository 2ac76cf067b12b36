/* SPDX-License-Identifier: MIT */
/* Sifting of simulated detections: both ends keep the same positions, and the counts are right. */

#include <criterion/criterion.h>

#include "common/prng.h"
#include "drivers/sim-optics.h"
#include "qkd-linkd/distill/sift.h"

#define COUNT 5000

static struct detection sent[2 * COUNT], received[COUNT];
static struct sim_event events[COUNT];
static uint8_t message[SIFT_MAX_ANNOUNCE_BYTES], answer[SIFT_MAX_ANSWER_BYTES];
static uint64_t alice_words[COUNT / 64 + 1], bob_words[COUNT / 64 + 1];
static uint8_t intensities[COUNT];

static void draw(void)
{
	_cleanup_(sim_optics_freep) struct sim_optics *optics = NULL;
	struct sim_optics_parameters p;

	sim_optics_defaults(&p);
	p.sync_slots = 0;
	cr_assert_eq(sim_optics_new(&p, &optics), 0);
	cr_assert_eq(sim_optics_draw(optics, UINT64_MAX, events, COUNT), COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		sent[i] = (struct detection){.time = events[i].slot,
					     .basis = events[i].sender_basis,
					     .bit = events[i].sender_bit,
					     .intensity = events[i].intensity};
		received[i] = (struct detection){.time = events[i].slot,
						 .basis = events[i].receiver_basis,
						 .bit = events[i].receiver_bit};
	}
}

TestSuite(sift, .init = draw);

static struct sift_key key_of(uint64_t *words, uint64_t max_bits, uint8_t *kinds)
{
	return (struct sift_key){.words = words, .max_bits = max_bits, .intensities = kinds};
}

Test(sift, both_ends_keep_the_bits_of_the_shared_key_basis_and_count_the_rest)
{
	struct sift_key alice = key_of(alice_words, COUNT, intensities);
	struct sift_key bob = key_of(bob_words, COUNT, NULL);
	struct sift_tally tally = {}, expected = {};
	uint64_t at = 0;
	size_t consumed;
	ssize_t size = sift_announce(received, COUNT, message), bytes;

	cr_assert_gt(size, 2 * COUNT);
	bytes = sift_match(sent, COUNT, message, (size_t)size, &alice, &tally, &consumed, answer);
	cr_assert_eq(bytes, (COUNT + 7) / 8);
	cr_assert_eq(sift_apply(received, COUNT, answer, (size_t)bytes, &bob), 0);
	cr_expect_eq(consumed, COUNT);
	cr_assert_eq(alice.bit_count, bob.bit_count);
	for (size_t i = 0; i < COUNT; i++) {
		unsigned kind = events[i].intensity;

		if (events[i].sender_basis != events[i].receiver_basis)
			continue;
		if (events[i].sender_basis == DETECTION_BASIS_TEST) {
			expected.n_z[kind]++;
			expected.m_z[kind] += events[i].sender_bit != events[i].receiver_bit;
			continue;
		}
		expected.n_x[kind]++;
		cr_assert_eq(alice_words[at / 64] >> at % 64 & 1, events[i].sender_bit);
		cr_assert_eq(bob_words[at / 64] >> at % 64 & 1, events[i].receiver_bit);
		cr_assert_eq(intensities[at], kind);
		at++;
	}
	cr_expect_eq(at, alice.bit_count);
	expected.announced = COUNT;
	cr_expect_eq(memcmp(&tally, &expected, sizeof(tally)), 0);
}

Test(sift, a_key_takes_no_more_than_it_has_room_for)
{
	struct sift_key alice = key_of(alice_words, 1000, NULL),
			bob = key_of(bob_words, 1000, NULL);
	struct sift_tally tally = {};
	size_t consumed;
	ssize_t size = sift_announce(received, COUNT, message), bytes;

	bytes = sift_match(sent, COUNT, message, (size_t)size, &alice, &tally, &consumed, answer);
	cr_assert_eq(sift_apply(received, COUNT, answer, (size_t)bytes, &bob), 0);
	cr_expect_eq(alice.bit_count, 1000);
	cr_expect_eq(bob.bit_count, 1000);
	cr_expect_eq(tally.n_x[0] + tally.n_x[1] + tally.n_x[2], 1000);
	/* An answer with more bits than there is room for does not come from an honest end. */
	memset(answer, 0xff, sizeof(answer));
	cr_expect_eq(sift_apply(received, COUNT, answer, (size_t)bytes, &bob), -EBADMSG);
	cr_expect_eq(bob.bit_count, 1000);
}

Test(sift, detections_of_slots_that_were_never_sent_do_not_count)
{
	struct sift_key alice = key_of(alice_words, COUNT, NULL);
	struct sift_tally tally = {};
	size_t consumed;
	ssize_t size;

	for (size_t i = 0; i < COUNT; i++)
		received[i].time++;
	size = sift_announce(received, COUNT, message);
	cr_assert_gt(
		sift_match(sent, COUNT, message, (size_t)size, &alice, &tally, &consumed, answer),
		0);
	cr_expect_eq(alice.bit_count, 0);
	cr_expect_eq(consumed, COUNT);
	size = sift_announce(received, 10, message);
	cr_assert_gt(
		sift_match(sent, COUNT, message, (size_t)size, &alice, &tally, &consumed, answer),
		0);
	cr_expect_eq(consumed, 10);
}

Test(sift, announcements_out_of_order_or_of_no_size_are_refused)
{
	struct detection pair[2] = {{.time = 5}, {.time = 5}};

	cr_expect_eq(sift_announce(pair, 0, message), -EINVAL);
	cr_expect_eq(sift_announce(pair, 2, message), -EINVAL);
	cr_expect_eq(sift_announce(pair, SIFT_MAX_DETECTIONS + 1, message), -EINVAL);
}

Test(sift, malformed_announcements_take_nothing)
{
	struct sift_key alice = key_of(alice_words, COUNT, NULL);
	struct sift_tally tally = {}, none = {};
	size_t consumed;
	ssize_t size = sift_announce(received, 100, message);
	struct prng prng;

	for (ssize_t cut = 0; cut < size; cut++)
		cr_assert_eq(sift_match(sent, COUNT, message, (size_t)cut, &alice, &tally,
					&consumed, answer),
			     -EBADMSG);
	cr_expect_eq(sift_match(sent, COUNT, message, (size_t)size + 1, &alice, &tally, &consumed,
				answer),
		     -EBADMSG);
	message[8] = message[9] = message[10] = message[11] = 0xff;
	cr_expect_eq(
		sift_match(sent, COUNT, message, (size_t)size, &alice, &tally, &consumed, answer),
		-EBADMSG);
	cr_expect_eq(memcmp(&tally, &none, sizeof(none)), 0);
	cr_expect_eq(alice.bit_count, 0);
	prng_init(&prng, 1);
	for (int i = 0; i < 20000; i++) {
		size_t bytes = prng_below(&prng, 200);

		for (size_t j = 0; j < bytes; j++)
			message[j] = (uint8_t)prng_next(&prng);
		if (bytes >= 12)
			message[9] = message[10] = message[11] = 0;
		cr_assert(sift_match(sent, COUNT, message, bytes, &alice, &tally, &consumed,
				     answer) != 0);
	}
}
