/* SPDX-License-Identifier: MIT */
/* Rekeying between two ends: no packet is lost to it, no key is used twice, nothing stays stuck. */

#include <criterion/criterion.h>

#include "tests/unit/support/rekey-pair.h"

#define SECONDS(n) ((uint64_t)(n)*USEC_PER_SEC)

static struct rekey_pair pair;
static struct rekey_pair_side *const leader = &pair.sides[PAIR_LEADER];
static struct rekey_pair_side *const follower = &pair.sides[PAIR_FOLLOWER];

static void begin(uint64_t rekey_sec, uint64_t hard_sec, uint64_t drain_sec)
{
	rekey_pair_init(&pair, rekey_sec, hard_sec, drain_sec);
	rekey_pair_start(&pair, PAIR_LEADER);
	rekey_pair_start(&pair, PAIR_FOLLOWER);
}

static void end(void)
{
	cr_assert_not(pair.key_repeated, "a key was installed twice");
	rekey_pair_done(&pair);
}

Test(rekey_machine, secures_a_connection_within_a_second_and_loses_nothing_in_sixty, .timeout = 60)
{
	begin(3, 15, 5);
	rekey_pair_run(&pair, SECONDS(1));
	cr_assert(rekey_pair_is_secured(&pair));
	cr_assert_eq(leader->secured, 1);
	rekey_pair_run(&pair, SECONDS(60));
	cr_assert_geq(leader->renewed, 19);
	cr_assert_eq(leader->renewed, follower->renewed);
	cr_assert_eq(rekey_pair_lost(&pair), 0);
	cr_assert_eq(leader->blocked + follower->blocked, 0);
	cr_assert_eq(leader->fetches, follower->fetches);
	end();
}

Test(rekey_machine, loses_no_packet_when_datagrams_are_lost_and_overtake_each_other, .timeout = 60)
{
	for (unsigned loss = 5; loss <= 45; loss += 20) {
		begin(3, 20, 5);
		pair.loss_percent = loss;
		pair.delay_max_usec = 400 * USEC_PER_MSEC;
		rekey_pair_run(&pair, SECONDS(120));
		cr_assert_eq(rekey_pair_lost(&pair), 0, "at a loss of %u %%", loss);
		cr_assert_geq(leader->renewed, 10, "at a loss of %u %%: %zu", loss,
			      (size_t)leader->renewed);
		cr_assert_eq(follower->blocked, 0);
		end();
	}
}

Test(rekey_machine, has_at_most_the_associations_that_drain)
{
	begin(3, 1000, 5);
	rekey_pair_run(&pair, SECONDS(100));
	cr_assert_leq(leader->sa_count, 6);
	cr_assert_leq(follower->sa_count, 6);
	end();
}

Test(rekey_machine, stops_at_the_hard_lifetime_without_keys_and_goes_on_with_them)
{
	uint64_t held, sent;

	begin(3, 10, 5);
	rekey_pair_run(&pair, SECONDS(2));
	pair.no_keys = true;
	rekey_pair_run(&pair, SECONDS(10));
	cr_assert_eq(leader->sa_count + follower->sa_count, 0);
	cr_assert_eq(leader->blocked, 1);
	cr_assert_eq(follower->blocked, 1);
	cr_assert_gt(leader->no_key, 1);
	sent = leader->sent;
	held = leader->held;
	rekey_pair_run(&pair, SECONDS(30));
	cr_assert_eq(leader->sent, sent);
	cr_assert_gt(leader->held, held);
	cr_assert_leq(leader->fetches, 30, "asks without end: %zu", (size_t)leader->fetches);
	pair.no_keys = false;
	rekey_pair_run(&pair, SECONDS(5));
	cr_assert(rekey_pair_is_secured(&pair));
	cr_assert_eq(leader->secured, 2);
	end();
}

Test(rekey_machine, takes_over_what_is_installed_after_a_restart_of_either_end)
{
	for (int one = PAIR_LEADER; one <= PAIR_FOLLOWER; one++) {
		begin(3, 15, 5);
		rekey_pair_run(&pair, SECONDS(4));
		rekey_pair_restart(&pair, (enum rekey_pair_end)one, false);
		cr_assert(rekey_machine_is_secured(pair.sides[one].machine));
		rekey_pair_run(&pair, SECONDS(30));
		cr_assert_eq(rekey_pair_lost(&pair), 0);
		cr_assert_geq(leader->renewed, 9);
		cr_assert_eq(leader->blocked + follower->blocked, 0);
		end();
	}
}

Test(rekey_machine, replaces_at_once_what_had_sent_its_bytes_when_it_was_taken_over)
{
	for (int one = PAIR_LEADER; one <= PAIR_FOLLOWER; one++) {
		struct rekey_pair_side *side = &pair.sides[one];

		begin(3600, 14400, 5);
		rekey_pair_run(&pair, SECONDS(4));
		rekey_pair_restart(&pair, (enum rekey_pair_end)one, false);
		rekey_pair_run(&pair, SECONDS(10));
		cr_assert_eq(side->renewed, 0);
		for (size_t i = 0; i < side->sa_count; i++)
			side->sas[i].spent = side->sas[i].direction == REKEY_OUT;
		rekey_pair_restart(&pair, (enum rekey_pair_end)one, false);
		rekey_pair_run(&pair, SECONDS(10));
		cr_assert_eq(side->renewed, 1);
		cr_assert_eq(rekey_pair_lost(&pair), 0);
		end();
	}
}

Test(rekey_machine, survives_restarts_in_the_middle_of_everything, .timeout = 120)
{
	begin(3, 15, 5);
	pair.loss_percent = 10;
	for (unsigned i = 0; i < 200; i++) {
		rekey_pair_run(&pair, 1000 * (137 * i % 1900));
		rekey_pair_restart(&pair, (enum rekey_pair_end)(i / 2 % 2), false);
	}
	rekey_pair_run(&pair, SECONDS(20));
	cr_assert(rekey_pair_is_secured(&pair));
	cr_assert_eq(rekey_pair_lost(&pair), 0);
	end();
}

Test(rekey_machine, is_secured_soon_after_a_reboot_of_either_end)
{
	for (int one = PAIR_LEADER; one <= PAIR_FOLLOWER; one++) {
		uint64_t lost;

		begin(3600, 14400, 30);
		rekey_pair_run(&pair, SECONDS(20));
		rekey_pair_restart(&pair, (enum rekey_pair_end)one, true);
		rekey_pair_run(&pair, SECONDS(3));
		cr_assert(rekey_pair_is_secured(&pair));
		lost = rekey_pair_lost(&pair);
		rekey_pair_run(&pair, SECONDS(60));
		cr_assert_eq(rekey_pair_lost(&pair), lost);
		end();
	}
}

Test(rekey_machine, takes_the_next_offer_for_a_confirmation_that_was_lost)
{
	begin(3, 60, 5);
	rekey_pair_run(&pair, SECONDS(1));
	pair.drop = REKEY_CONFIRM;
	rekey_pair_run(&pair, SECONDS(30));
	cr_assert_geq(follower->renewed, 8);
	cr_assert_eq(rekey_pair_lost(&pair), 0);
	pair.drop = REKEY_DONE;
	rekey_pair_run(&pair, SECONDS(30));
	cr_assert_eq(rekey_pair_lost(&pair), 0);
	cr_assert_eq(leader->blocked + follower->blocked, 0);
	end();
}

Test(rekey_machine, keeps_old_keys_in_use_while_the_ends_cannot_talk)
{
	begin(3, 60, 5);
	rekey_pair_run(&pair, SECONDS(2));
	pair.cut = true;
	rekey_pair_run(&pair, SECONDS(40));
	cr_assert_gt(leader->silent, 0);
	cr_assert_eq(rekey_pair_lost(&pair), 0);
	pair.cut = false;
	rekey_pair_run(&pair, SECONDS(20));
	cr_assert_eq(rekey_pair_lost(&pair), 0);
	cr_assert_eq(leader->blocked, 0);
	cr_assert_gt(leader->renewed, 2);
	end();
}

Test(rekey_machine, rekeys_early_when_the_kernel_says_that_a_lifetime_ends)
{
	begin(3600, 14400, 30);
	rekey_pair_run(&pair, SECONDS(5));
	rekey_machine_expired(follower->machine, pair.now_usec, REKEY_OUT,
			      rekey_machine_outbound(follower->machine), false);
	rekey_pair_run(&pair, SECONDS(1));
	cr_assert_eq(leader->renewed, 1);
	rekey_pair_run(&pair, SECONDS(5));
	rekey_machine_expired(leader->machine, pair.now_usec, REKEY_OUT,
			      rekey_machine_outbound(leader->machine), false);
	rekey_pair_run(&pair, SECONDS(5));
	cr_assert_eq(leader->renewed, 2);
	cr_assert_eq(rekey_pair_lost(&pair), 0);
	end();
}

Test(rekey_machine, recovers_when_somebody_flushed_the_kernel)
{
	begin(3600, 14400, 30);
	rekey_pair_run(&pair, SECONDS(5));
	leader->sa_count = 0;
	rekey_pair_run(&pair, SECONDS(2));
	cr_assert_neq(leader->sa_count, 0);
	rekey_pair_run(&pair, SECONDS(3));
	follower->sa_count = 0;
	rekey_pair_run(&pair, SECONDS(2));
	cr_assert_neq(follower->sa_count, 0);
	end();
}

Test(rekey_machine, counts_a_refusal_of_the_kernel_and_leaves_nothing_behind)
{
	begin(3, 15, 5);
	leader->kernel_refuses = true;
	rekey_pair_run(&pair, SECONDS(10));
	cr_assert_gt(leader->failed, 1);
	cr_assert_eq(leader->sa_count, 0);
	leader->kernel_refuses = false;
	rekey_pair_run(&pair, SECONDS(5));
	cr_assert(rekey_pair_is_secured(&pair));
	end();
}

Test(rekey_machine, bounds_its_associations_when_generations_never_settle, .timeout = 60)
{
	begin(3, 86400, 60);
	rekey_pair_run(&pair, SECONDS(1));
	for (unsigned i = 0; i < 120; i++) { /* offers arrive, answers do not */
		rekey_pair_restart(&pair, PAIR_LEADER, true);
		rekey_pair_run(&pair, SECONDS(2));
		cr_assert_leq(follower->sa_count, REKEY_MAX_SAS);
	}
	end();
}

Test(rekey_machine, hears_a_stranger_only_now_and_then)
{
	struct rekey_message forged = {.type = REKEY_OFFER, .connection = "office", .spi = 4711};
	uint8_t bytes[REKEY_MESSAGE_BYTES];
	uint64_t before, renewed;

	begin(3600, 14400, 30);
	rekey_pair_run(&pair, SECONDS(5));
	before = follower->fetches;
	renewed = leader->renewed;
	for (unsigned i = 0; i < 1000; i++) {
		forged.generation = 1000 + i;
		cr_assert_eq(rekey_message_encode(&forged, NULL, NULL, bytes), 0);
		rekey_pair_put(&pair, PAIR_FOLLOWER, bytes);
		rekey_pair_run(&pair, 20 * USEC_PER_MSEC);
	}
	cr_assert_leq(follower->fetches - before, 11);
	forged = (struct rekey_message){.type = REKEY_WANT, .connection = "office"};
	cr_assert_eq(rekey_message_encode(&forged, NULL, NULL, bytes), 0);
	for (unsigned i = 0; i < 1000; i++) {
		rekey_pair_put(&pair, PAIR_LEADER, bytes);
		rekey_pair_run(&pair, 20 * USEC_PER_MSEC);
	}
	cr_assert_leq(leader->renewed - renewed, 5);
	cr_assert_eq(rekey_pair_lost(&pair), 0);
	end();
}

Test(rekey_machine, ignores_what_was_said_before)
{
	uint8_t offer[REKEY_MESSAGE_BYTES], accept[REKEY_MESSAGE_BYTES];
	uint64_t renewed;
	size_t count;

	begin(3600, 14400, 1);
	pair.delay_max_usec = 0;
	rekey_pair_run(&pair, 11 * USEC_PER_MSEC);
	memcpy(offer, pair.last[PAIR_LEADER].bytes, sizeof(offer));
	rekey_pair_run(&pair, 12 * USEC_PER_MSEC);
	memcpy(accept, pair.last[PAIR_FOLLOWER].bytes, sizeof(accept));
	cr_assert_eq(offer[5], REKEY_OFFER);
	rekey_pair_run(&pair, SECONDS(5));
	renewed = leader->renewed + follower->renewed;
	count = leader->sa_count + follower->sa_count;
	for (unsigned i = 0; i < 50; i++) {
		rekey_pair_put(&pair, PAIR_FOLLOWER, offer);
		rekey_pair_put(&pair, PAIR_LEADER, accept);
		rekey_pair_put(&pair, PAIR_FOLLOWER, pair.last[PAIR_LEADER].bytes);
		rekey_pair_put(&pair, PAIR_LEADER, pair.last[PAIR_FOLLOWER].bytes);
		rekey_pair_run(&pair, 100 * USEC_PER_MSEC);
	}
	cr_assert_eq(leader->renewed + follower->renewed, renewed);
	cr_assert_eq(leader->sa_count + follower->sa_count, count);
	end();
}

Test(rekey_machine, uses_other_keys_even_when_a_label_is_served_twice)
{
	uint8_t offer[REKEY_MESSAGE_BYTES];

	begin(3600, 14400, 1);
	pair.delay_max_usec = 0;
	rekey_pair_run(&pair, 11 * USEC_PER_MSEC);
	memcpy(offer, pair.last[PAIR_LEADER].bytes, sizeof(offer));
	rekey_pair_run(&pair, SECONDS(5));
	pair.served_count[PAIR_FOLLOWER] = 0; /* a key service that forgets */
	rekey_pair_restart(&pair, PAIR_FOLLOWER, true);
	rekey_pair_put(&pair, PAIR_FOLLOWER, offer);
	rekey_pair_run(&pair, SECONDS(10));
	end();
}

Test(rekey_machine, refuses_a_quantum_key_that_is_too_short)
{
	struct secret *key = NULL;
	uint64_t id;

	begin(3, 15, 5);
	id = leader->fetching;
	leader->fetching = 0; /* the test answers */
	cr_assert_eq(secret_new(SA_DERIVE_MIN_BYTES - 1, &key), 0);
	rekey_machine_fetched(leader->machine, pair.now_usec, id, 0, key);
	cr_assert_eq(leader->no_key, 1);
	end();
}
