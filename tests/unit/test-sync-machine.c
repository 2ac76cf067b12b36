/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "tests/unit/support/sync-side.h"

static struct side side;

static void teardown(void)
{
	side_done(&side);
}

static void lead(void)
{
	side_init(&side, SYNC_LEADER);
	side_connect_fresh(&side);
}

static void follow(void)
{
	side_init(&side, SYNC_FOLLOWER);
	side_connect_fresh(&side);
}

TestSuite(leader, .init = lead, .fini = teardown);
TestSuite(follower, .init = follow, .fini = teardown);

static struct sync_message begin(uint8_t number, size_t count)
{
	cr_assert_eq(sync_machine_keys(side.machine, side_keys(number, count)), 0);
	side_flush(&side);
	return *side_last(&side, SYNC_SYN);
}

static struct sync_message syn_ack(const struct sync_message *syn)
{
	struct sync_message message = {.kind = SYNC_SYN_ACK, .txn = syn->txn};

	message.syn_ack.alpha_plus_one = syn->syn.alpha + 1;
	message.syn_ack.beta = 1000 + syn->txn;
	return message;
}

static void answer(const struct sync_message *message)
{
	side_receive(&side, message);
	side_flush(&side);
}

/* With a window of 4, as the side has. */
static void reconfigure(uint64_t hold_usec, uint64_t store_limit, unsigned keys_per_transaction)
{
	sync_machine_reconfigure(side.machine, &(struct sync_changes){hold_usec, store_limit,
								      keys_per_transaction, 4});
}

static void bare(enum sync_kind kind, uint64_t txn)
{
	answer(&(struct sync_message){.kind = kind, .txn = txn});
}

Test(leader, a_transaction_runs_to_its_end)
{
	struct sync_message syn = begin(1, 3), ack, reply = syn_ack(&syn);

	cr_assert_eq(syn.syn.count, 3u);
	answer(&reply);
	ack = *side_last(&side, SYNC_ACK);
	cr_assert_eq(ack.ack.beta_plus_one, 1000 + syn.txn + 1);
	cr_assert_eq(ack.ack.first, 0u);
	cr_assert_eq(ack.ack.count, 3u);
	cr_assert_eq(side.agreed_count, 0u, "not before DONE or hold");
	bare(SYNC_DONE, syn.txn);
	cr_assert_eq(side.agreed_count, 3u);
	cr_assert_eq(sync_machine_open(side.machine), 0u);
	cr_assert_eq(sync_machine_next(side.machine), 3u);
	cr_assert_eq(side.wake_usec, UINT64_MAX, "no timer when nothing is open");
}

Test(leader, nothing_is_sent_before_it_is_durable)
{
	struct sync_message syn, reply;

	cr_assert_eq(sync_machine_keys(side.machine, side_keys(1, 1)), 0);
	cr_assert_eq(side.sent_count, 0u);
	side_flush(&side);
	syn = *side_last(&side, SYNC_SYN);
	reply = syn_ack(&syn);
	side_receive(&side, &reply);
	cr_assert_eq(side.sent_count, 1u);
	side_flush(&side);
	side_last(&side, SYNC_ACK);
}

Test(leader, one_flush_serves_many_transactions_with_one_sync)
{
	uint64_t before;

	for (uint8_t i = 1; i <= 4; i++)
		cr_assert_eq(sync_machine_keys(side.machine, side_keys(i * 16, 2)), 0);
	cr_assert_eq(sync_machine_room(side.machine), 0u);
	before = memory_storage_syncs(side.memory);
	side_flush(&side);
	cr_assert_eq(side.sent_count, 4u);
	cr_assert_eq(memory_storage_syncs(side.memory) - before, 1u);
}

Test(leader, a_wrong_alpha_changes_nothing)
{
	struct sync_message syn = begin(1, 1), reply = syn_ack(&syn);

	reply.syn_ack.alpha_plus_one++;
	answer(&reply);
	cr_assert_eq(side.sent_count, 1u);
	cr_assert_eq(side.distrusts, 1u);
	reply.syn_ack.alpha_plus_one--;
	answer(&reply);
	reply.syn_ack.beta++;
	answer(&reply);
	cr_assert_eq(side.distrusts, 2u, "another beta once it is decided");
}

Test(leader, syn_and_ack_are_repeated_with_growing_intervals)
{
	struct sync_message syn = begin(1, 1), reply;

	side_wait(&side, SYNC_RETRY_MIN_USEC);
	cr_assert_eq(side.sent_count, 2u);
	side_last(&side, SYNC_SYN);
	side_wait(&side, SYNC_RETRY_MIN_USEC);
	cr_assert_eq(side.sent_count, 2u);
	side_wait(&side, SYNC_RETRY_MIN_USEC);
	cr_assert_eq(side.sent_count, 3u);
	reply = syn_ack(&syn);
	answer(&reply);
	side_wait(&side, SYNC_RETRY_MIN_USEC);
	cr_assert_eq(side.sent_count, 5u);
	side_last(&side, SYNC_ACK);
}

Test(leader, a_syn_without_answer_is_aborted_at_its_limit_and_stays_so)
{
	struct sync_message syn = begin(1, 1), reply = syn_ack(&syn);

	side_wait(&side, SYNC_SYN_LIMIT_USEC);
	cr_assert_eq(side_last(&side, SYNC_ABORT)->txn, syn.txn);
	cr_assert_eq(sync_machine_open(side.machine), 0u);
	side.sent_count = 0;
	answer(&reply);
	cr_assert_eq(side_last(&side, SYNC_ABORT)->txn, syn.txn);
	side_restart(&side, MEMORY_CRASH_LOSE);
	side_connect(&side, 0, 2, &(struct sync_open){.txn = 1, .count = 1}, 1);
	cr_assert_eq(side_last(&side, SYNC_ABORT)->txn, syn.txn);
}

Test(leader, hold_releases_its_own_append_and_keeps_the_decision)
{
	struct sync_message syn = begin(1, 2), reply = syn_ack(&syn);

	answer(&reply);
	side_wait(&side, side.settings.hold_usec);
	cr_assert_eq(side.agreed_count, 2u);
	cr_assert_eq(sync_machine_open(side.machine), 1u);
	side_restart(&side, MEMORY_CRASH_LOSE);
	cr_assert_eq(sync_machine_open(side.machine), 1u);
	side_connect(&side, 0, 2, &(struct sync_open){.txn = syn.txn, .count = 2}, 1);
	cr_assert_eq(side_last(&side, SYNC_ACK)->ack.first, 0u);
	bare(SYNC_DONE, syn.txn);
	cr_assert_eq(sync_machine_open(side.machine), 0u);
}

Test(leader, appends_strictly_by_sequence)
{
	struct sync_message first = begin(1, 2), second = begin(20, 2);
	struct sync_message late = syn_ack(&first), early = syn_ack(&second);

	answer(&early); /* the second is decided first, so it is first in the file */
	cr_assert_eq(side_last(&side, SYNC_ACK)->ack.first, 0u);
	answer(&late);
	cr_assert_eq(side_last(&side, SYNC_ACK)->ack.first, 2u);
	bare(SYNC_DONE, first.txn);
	cr_assert_eq(side.agreed_count, 0u);
	bare(SYNC_DONE, second.txn);
	cr_assert_eq(side.agreed_count, 4u);
}

Test(leader, a_crash_before_commit_aborts_and_after_it_does_not)
{
	struct sync_message one = begin(1, 1), two = begin(20, 1), reply = syn_ack(&two);

	answer(&reply);
	side_restart(&side, MEMORY_CRASH_LOSE);
	cr_assert_eq(sync_machine_open(side.machine), 1u);
	side_connect(
		&side, 0, 3,
		(struct sync_open[]){{.txn = one.txn, .count = 1}, {.txn = two.txn, .count = 1}},
		2);
	cr_assert_eq(side.sent_count, 2u);
	cr_assert_eq(side.sent[0].kind, SYNC_ACK);
	cr_assert_eq(side.sent[0].ack.beta_plus_one, 1000 + two.txn + 1, "beta is remembered");
	cr_assert_eq(side.sent[1].kind, SYNC_ABORT);
}

Test(leader, a_nak_wastes_the_keys_and_pauses_the_asking)
{
	struct sync_message syn = begin(1, 1);
	uint8_t key[SIDE_KEY_BYTES];

	answer(&(struct sync_message){
		.kind = SYNC_NAK, .txn = syn.txn, .nak.reason = SYNC_REASON_FULL});
	cr_assert_eq(sync_machine_open(side.machine), 0u);
	cr_assert_eq(sync_machine_room(side.machine), 0u);
	memset(key, 1, sizeof(key));
	cr_assert_not(memory_storage_holds(side.memory, key, sizeof(key)));
	side_wait(&side, SYNC_PAUSE_MIN_USEC);
	cr_assert_eq(sync_machine_room(side.machine), 4u);
}

Test(leader, asks_for_no_keys_when_the_store_is_full)
{
	reconfigure(USEC_PER_SEC, 3, 1);
	cr_assert_eq(sync_machine_room(side.machine), 4u);
	begin(1, 3);
	cr_assert_eq(sync_machine_room(side.machine), 0u);
	side_wait(&side, SYNC_STOCK_CHECK_USEC);
	cr_assert_eq(sync_machine_room(side.machine), 0u);
	reconfigure(USEC_PER_SEC, 100, 1);
	cr_assert_eq(sync_machine_room(side.machine), 3u, "at once");
}

Test(leader, a_window_that_changes_holds_for_what_begins_from_now_on)
{
	struct sync_changes changes = {USEC_PER_SEC, 100, 1, 2};

	begin(1, 1);
	begin(2, 1);
	begin(3, 1);
	sync_machine_reconfigure(side.machine, &changes);
	cr_assert_eq(sync_machine_room(side.machine), 0u, "three are open");
	changes.window = 8;
	sync_machine_reconfigure(side.machine, &changes);
	cr_assert_eq(sync_machine_room(side.machine), 5u);
	changes.window = SYNC_MAX_OPEN + 1;
	sync_machine_reconfigure(side.machine, &changes);
	cr_assert_eq(sync_machine_room(side.machine), SYNC_MAX_OPEN - 3u);
}

Test(leader, a_full_disk_drops_the_keys_before_anything_is_promised)
{
	memory_storage_set_capacity(side.memory, 8192);
	cr_assert_eq(sync_machine_keys(side.machine, side_keys(1, 1)), 0);
	cr_assert_eq(sync_machine_open(side.machine), 0u);
	cr_assert_eq(sync_machine_room(side.machine), 0u);
}

Test(leader, a_failed_sync_asks_to_be_stopped)
{
	cr_assert_eq(sync_machine_keys(side.machine, side_keys(1, 1)), 0);
	memory_storage_fail_syncs(side.memory, true);
	cr_assert_lt(sync_machine_flush(side.machine), 0);
	cr_assert_eq(side.sent_count, 0u);
}

/* Follower */

static struct uuid ids[8];

static struct sync_message make_syn(uint64_t txn, size_t count)
{
	struct sync_message message = {.kind = SYNC_SYN, .txn = txn};

	for (size_t i = 0; i < count; i++)
		ids[i] = (struct uuid){.bytes = {(uint8_t)(txn * 16), (uint8_t)i}};
	message.syn.alpha = UINT64_MAX; /* + 1 wraps */
	message.syn.count = count;
	message.syn.ids = ids;
	return message;
}

static struct sync_message prepare(uint64_t txn, size_t count)
{
	struct sync_message syn = make_syn(txn, count);

	answer(&syn);
	cr_assert_eq(side.fetch_txn, txn);
	cr_assert_eq(
		sync_machine_fetched(side.machine, txn, 0, side_keys((uint8_t)(txn * 16), count)),
		0);
	side_flush(&side);
	return *side_last(&side, SYNC_SYN_ACK);
}

static struct sync_message make_ack(const struct sync_message *reply, uint64_t first,
				    uint32_t count)
{
	struct sync_message message = {.kind = SYNC_ACK, .txn = reply->txn};

	message.ack.beta_plus_one = reply->syn_ack.beta + 1;
	message.ack.first = first;
	message.ack.count = count;
	return message;
}

Test(follower, a_transaction_runs_to_its_end)
{
	struct sync_message reply = prepare(1, 3), ack = make_ack(&reply, 0, 3);

	cr_assert_eq(reply.syn_ack.alpha_plus_one, 0u);
	answer(&ack);
	cr_assert_eq(side_last(&side, SYNC_DONE)->txn, 1u);
	cr_assert_eq(side.agreed_count, 3u);
	cr_assert_eq(sync_machine_open(side.machine), 0u);
	cr_assert_eq(side.wake_usec, UINT64_MAX);
	answer(&ack);
	cr_assert_eq(side.sent_count, 3u, "DONE again");
	side_last(&side, SYNC_DONE);
}

Test(follower, prepared_it_waits_for_ever_and_asks_again_and_again)
{
	struct sync_message reply = prepare(1, 1), again;

	side_wait(&side, 3600 * USEC_PER_SEC);
	again = *side_last(&side, SYNC_SYN_ACK);
	cr_assert_eq(again.syn_ack.beta, reply.syn_ack.beta);
	side_restart(&side, MEMORY_CRASH_LOSE);
	cr_assert_eq(sync_machine_open(side.machine), 1u);
	side_connect(&side, 1, 2, &(struct sync_open){.txn = 1, .count = 1, .committed = true}, 1);
	reply = make_ack(&reply, 0, 1);
	answer(&reply);
	side_last(&side, SYNC_DONE);
	cr_assert_eq(side.agreed_count, 1u);
}

Test(follower, a_wrong_beta_or_count_changes_nothing)
{
	struct sync_message reply = prepare(1, 2), ack = make_ack(&reply, 0, 2);

	ack.ack.beta_plus_one++;
	answer(&ack);
	ack.ack.beta_plus_one--;
	ack.ack.count = 1;
	answer(&ack);
	cr_assert_eq(side.distrusts, 2u);
	cr_assert_eq(side.agreed_count, 0u);
	cr_assert_eq(side.sent_count, 1u);
}

Test(follower, an_impossible_first_number_ends_the_connection)
{
	struct sync_message reply = prepare(1, 2), ack = make_ack(&reply, 1, 2);

	answer(&ack);
	cr_assert_eq(side.disconnects, 1u);
	cr_assert_eq(side.agreed_count, 0u);
	cr_assert_eq(sync_machine_open(side.machine), 1u);
}

Test(follower, a_gap_that_another_transaction_fills_is_waited_for)
{
	struct sync_message one = prepare(1, 2), two = prepare(2, 2);
	struct sync_message late = make_ack(&one, 0, 2), early = make_ack(&two, 2, 2);

	answer(&early);
	cr_assert_eq(side.agreed_count, 0u);
	answer(&late);
	cr_assert_eq(side.agreed_count, 4u);
}

Test(follower, two_transactions_never_get_the_same_numbers)
{
	struct sync_message one = prepare(1, 2), two = prepare(2, 2);
	struct sync_message first = make_ack(&one, 2, 2), second = make_ack(&two, 2, 2);

	answer(&first); /* two may fill 0 and 1 */
	cr_assert_eq(side.disconnects, 0u);
	answer(&second);
	cr_assert_eq(side.disconnects, 1u);
}

Test(follower, keys_that_its_device_does_not_have_are_refused)
{
	struct sync_message syn = make_syn(1, 1);

	answer(&syn);
	cr_assert_eq(sync_machine_fetched(side.machine, 1, -ENOKEY, NULL), 0);
	cr_assert_eq(side_last(&side, SYNC_NAK)->nak.reason, SYNC_REASON_NO_KEY);
	side.fetch_fails = true;
	syn = make_syn(2, 1);
	answer(&syn);
	cr_assert_eq(side_last(&side, SYNC_NAK)->nak.reason, SYNC_REASON_DEVICE);
	side.fetch_fails = false;
	syn = make_syn(3, 1);
	answer(&syn);
	side_wait(&side, SYNC_FETCH_LIMIT_USEC);
	cr_assert_eq(side_last(&side, SYNC_NAK)->nak.reason, SYNC_REASON_DEVICE);
	cr_assert_eq(sync_machine_fetched(side.machine, 3, 0, side_keys(48, 1)), 0, "too late");
	cr_assert_eq(sync_machine_open(side.machine), 0u);
}

Test(follower, a_number_that_was_used_is_stale)
{
	struct sync_message reply = prepare(1, 1), ack = make_ack(&reply, 0, 1),
			    syn = make_syn(1, 1);
	unsigned fetches;

	answer(&ack);
	fetches = side.fetches;
	answer(&syn);
	cr_assert_eq(side_last(&side, SYNC_NAK)->nak.reason, SYNC_REASON_STALE);
	cr_assert_eq(side.fetches, fetches);
}

Test(follower, a_repeated_syn_is_answered_again_and_another_under_its_number_is_not)
{
	struct sync_message reply = prepare(1, 2), syn = make_syn(1, 2);

	answer(&syn);
	cr_assert_eq(side.sent_count, 2u);
	cr_assert_eq(side_last(&side, SYNC_SYN_ACK)->syn_ack.beta, reply.syn_ack.beta);
	syn.syn.alpha = 4;
	answer(&syn);
	cr_assert_eq(side.sent_count, 2u);
	cr_assert_eq(side.distrusts, 1u);
}

Test(follower, abort_wipes_what_was_prepared)
{
	uint8_t key[SIDE_KEY_BYTES];

	prepare(1, 1);
	memset(key, 16, sizeof(key));
	cr_assert(memory_storage_holds(side.memory, key, sizeof(key)));
	bare(SYNC_ABORT, 1);
	cr_assert_not(memory_storage_holds(side.memory, key, sizeof(key)));
	cr_assert_eq(sync_machine_open(side.machine), 0u);
}

Test(follower, a_full_store_or_disk_is_a_nak)
{
	struct sync_message syn = make_syn(1, 2);

	reconfigure(0, 1, 1);
	answer(&syn);
	cr_assert_eq(side_last(&side, SYNC_NAK)->nak.reason, SYNC_REASON_FULL);
	reconfigure(0, 1000, 1);
	syn = make_syn(2, 2);
	answer(&syn);
	memory_storage_set_capacity(side.memory, 8192);
	cr_assert_eq(sync_machine_fetched(side.machine, 2, 0, side_keys(32, 2)), 0);
	cr_assert_eq(side_last(&side, SYNC_NAK)->nak.reason, SYNC_REASON_FULL);
}

Test(follower, recovery_applies_what_was_decided_without_the_peer)
{
	struct sync_message reply = prepare(1, 2), ack = make_ack(&reply, 0, 2);

	side_receive(&side, &ack);
	side.wants_flush = false;
	cr_assert_eq(sync_machine_flush(side.machine), 0); /* COMMIT is durable, lines are not */
	cr_assert_eq(side.agreed_count, 0u);
	side_restart(&side, MEMORY_CRASH_LOSE);
	cr_assert_eq(side.agreed_count, 2u);
	cr_assert_eq(sync_machine_next(side.machine), 2u);
	side_connect(&side, 2, 2, &(struct sync_open){.txn = 1, .count = 2, .committed = true}, 1);
	cr_assert_eq(side_last(&side, SYNC_DONE)->txn, 1u);
}
