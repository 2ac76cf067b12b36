/* SPDX-License-Identifier: MIT */

/* The index of a peer's keys. */

#include <criterion/criterion.h>

#include "qkd-keyringd/store.h"

static struct store *store;
static uint32_t directory;

static struct uuid id_of(uint64_t sequence)
{
	struct uuid id = {{0xab}};

	memcpy(id.bytes + 8, &sequence, sizeof(sequence));
	return id;
}

static struct store_place at(uint64_t sequence)
{
	return (struct store_place){directory, sequence};
}

static void add(uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		struct uuid id = id_of(i);

		cr_assert_eq(store_add_key(store, at(i), &id, STORE_KEY_AVAILABLE), 0);
	}
}

static void setup(void)
{
	cr_assert_eq(store_new(true, &store), 0);
	cr_assert_eq(store_add_directory(store, 256, &directory), 0);
}

static void teardown(void)
{
	store_free(store);
}

TestSuite(store, .init = setup, .fini = teardown);

Test(store, finds_every_key_by_its_id_among_many)
{
	struct store_place place;
	struct uuid id;

	add(0, 20000);
	for (uint64_t i = 0; i < 20000; i++) {
		id = id_of(i);
		cr_assert(store_find(store, &id, &place));
		cr_assert_eq(place.sequence, i);
	}
	id = id_of(20000);
	cr_assert_not(store_find(store, &id, &place));
}

Test(store, refuses_the_same_place_or_id_twice)
{
	struct uuid id = id_of(5), other = id_of(99);

	add(0, 10);
	cr_assert_eq(store_add_key(store, at(50), &id, STORE_KEY_AVAILABLE), -EEXIST);
	cr_assert_eq(store_add_key(store, at(5), &other, STORE_KEY_AVAILABLE), -EEXIST);
	cr_assert_eq(store_add_key(store, at(STORE_MAX_SEQUENCE), &other, STORE_KEY_AVAILABLE),
		     -ERANGE);
	cr_assert_eq(store_counts(store)->available_own, 5);
}

Test(store, gives_even_numbers_to_the_leader_and_odd_ones_to_the_other)
{
	struct store *follower;

	add(0, 10);
	cr_assert(store_is_own(store, at(4)));
	cr_assert_not(store_is_own(store, at(5)));
	cr_assert_eq(store_new(false, &follower), 0);
	cr_assert(store_is_own(follower, at(5)));
	cr_assert_not(store_is_own(follower, at(4)));
	store_free(follower);
}

Test(store, chooses_own_keys_in_order_and_below_the_mark)
{
	struct store_place place;

	add(0, 10);
	for (uint64_t i = 0; i < 6; i += 2) {
		cr_assert(store_next_own(store, directory, 6, &place));
		cr_assert_eq(place.sequence, i);
		store_set_state(store, place, STORE_KEY_RESERVED);
	}
	cr_assert_not(store_next_own(store, directory, 6, &place));
	cr_assert(store_next_own(store, directory, 8, &place));
	cr_assert_eq(place.sequence, 6);
}

Test(store, chooses_a_key_again_that_was_given_back)
{
	struct store_place place;

	add(0, 10);
	for (int i = 0; i < 3; i++) {
		cr_assert(store_next_own(store, directory, 10, &place));
		store_set_state(store, place, STORE_KEY_RESERVED);
	}
	store_set_state(store, at(2), STORE_KEY_AVAILABLE);
	cr_assert(store_next_own(store, directory, 10, &place));
	cr_assert_eq(place.sequence, 2);
}

Test(store, chooses_leased_keys_whatever_the_mark)
{
	struct store_place place;

	add(0, 10);
	store_lease(store, at(7));
	cr_assert(store_is_own(store, at(7)));
	cr_assert(store_next_own(store, directory, 0, &place));
	cr_assert_eq(place.sequence, 7);
	store_set_state(store, place, STORE_KEY_ISSUED);
	cr_assert_not(store_next_own(store, directory, 0, &place));
	store_lease(store, at(0));
	cr_assert_not(store_is_own(store, at(0)));
	cr_assert(store_next_own(store, directory, 10, &place));
	cr_assert_eq(place.sequence, 2);
}

Test(store, counts_each_state_and_half)
{
	const struct store_counts *counts = store_counts(store);

	add(0, 10);
	store_set_state(store, at(0), STORE_KEY_RESERVED);
	store_set_state(store, at(1), STORE_KEY_DELIVERING);
	store_set_state(store, at(2), STORE_KEY_ISSUED);
	store_set_state(store, at(3), STORE_KEY_DESTROYED);
	store_lease(store, at(5));
	cr_assert_eq(counts->available_own, 4);
	cr_assert_eq(counts->available_peer, 2);
	cr_assert_eq(counts->state[STORE_KEY_RESERVED], 1);
	cr_assert_eq(counts->state[STORE_KEY_DELIVERING], 1);
	cr_assert_eq(counts->state[STORE_KEY_ISSUED], 1);
	cr_assert_eq(counts->state[STORE_KEY_DESTROYED], 1);
}

Test(store, forgets_a_file_of_erased_lines_and_finds_the_others)
{
	struct store_place place;
	struct uuid id;

	add(0, 2 * KEYFILE_LINES);
	for (uint64_t i = 0; i < KEYFILE_LINES; i++) {
		store_set_state(store, at(i), STORE_KEY_ISSUED);
		cr_assert_eq(store_set_erased(store, at(i)), i + 1 == KEYFILE_LINES);
	}
	store_drop_file(store, directory, 0);
	for (uint64_t i = 0; i < 2 * KEYFILE_LINES; i++) {
		id = id_of(i);
		cr_assert_eq(store_find(store, &id, &place), i >= KEYFILE_LINES);
	}
	cr_assert_eq(store_state(store, at(0)), STORE_KEY_ABSENT);
	cr_assert(store_next_own(store, directory, UINT64_MAX, &place));
	cr_assert_eq(place.sequence, KEYFILE_LINES);
	cr_assert_eq(store_counts(store)->state[STORE_KEY_ISSUED], KEYFILE_LINES);
}

Test(store, starts_at_any_sequence_number)
{
	uint64_t far = UINT64_C(1000) * KEYFILE_LINES + 17;
	struct store_place place;

	add(far, 3);
	cr_assert(store_next_own(store, directory, UINT64_MAX, &place));
	cr_assert_eq(place.sequence, far + 1);
	cr_assert_eq(store_next_sequence(store, directory), far + 3);
}

static int count_line(const struct store_line *line, void *userdata)
{
	unsigned *counts = userdata;

	counts[0]++;
	counts[1] += line->leased;
	counts[2] += line->erased;
	return 0;
}

Test(store, shows_every_line_once)
{
	unsigned counts[3] = {};

	add(4090, 20);
	store_lease(store, at(4095));
	store_set_erased(store, at(4096));
	cr_assert_eq(store_foreach(store, directory, count_line, counts), 0);
	cr_assert_eq(counts[0], 20);
	cr_assert_eq(counts[1], 1);
	cr_assert_eq(counts[2], 1);
}
