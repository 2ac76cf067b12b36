/* SPDX-License-Identifier: MIT */

/* Two issuers of which one or both are killed, lose power or restart: what still holds afterwards.
 */

#include <criterion/criterion.h>
#include <unistd.h>

#include "tests/unit/support/issuer-pair.h"

static struct issuer_pair pair;

static void setup(void)
{
	pair_init(&pair);
	pair_add_keys(&pair, 200);
	pair_start(&pair);
}

static void teardown(void)
{
	pair_done(&pair);
}

TestSuite(issuer_restart, .init = setup, .fini = teardown, .timeout = 60);

static void assert_same_key(const struct pair_result *a, const struct pair_result *b)
{
	cr_assert_eq(a->result, 0, "%s", strerror(-a->result));
	cr_assert_eq(b->result, 0, "%s", strerror(-b->result));
	cr_assert(uuid_equal(&a->id, &b->id));
	cr_assert_eq(memcmp(a->key, b->key, PAIR_KEY_BYTES), 0);
}

static void crash_and_restart(struct pair_site *site, enum memory_crash crash)
{
	pair_kill_site(site, crash);
	pair_start_site(site);
	pair_connect(&pair);
	pair_run_for(&pair, 20 * USEC_PER_MSEC);
}

Test(issuer_restart, a_spent_label_stays_spent_over_a_power_cut_at_either_site)
{
	struct pair_result a = {}, b = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &a);
	pair_finish(&pair, &a);
	pair_ask_label(&pair.bob, "vpn", 1000, &b);
	pair_finish(&pair, &b);
	assert_same_key(&a, &b);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	for (int i = 0; i < 2; i++) {
		crash_and_restart(i ? &pair.bob : &pair.alice, MEMORY_CRASH_LOSE);
		a = b = (struct pair_result){};
		pair_ask_label(&pair.alice, "vpn", 1000, &a);
		cr_assert_eq(pair_finish(&pair, &a), -EKEYEXPIRED);
		pair_ask_label(&pair.bob, "vpn", 1000, &b);
		cr_assert_eq(pair_finish(&pair, &b), -EKEYEXPIRED);
	}
}

Test(issuer_restart, a_delivery_that_a_crash_has_interrupted_is_served_again)
{
	struct pair_result first = {.keep = true}, again = {}, there = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &first);
	pair_finish(&pair, &first);
	crash_and_restart(&pair.alice, MEMORY_CRASH_LOSE);
	delivery_abandon(first.delivery);
	pair_ask_label(&pair.alice, "vpn", 1000, &again);
	pair_finish(&pair, &again);
	assert_same_key(&first, &again);
	pair_ask_label(&pair.bob, "vpn", 1000, &there);
	pair_finish(&pair, &there);
	assert_same_key(&first, &there);
}

Test(issuer_restart, a_reservation_survives_kill_9)
{
	struct pair_result new = {}, here = {}, there = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	crash_and_restart(&pair.alice, MEMORY_CRASH_PROCESS);
	crash_and_restart(&pair.bob, MEMORY_CRASH_PROCESS);
	pair_ask_id(&pair.alice, &new.id, 1000, &here);
	pair_ask_id(&pair.bob, &new.id, 2000, &there);
	pair_finish(&pair, &here);
	pair_finish(&pair, &there);
	assert_same_key(&here, &there);
}

Test(issuer_restart, a_mark_that_a_power_cut_has_lost_is_asked_for_again)
{
	struct pair_result new = {}, there = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	crash_and_restart(&pair.bob, MEMORY_CRASH_LOSE);
	pair_ask_id(&pair.bob, &new.id, 2000, &there);
	cr_assert_eq(pair_finish(&pair, &there), 0);
}

Test(issuer_restart, a_label_whose_mark_a_power_cut_has_lost_stands_for_the_same_key)
{
	struct pair_result here = {}, there = {}, again = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &here);
	cr_assert_eq(pair_finish(&pair, &here), 0);
	crash_and_restart(&pair.bob, MEMORY_CRASH_LOSE);
	cr_assert_eq(pair_status(&pair.bob).reserved, 0);
	pair_ask_label(&pair.bob, "vpn", 1000, &there);
	pair_finish(&pair, &there);
	assert_same_key(&here, &there);
	pair_run_for(&pair, 50 * USEC_PER_MSEC); /* what was issued is on disk */
	crash_and_restart(&pair.bob, MEMORY_CRASH_LOSE);
	pair_ask_label(&pair.bob, "vpn", 1000, &again);
	cr_assert_eq(pair_finish(&pair, &again), -EKEYEXPIRED);
}

Test(issuer_restart, a_key_whose_line_is_erased_when_kill_9_comes_is_destroyed_at_the_peer_too)
{
	struct pair_result new = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	pair_run_for(&pair, 300 * USEC_PER_MSEC);
	cr_assert_eq(issuer_destroy(pair.alice.issuer, "bob", &new.ids[0], 1000), 0);
	usleep(300 * 1000); /* nothing of the loop runs, then what is due first: lines are erased */
	while (pair_line(&pair.alice, 0) != '-')
		cr_assert(sd_event_run(pair.event, 0) >= 0);
	crash_and_restart(&pair.alice, MEMORY_CRASH_PROCESS);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.bob).destroyed == 1, USEC_PER_SEC));
}

Test(issuer_restart, what_a_label_that_its_home_has_forgotten_held_is_destroyed)
{
	struct pair_result a = {}, again = {}, b = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &a);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.bob).reserved == 1, USEC_PER_SEC));
	crash_and_restart(&pair.alice, MEMORY_CRASH_LOSE);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.bob).reserved == 0, USEC_PER_SEC));
	pair_ask_label(&pair.bob, "vpn", 1000, &b);
	pair_finish(&pair, &b);
	pair_ask_label(&pair.alice, "vpn", 1000, &again);
	pair_finish(&pair, &again);
	assert_same_key(&again, &b);
}

Test(issuer_restart, kill_9_burns_nothing)
{
	struct pair_result new = {};

	pair_ask_new(&pair.alice, 3, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	crash_and_restart(&pair.alice, MEMORY_CRASH_PROCESS);
	cr_assert_eq(pair_status(&pair.alice).lost_ahead, 0);
	cr_assert_eq(pair_status(&pair.alice).reserved, 3);
	cr_assert_eq(pair_status(&pair.alice).available_own, 97);
}

static bool drop_from_bob(const char *from, const char *frame, void *userdata)
{
	return str_equal(from, "bob") && strstr(frame, "\"marked\"");
}

Test(issuer_restart, a_mark_in_flight_during_kill_9_is_answered_with_another_key)
{
	struct pair_result lost = {}, next = {}, there = {};

	pair.drop = drop_from_bob;
	pair_ask_new(&pair.alice, 1, 1000, &lost);
	pair_run_for(&pair, 20 * USEC_PER_MSEC);
	crash_and_restart(&pair.alice, MEMORY_CRASH_PROCESS);
	pair.drop = NULL;
	pair_ask_new(&pair.alice, 1, 1000, &next);
	cr_assert_eq(pair_finish(&pair, &next), 0);
	pair_ask_id(&pair.bob, &next.id, 2000, &there);
	cr_assert_eq(pair_finish(&pair, &there), 0);
}

Test(issuer_restart, what_is_burnt_after_a_power_cut_stays_so_over_kill_9_at_once)
{
	struct pair_result new = {};
	uint64_t available;

	pair_ask_new(&pair.alice, 3, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	pair_kill_site(&pair.alice, MEMORY_CRASH_LOSE);
	pair_start_site(&pair.alice);
	available = pair_status(&pair.alice).available_own;
	cr_assert_lt(available, 97);
	pair_kill_site(&pair.alice, MEMORY_CRASH_PROCESS); /* nothing of its loop has run */
	pair_start_site(&pair.alice);
	cr_assert_eq(pair_status(&pair.alice).available_own, available);
}

Test(issuer_restart, what_a_power_cut_may_have_lost_is_burnt_at_both_sites_and_counted)
{
	struct pair_result new = {};
	uint64_t lost;

	crash_and_restart(&pair.alice, MEMORY_CRASH_LOSE);
	lost = pair_status(&pair.alice).lost_ahead;
	cr_assert_gt(lost, 0);
	cr_assert_leq(lost, 2 * ISSUE_RUN_AHEAD_DEFAULT);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.bob).destroyed == lost, USEC_PER_SEC));
	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
}

Test(issuer_restart, an_orderly_restart_burns_nothing)
{
	struct pair_result new = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	pair_stop_site(&pair.alice);
	pair_start_site(&pair.alice);
	cr_assert_eq(pair_status(&pair.alice).lost_ahead, 0);
	cr_assert_eq(pair_status(&pair.alice).reserved, 1);
	cr_assert_eq(pair_status(&pair.alice).available_own, 99);
}

Test(issuer_restart, leased_keys_keep_their_new_owner_over_restarts)
{
	struct pair_result result = {};
	struct store_status alice, bob;

	for (int i = 0; i < 101; i++) {
		result = (struct pair_result){};
		pair_ask_new(&pair.bob, 1, 2000, &result);
		cr_assert_eq(pair_finish(&pair, &result), 0);
	}
	alice = pair_status(&pair.alice);
	bob = pair_status(&pair.bob);
	cr_assert_eq(bob.available_own, 49);
	cr_assert_eq(alice.available_own, 50);
	pair_stop_site(&pair.alice);
	pair_stop_site(&pair.bob);
	pair_start_site(&pair.alice);
	pair_start_site(&pair.bob);
	cr_assert_eq(pair_status(&pair.bob).available_own, 49);
	cr_assert_eq(pair_status(&pair.bob).available_peer, 50);
	cr_assert_eq(pair_status(&pair.alice).available_own, 50);
	cr_assert_eq(pair_status(&pair.alice).available_peer, 49);
}

static void assert_never_twice(struct pair_result *results, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			if (results[i].done && results[j].done && results[i].result == 0 &&
			    results[j].result == 0)
				cr_assert_not(uuid_equal(&results[i].id, &results[j].id));
}

Test(issuer_restart, kills_in_the_middle_of_everything_issue_nothing_twice)
{
	static struct pair_result a[200], b[200];
	char label[32];

	pair_add_keys(&pair, 3000);
	for (size_t i = 0; i < ELEMENTSOF(a); i++) {
		struct pair_site *victim = i % 40 < 20 ? &pair.alice : &pair.bob;

		snprintf(label, sizeof(label), "label-%zu", i);
		pair_ask_label(&pair.alice, label, 1000, &a[i]);
		pair_ask_label(&pair.bob, label, 1000, &b[i]);
		if (i % 10 != 9)
			continue;
		for (size_t j = 0; j < i % 7; j++)
			sd_event_run(pair.event, 1000);
		crash_and_restart(victim, i % 20 < 10 ? MEMORY_CRASH_LOSE : MEMORY_CRASH_PROCESS);
	}
	for (size_t i = 0; i < ELEMENTSOF(a); i++) {
		snprintf(label, sizeof(label), "label-%zu", i);
		if (!a[i].done)
			pair_ask_label(&pair.alice, label, 1000, &a[i]);
		pair_finish(&pair, &a[i]);
		if (!b[i].done)
			pair_ask_label(&pair.bob, label, 1000, &b[i]);
		pair_finish(&pair, &b[i]);
		assert_same_key(&a[i], &b[i]);
	}
	assert_never_twice(a, ELEMENTSOF(a));
}
