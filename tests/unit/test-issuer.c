/* SPDX-License-Identifier: MIT */

/* Two issuers and everything that they promise each other and their callers. */

#include <criterion/criterion.h>

#include "tests/unit/support/issuer-pair.h"

static struct issuer_pair pair;

static void setup(void)
{
	pair_init(&pair);
}

static void setup_with_keys(void)
{
	pair_init(&pair);
	pair_add_keys(&pair, 200);
	pair_start(&pair);
}

static void teardown(void)
{
	pair_done(&pair);
}

TestSuite(issuer, .init = setup_with_keys, .fini = teardown, .timeout = 60);
TestSuite(issuer_bare, .init = setup, .fini = teardown, .timeout = 60);

static void assert_same_key(const struct pair_result *a, const struct pair_result *b)
{
	cr_assert_eq(a->result, 0, "%s", strerror(-a->result));
	cr_assert_eq(b->result, 0, "%s", strerror(-b->result));
	cr_assert(uuid_equal(&a->id, &b->id));
	cr_assert_eq(memcmp(a->key, b->key, PAIR_KEY_BYTES), 0);
}

Test(issuer, a_new_key_is_collected_at_both_sites)
{
	struct pair_result new = {}, here = {}, there = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	cr_assert_eq(new.count, 1);
	pair_ask_id(&pair.alice, &new.id, 1000, &here);
	pair_ask_id(&pair.bob, &new.id, 2000, &there);
	pair_finish(&pair, &here);
	pair_finish(&pair, &there);
	assert_same_key(&here, &there);
}

Test(issuer, each_site_takes_keys_of_its_own_half)
{
	struct pair_result a = {}, b = {};
	struct uuid even = pair_id(0), odd = pair_id(1);

	pair_ask_new(&pair.alice, 1, 1000, &a);
	pair_ask_new(&pair.bob, 1, 1000, &b);
	cr_assert_eq(pair_finish(&pair, &a), 0);
	cr_assert_eq(pair_finish(&pair, &b), 0);
	cr_assert(uuid_equal(&a.id, &even));
	cr_assert(uuid_equal(&b.id, &odd));
}

Test(issuer, an_issued_key_has_expired_for_everybody)
{
	struct pair_result new = {}, first = {}, second = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	pair_finish(&pair, &new);
	pair_ask_id(&pair.alice, &new.id, 1000, &first);
	cr_assert_eq(pair_finish(&pair, &first), 0);
	pair_ask_id(&pair.alice, &new.id, 1000, &second);
	cr_assert_eq(pair_finish(&pair, &second), -EKEYEXPIRED);
}

Test(issuer, a_reserved_key_is_refused_to_another_uid)
{
	struct pair_result new = {}, other = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	pair_finish(&pair, &new);
	pair_ask_id(&pair.alice, &new.id, 1001, &other);
	cr_assert_eq(pair_finish(&pair, &other), -EACCES);
}

Test(issuer, an_existing_key_is_reserved_for_the_first_to_claim_it)
{
	struct pair_result new = {}, claim = {}, other = {}, again = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	pair_finish(&pair, &new);
	pair_ask_existing(&pair.bob, &new.id, 2000, &claim);
	cr_assert_eq(pair_finish(&pair, &claim), 0);
	pair_ask_existing(&pair.bob, &new.id, 2001, &other);
	cr_assert_eq(pair_finish(&pair, &other), -EACCES);
	pair_ask_existing(&pair.bob, &new.id, 2000, &again);
	cr_assert_eq(pair_finish(&pair, &again), 0);
}

Test(issuer, an_unreserved_key_is_not_had_by_its_id)
{
	struct uuid own = pair_id(0);
	struct pair_result result = {};

	pair_ask_id(&pair.alice, &own, 0, &result);
	cr_assert_eq(pair_finish(&pair, &result), -EACCES);
}

Test(issuer, an_unknown_peer_has_no_key)
{
	struct pair_result result = {};

	cr_assert(issuer_deliver_label(pair.alice.issuer, "carol", "vpn", 0, 0, 0,
				       pair_now() + PAIR_WAIT, pair_delivered, &result,
				       &result.operation) >= 0);
	cr_assert_eq(pair_finish(&pair, &result), -ENOKEY);
}

Test(issuer, many_keys_come_in_one_call)
{
	struct pair_result new = {};

	pair_ask_new(&pair.alice, 40, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	cr_assert_eq(new.count, 40);
	cr_assert_eq(pair_status(&pair.alice).reserved, 40);
	cr_assert_eq(pair_status(&pair.bob).reserved, 40);
}

Test(issuer, no_uid_reserves_more_than_its_quota)
{
	struct pair_result result = {};
	size_t count = 0;

	pair_add_keys(&pair, 3 * ISSUE_MAX_RESERVED_PER_UID);
	do {
		result = (struct pair_result){};
		pair_ask_new(&pair.alice, 512, 1000, &result);
		pair_finish(&pair, &result);
		count += result.count;
	} while (result.result == 0);
	cr_assert_eq(result.result, -EDQUOT);
	cr_assert_gt(count, ISSUE_MAX_RESERVED_PER_UID - 512);
	cr_assert_leq(count, ISSUE_MAX_RESERVED_PER_UID);
}

Test(issuer, a_label_gives_the_same_key_at_both_sites)
{
	struct pair_result a = {}, b = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &a);
	pair_finish(&pair, &a);
	pair_ask_label(&pair.bob, "vpn", 2000, &b);
	pair_finish(&pair, &b);
	assert_same_key(&a, &b);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair.bob.labels_told == 1, USEC_PER_SEC));
}

Test(issuer, a_label_asked_for_away_from_home_first_gives_the_same_key)
{
	struct pair_result a = {}, b = {};

	pair_ask_label(&pair.bob, "vpn", 2000, &b);
	pair_finish(&pair, &b);
	pair_ask_label(&pair.alice, "vpn", 1000, &a);
	pair_finish(&pair, &a);
	assert_same_key(&a, &b);
}

Test(issuer, a_label_is_spent_once_it_was_served)
{
	struct pair_result result = {};

	for (int i = 0; i < 2; i++) {
		struct pair_site *site = i ? &pair.bob : &pair.alice;

		result = (struct pair_result){};
		pair_ask_label(site, "vpn", 1000, &result);
		cr_assert_eq(pair_finish(&pair, &result), 0);
		result = (struct pair_result){};
		pair_ask_label(site, "vpn", 1000, &result);
		cr_assert_eq(pair_finish(&pair, &result), -EKEYEXPIRED);
	}
}

Test(issuer, a_label_of_another_size_is_invalid)
{
	struct pair_result result = {}, other = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &result);
	pair_finish(&pair, &result);
	cr_assert(issuer_deliver_label(pair.bob.issuer, "alice", "vpn", 128, 0, 0,
				       pair_now() + PAIR_WAIT, pair_delivered, &other,
				       &other.operation) >= 0);
	cr_assert_eq(pair_finish(&pair, &other), -EINVAL);
}

Test(issuer, a_thousand_labels_from_both_sides_at_once_are_equal_pairs)
{
	static struct pair_result a[1000], b[1000];
	char label[32];

	pair_add_keys(&pair, 2000);
	for (size_t i = 0; i < ELEMENTSOF(a); i++) {
		snprintf(label, sizeof(label), "label-%zu", i);
		pair_ask_label(i % 2 ? &pair.bob : &pair.alice, label, 1000, i % 2 ? &b[i] : &a[i]);
		pair_ask_label(i % 2 ? &pair.alice : &pair.bob, label, 1000, i % 2 ? &a[i] : &b[i]);
	}
	for (size_t i = 0; i < ELEMENTSOF(a); i++) {
		pair_finish(&pair, &a[i]);
		pair_finish(&pair, &b[i]);
		assert_same_key(&a[i], &b[i]);
	}
	for (size_t i = 0; i < ELEMENTSOF(a); i++)
		for (size_t j = 0; j < i; j++)
			cr_assert_not(uuid_equal(&a[i].id, &a[j].id));
}

Test(issuer, a_key_that_was_not_delivered_is_served_again_to_its_owner_only)
{
	struct pair_result first = {.fail = true}, other = {}, again = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &first);
	cr_assert_eq(pair_finish(&pair, &first), 0);
	pair_ask_label(&pair.alice, "vpn", 1001, &other);
	cr_assert_eq(pair_finish(&pair, &other), -EACCES);
	pair_ask_label(&pair.alice, "vpn", 1000, &again);
	pair_finish(&pair, &again);
	assert_same_key(&first, &again);
}

Test(issuer, a_request_during_a_delivery_waits_for_its_outcome)
{
	struct pair_result first = {.keep = true}, second = {}, third = {.keep = true};

	pair_ask_label(&pair.alice, "vpn", 1000, &first);
	pair_finish(&pair, &first);
	pair_ask_label(&pair.alice, "vpn", 1000, &second);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	cr_assert_not(second.done);
	delivery_abandon(first.delivery);
	cr_assert_eq(pair_finish(&pair, &second), 0);
	pair_ask_label(&pair.alice, "vpn", 1000, &third);
	cr_assert_eq(pair_finish(&pair, &third), -EKEYEXPIRED);
}

Test(issuer, no_request_outlives_its_deadline)
{
	struct pair_result result = {};
	uint64_t start = pair_now();

	pair_cut(&pair);
	cr_assert(issuer_deliver_label(pair.bob.issuer, "alice", "vpn", 0, 0, 0,
				       start + 100 * USEC_PER_MSEC, pair_delivered, &result,
				       &result.operation) >= 0);
	cr_assert_eq(pair_finish(&pair, &result), -ETIMEDOUT);
	cr_assert_lt(pair_now() - start, 300 * USEC_PER_MSEC);
}

Test(issuer, a_cancelled_request_is_never_called_back)
{
	struct pair_result result = {}, label = {};

	pair_ask_new(&pair.alice, 1, 1000, &result);
	issue_operation_cancel(result.operation);
	pair_ask_label(&pair.alice, "vpn", 1000, &label);
	issue_operation_cancel(label.operation);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	cr_assert_not(result.done);
	cr_assert_not(label.done);
	cr_assert_eq(pair_status(&pair.bob).destroyed, 1);
	cr_assert(pair_status(&pair.alice).connected);
}

Test(issuer, a_label_asked_for_again_right_after_a_cancel_is_served)
{
	struct pair_result first = {}, again = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &first);
	issue_operation_cancel(first.operation);
	pair_ask_label(&pair.alice, "vpn", 1000, &again);
	cr_assert_eq(pair_finish(&pair, &again), 0);
}

Test(issuer, a_mark_without_an_answer_is_asked_for_again_and_not_lost)
{
	struct pair_result result = {};

	pair_cut(&pair);
	pair_ask_new(&pair.alice, 1, 1000, &result);
	pair_run_for(&pair, 20 * USEC_PER_MSEC);
	pair_connect(&pair);
	cr_assert_eq(pair_finish(&pair, &result), 0);
}

static bool drop_from_bob(const char *from, const char *frame, void *userdata)
{
	return str_equal(from, "bob") && strstr(frame, "\"marked\"");
}

Test(issuer, a_mark_of_unknown_outcome_is_withdrawn_and_the_key_destroyed)
{
	struct pair_result result = {}, next = {};

	pair.drop = drop_from_bob;
	cr_assert(issuer_reserve_new(pair.alice.issuer, "bob", 0, 1, 1000,
				     pair_now() + 50 * USEC_PER_MSEC, pair_reserved, &result,
				     &result.operation) >= 0);
	cr_assert_eq(pair_finish(&pair, &result), -ETIMEDOUT);
	pair.drop = NULL;
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.alice).destroyed == 1, USEC_PER_SEC));
	cr_assert_eq(pair_status(&pair.bob).destroyed, 1);
	pair_ask_new(&pair.alice, 1, 1000, &next);
	cr_assert_eq(pair_finish(&pair, &next), 0);
	cr_assert_not(uuid_equal(&next.id, &result.id));
}

static bool drop_marks(const char *from, const char *frame, void *userdata)
{
	return strstr(frame, "\"mark\"");
}

Test(issuer, a_mark_that_was_never_made_gives_the_key_back)
{
	struct pair_result result = {}, next = {};
	struct uuid first = pair_id(0);

	pair.drop = drop_marks;
	cr_assert(issuer_reserve_new(pair.alice.issuer, "bob", 0, 1, 1000,
				     pair_now() + 50 * USEC_PER_MSEC, pair_reserved, &result,
				     &result.operation) >= 0);
	cr_assert_eq(pair_finish(&pair, &result), -ETIMEDOUT);
	pair.drop = NULL;
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.alice).reserved == 0, USEC_PER_SEC));
	pair_ask_new(&pair.alice, 1, 1000, &next);
	cr_assert_eq(pair_finish(&pair, &next), 0);
	cr_assert(uuid_equal(&next.id, &first));
}

Test(issuer_bare, an_id_that_has_not_arrived_is_waited_for)
{
	struct pair_result new = {}, there = {};
	struct uuid first = pair_id(0);

	pair_add_keys_at(&pair.alice, 10);
	pair_start(&pair);
	pair_ask_id(&pair.bob, &first, 2000, &there);
	pair_ask_new(&pair.alice, 1, 1000, &new);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	cr_assert_not(new.done);
	pair_add_keys_at(&pair.bob, 10);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	cr_assert_eq(pair_finish(&pair, &there), 0);
	cr_assert(uuid_equal(&there.id, &first));
}

Test(issuer_bare, an_id_that_never_arrives_has_an_alternative)
{
	struct pair_result new = {}, there = {};
	struct uuid first = pair_id(0);
	struct store_status status;

	pair_add_keys_at(&pair.alice, 10);
	pair_start(&pair);
	/* bob has other keys: number 1 to 9, but not number 0 */
	pair_add_keys_at(&pair.bob, 1);
	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	cr_assert(uuid_equal(&new.id, &first));
	pair_add_keys_at(&pair.bob, 1);
	new = (struct pair_result){};
	cr_assert(issuer_reserve_new(pair.alice.issuer, "bob", 0, 1, 1000,
				     pair_now() + 200 * USEC_PER_MSEC, pair_reserved, &new,
				     &new.operation) >= 0);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	first = pair_id(1);
	cr_assert(uuid_equal(&new.id, &first), "bob's own key, in place of number 2");
	pair_ask_id(&pair.bob, &new.id, 2000, &there);
	cr_assert_eq(pair_finish(&pair, &there), 0);
	pair_add_keys_at(&pair.bob, 8);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.bob).destroyed == 1, USEC_PER_SEC),
		  "number 2 is destroyed when it comes");
	status = pair_status(&pair.alice);
	cr_assert_eq(status.destroyed, 1);
	cr_assert_eq(status.alternatives, 1);
	cr_assert_eq(pair_status(&pair.bob).alternatives, 1);
}

static void take_keys(struct pair_site *site, size_t count)
{
	struct pair_result new = {};

	pair_ask_new(site, count, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
}

Test(issuer_bare, a_low_stock_is_told_of_again_only_after_it_has_risen_well_above)
{
	pair.options.low_water_keys = 20;
	pair_add_keys(&pair, 44); /* 22 of each */
	pair_start(&pair);
	take_keys(&pair.alice, 2);
	cr_assert_eq(pair.alice.low_water, 0);
	take_keys(&pair.alice, 1);
	cr_assert_eq(pair.alice.low_water, 1);
	pair_add_keys(&pair, 6); /* 22 again: too few to be well above */
	take_keys(&pair.alice, 3);
	cr_assert_eq(pair.alice.low_water, 1);
	pair_add_keys(&pair, 20);
	take_keys(&pair.alice, 10);
	cr_assert_eq(pair.alice.low_water, 2);
}

Test(issuer_bare, one_side_draining_goes_on_with_leases_until_the_last_key)
{
	bool seen[40] = {};
	struct pair_result result = {};

	pair_add_keys(&pair, 40);
	pair_start(&pair);
	for (size_t i = 0; i < 40; i++) {
		result = (struct pair_result){};
		pair_ask_new(&pair.bob, 1, 2000, &result);
		cr_assert_eq(pair_finish(&pair, &result), 0, "key %zu", i);
		for (uint64_t j = 0; j < 40; j++) {
			struct uuid id = pair_id(j);

			if (uuid_equal(&id, &result.id)) {
				cr_assert_not(seen[j]);
				seen[j] = true;
			}
		}
	}
	for (size_t i = 0; i < 40; i++)
		cr_assert(seen[i]);
	cr_assert_eq(pair_status(&pair.alice).available_own, 0);
	cr_assert_eq(pair_status(&pair.alice).reserved, 40);
}

Test(issuer, used_lines_are_erased_and_others_are_not)
{
	struct pair_result a = {}, b = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &a);
	pair_finish(&pair, &a);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_line(&pair.alice, 0) == '-', USEC_PER_SEC));
	cr_assert_neq(pair_line(&pair.bob, 0), '-');
	pair_ask_label(&pair.bob, "vpn", 1000, &b);
	pair_finish(&pair, &b);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_line(&pair.bob, 0) == '-', USEC_PER_SEC));
	cr_assert_neq(pair_line(&pair.alice, 1), '-');
	cr_assert_neq(pair_line(&pair.alice, 2), '-');
}

Test(issuer, a_destroyed_key_is_gone_at_both_sites)
{
	struct pair_result new = {}, there = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	pair_finish(&pair, &new);
	cr_assert_eq(issuer_destroy(pair.alice.issuer, "bob", &new.id, 1001), -EACCES);
	cr_assert_eq(issuer_destroy(pair.alice.issuer, "bob", &new.id, 1000), 0);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_line(&pair.alice, 0) == '-', USEC_PER_SEC));
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_line(&pair.bob, 0) == '-', USEC_PER_SEC));
	pair_ask_id(&pair.bob, &new.id, 2000, &there);
	cr_assert_eq(pair_finish(&pair, &there), -EKEYEXPIRED);
}

Test(issuer_bare, an_uncollected_reservation_expires_to_destroyed_at_both_sites)
{
	struct pair_result new = {};

	pair.options.reservation_sec = 1;
	pair_add_keys(&pair, 10);
	pair_start(&pair);
	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.alice).destroyed == 1, 4 * USEC_PER_SEC));
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.bob).destroyed == 1, USEC_PER_SEC));
}

Test(issuer_bare, a_label_begins_anew_after_its_end)
{
	struct pair_result first = {}, spent = {}, other = {}, second = {};

	pair.options.label_ttl_sec = 1;
	pair_add_keys(&pair, 10);
	pair_start(&pair);
	pair_ask_label(&pair.alice, "vpn", 1000, &first);
	cr_assert_eq(pair_finish(&pair, &first), 0);
	pair_ask_label(&pair.alice, "vpn", 1000, &spent);
	cr_assert_eq(pair_finish(&pair, &spent), -EKEYEXPIRED);
	pair_run_for(&pair, 1100 * USEC_PER_MSEC);
	pair_ask_label(&pair.bob, "vpn", 1000, &other);
	cr_assert_eq(pair_finish(&pair, &other), 0);
	pair_ask_label(&pair.alice, "vpn", 1000, &second);
	cr_assert_eq(pair_finish(&pair, &second), 0);
	assert_same_key(&other, &second);
	cr_assert_not(uuid_equal(&first.id, &second.id));
}

Test(issuer_bare, a_label_does_not_begin_anew_while_the_other_site_is_away)
{
	struct pair_result first = {}, again = {};

	pair.options.label_ttl_sec = 1;
	pair_add_keys(&pair, 10);
	pair_start(&pair);
	pair_ask_label(&pair.alice, "vpn", 1000, &first);
	cr_assert_eq(pair_finish(&pair, &first), 0);
	pair_cut(&pair);
	pair_run_for(&pair, 1100 * USEC_PER_MSEC);
	cr_assert(issuer_deliver_label(pair.alice.issuer, "bob", "vpn", 0, 0, 1000,
				       pair_now() + 100 * USEC_PER_MSEC, pair_delivered, &again,
				       &again.operation) >= 0);
	cr_assert_eq(pair_finish(&pair, &again), -ETIMEDOUT);
	pair_connect(&pair);
	again = (struct pair_result){};
	pair_ask_label(&pair.alice, "vpn", 1000, &again);
	cr_assert_eq(pair_finish(&pair, &again), 0);
}

Test(issuer, a_failed_sync_is_fatal_and_nothing_more_is_handed_out)
{
	struct pair_result result = {};

	memory_storage_fail_syncs(pair.alice.state, true);
	pair_ask_label(&pair.alice, "vpn", 1000, &result);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair.alice.fatal == 1, USEC_PER_SEC));
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	cr_assert_not(result.done && result.result == 0);
	issue_operation_cancel(result.operation);
}

Test(issuer, many_requests_for_one_label_that_is_never_chosen_all_end_at_their_deadlines)
{
	static struct pair_result results[50];
	uint64_t start = pair_now();

	pair.drop = drop_marks;
	for (size_t i = 0; i < ELEMENTSOF(results); i++)
		cr_assert(issuer_deliver_label(pair.alice.issuer, "bob", "vpn", 0, 0, 1000 + i % 2,
					       start + 100 * USEC_PER_MSEC + i / 10, pair_delivered,
					       &results[i], &results[i].operation) >= 0);
	for (size_t i = 0; i < ELEMENTSOF(results); i++)
		cr_assert_eq(pair_finish(&pair, &results[i]), -ETIMEDOUT);
	cr_assert_lt(pair_now() - start, USEC_PER_SEC);
}

Test(issuer, an_issuer_ends_in_the_middle_of_everything)
{
	static struct pair_result results[60];

	pair.drop = drop_marks;
	for (size_t i = 0; i < ELEMENTSOF(results); i++) {
		struct pair_site *site = i % 2 ? &pair.bob : &pair.alice;

		if (i % 3)
			pair_ask_label(site, i % 4 ? "vpn" : "web", 1000 + i % 5, &results[i]);
		else
			pair_ask_new(site, 3, 1000, &results[i]);
		if (i == 30)
			pair_run_for(&pair, 5000);
	}
	pair_stop_site(&pair.bob);
	pair_stop_site(&pair.alice);
	for (size_t i = 0; i < ELEMENTSOF(results); i++)
		cr_assert_not(results[i].done && results[i].result == 0);
}
