/* SPDX-License-Identifier: MIT */

/* Keys of other sizes than the link's: cut from one key or joined from several, the same at both
 * sites, and all of it reserved, issued and destroyed together. */

#include <criterion/criterion.h>

#include "tests/unit/support/issuer-pair.h"

#define KEY_BITS (8 * PAIR_KEY_BYTES)
#define SOON     (2 * USEC_PER_SEC)

static struct issuer_pair pair;

static void setup(void)
{
	pair_init(&pair);
	pair.options.run_ahead_keys = 8;
	pair_add_keys(&pair, 200);
	pair_start(&pair);
}

static void teardown(void)
{
	pair_done(&pair);
}

TestSuite(issuer_sizes, .init = setup, .fini = teardown, .timeout = 60);

static void crash_and_restart(struct pair_site *site, enum memory_crash crash)
{
	pair_kill_site(site, crash);
	pair_start_site(site);
	pair_connect(&pair);
	pair_run_for(&pair, 20 * USEC_PER_MSEC);
}

static void ask_new(struct pair_site *site, uint32_t bits, size_t count, struct pair_result *ret)
{
	cr_assert(issuer_reserve_new(site->issuer, site->peer, bits, count, 1000,
				     pair_now() + PAIR_WAIT, pair_reserved, ret,
				     &ret->operation) >= 0);
}

static void ask_label(struct pair_site *site, const char *label, uint32_t bits,
		      struct pair_result *ret)
{
	cr_assert(issuer_deliver_label(site->issuer, site->peer, label, bits, 0, 1000,
				       pair_now() + PAIR_WAIT, pair_delivered, ret,
				       &ret->operation) >= 0);
}

static struct uuid make_new(struct pair_site *site, uint32_t bits)
{
	struct pair_result new = {};

	ask_new(site, bits, 1, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0, "%u bits: %s", bits, strerror(-new.result));
	return new.id;
}

static void assert_same(const struct pair_result *a, const struct pair_result *b, uint32_t bits)
{
	cr_assert_eq(a->result, 0, "%u bits: %s", bits, strerror(-a->result));
	cr_assert_eq(b->result, 0, "%u bits: %s", bits, strerror(-b->result));
	cr_assert(uuid_equal(&a->id, &b->id));
	cr_assert_eq(a->bits, bits);
	cr_assert_eq(b->bits, bits);
	cr_assert_eq(memcmp(a->whole, b->whole, bits / 8), 0);
}

static void collect_at_both(const struct uuid *id, uint32_t bits)
{
	struct pair_result here = {}, there = {};

	pair_ask_id(&pair.alice, id, 1000, &here);
	pair_ask_id(&pair.bob, id, 1000, &there);
	pair_finish(&pair, &here);
	pair_finish(&pair, &there);
	assert_same(&here, &there, bits);
}

static const uint32_t sizes[] = {64, 72, 128, 256, 264, 512, 1000, 2048, 4096};

Test(issuer_sizes, a_new_key_of_any_size_is_the_same_at_both_sites)
{
	for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
		struct uuid id = make_new(i % 2 ? &pair.bob : &pair.alice, sizes[i]);

		collect_at_both(&id, sizes[i]);
	}
}

Test(issuer_sizes, a_label_of_any_size_is_the_same_at_both_sites)
{
	for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
		struct pair_result a = {}, b = {};
		char label[16];

		snprintf(label, sizeof(label), "l%zu", i);
		ask_label(i % 2 ? &pair.bob : &pair.alice, label, sizes[i], &a);
		ask_label(i % 2 ? &pair.alice : &pair.bob, label, sizes[i], &b);
		pair_finish(&pair, &a);
		pair_finish(&pair, &b);
		assert_same(&a, &b, sizes[i]);
	}
}

Test(issuer_sizes, a_joined_key_is_its_keys_one_after_the_other)
{
	struct uuid id = make_new(&pair.alice, 3 * KEY_BITS - 64);
	struct pair_result here = {};
	uint8_t expected[3 * PAIR_KEY_BYTES];

	for (size_t i = 0; i < 3; i++) /* alice's are even */
		pair_key(2 * i, expected + i * PAIR_KEY_BYTES);
	pair_ask_id(&pair.alice, &id, 1000, &here);
	cr_assert_eq(pair_finish(&pair, &here), 0);
	cr_assert_eq(here.bits, 3 * KEY_BITS - 64);
	cr_assert_eq(memcmp(here.whole, expected, here.bits / 8), 0);
}

Test(issuer_sizes, sizes_out_of_range_are_refused)
{
	static const uint32_t bad[] = {8, 56, 65, 4104};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		struct pair_result new = {};

		ask_new(&pair.alice, bad[i], 1, &new);
		cr_assert_eq(pair_finish(&pair, &new), -EINVAL, "%u bits", bad[i]);
	}
}

Test(issuer_sizes, no_part_can_be_had_by_itself)
{
	struct uuid part = pair_id(2), first = make_new(&pair.alice, 2 * KEY_BITS);
	struct pair_site *sites[] = {&pair.alice, &pair.bob};

	for (size_t i = 0; i < ELEMENTSOF(sites); i++) {
		struct pair_result result = {}, reserved = {};

		pair_ask_id(sites[i], &part, 1000, &result);
		cr_assert_eq(pair_finish(&pair, &result), -EKEYEXPIRED);
		pair_ask_existing(sites[i], &part, 1000, &reserved);
		cr_assert_eq(pair_finish(&pair, &reserved), -EKEYEXPIRED);
		cr_assert_eq(issuer_destroy(sites[i]->issuer, sites[i]->peer, &part, 1000),
			     -EKEYEXPIRED);
	}
	collect_at_both(&first, 2 * KEY_BITS);
}

static bool are_erased(struct pair_site *site, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (pair_line(site, 2 * i) != '-')
			return false;
	return true;
}

Test(issuer_sizes, what_a_cut_key_leaves_over_is_erased_with_it)
{
	struct uuid id = make_new(&pair.alice, 64);

	collect_at_both(&id, 64);
	cr_assert(PAIR_RUN_UNTIL(&pair, are_erased(&pair.alice, 1) && are_erased(&pair.bob, 1),
				 SOON));
	cr_assert_eq(pair_status(&pair.alice).available_own, 99);
}

Test(issuer_sizes, all_parts_are_destroyed_together_at_both_sites)
{
	struct uuid id = make_new(&pair.alice, 4 * KEY_BITS);

	cr_assert_eq(issuer_destroy(pair.alice.issuer, "bob", &id, 1000), 0);
	cr_assert(PAIR_RUN_UNTIL(&pair, are_erased(&pair.alice, 4) && are_erased(&pair.bob, 4),
				 SOON));
	cr_assert_eq(pair_status(&pair.alice).destroyed, 4);
	cr_assert_eq(pair_status(&pair.bob).destroyed, 4);
}

Test(issuer_sizes, a_joined_reservation_survives_kill_9_at_both_sites)
{
	struct uuid id = make_new(&pair.alice, 1000);

	crash_and_restart(&pair.alice, MEMORY_CRASH_PROCESS);
	crash_and_restart(&pair.bob, MEMORY_CRASH_PROCESS);
	cr_assert_eq(pair_status(&pair.alice).reserved, 4);
	collect_at_both(&id, 1000);
}

Test(issuer_sizes, a_joined_mark_that_a_power_cut_has_lost_is_asked_for_again)
{
	struct uuid id = make_new(&pair.alice, 1000);

	crash_and_restart(&pair.bob, MEMORY_CRASH_LOSE);
	collect_at_both(&id, 1000);
}

Test(issuer_sizes, a_cut_key_is_not_given_out_whole_after_its_mark_is_lost)
{
	struct uuid id = make_new(&pair.alice, 64);
	struct pair_result here = {}, there = {};

	pair_ask_id(&pair.alice, &id, 1000, &here);
	cr_assert_eq(pair_finish(&pair, &here), 0);
	crash_and_restart(&pair.bob, MEMORY_CRASH_LOSE);
	pair_ask_id(&pair.bob, &id, 2000, &there);
	cr_assert_eq(pair_finish(&pair, &there), -EKEYEXPIRED);
}

Test(issuer_sizes, many_large_keys_in_one_request_are_as_many_as_fit_a_message)
{
	struct pair_result new = {};

	pair_add_keys(&pair, 4000);
	ask_new(&pair.alice, 16 * KEY_BITS, 100, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	cr_assert_gt(new.count, 0);
	cr_assert_leq(new.count, 64);
	collect_at_both(&new.ids[new.count > 1], 16 * KEY_BITS);
}

Test(issuer_sizes, leased_keys_are_joined_until_too_few_are_left)
{
	struct pair_result new = {}, last = {};
	struct uuid id;

	for (size_t i = 0; i < 12; i++) /* 192 of 200, more than one half has */
		id = make_new(&pair.alice, 4096);
	collect_at_both(&id, 4096);
	cr_assert(issuer_reserve_new(pair.alice.issuer, "bob", 4096, 1, 1000,
				     pair_now() + USEC_PER_SEC / 2, pair_reserved, &new,
				     &new.operation) >= 0);
	cr_assert_eq(pair_finish(&pair, &new), -ETIMEDOUT);
	for (size_t i = 0; i < 8; i++) {
		last = (struct pair_result){};
		ask_new(&pair.bob, 0, 1, &last);
		cr_assert_eq(pair_finish(&pair, &last), 0, "of the last 8, key %zu", i);
	}
}
