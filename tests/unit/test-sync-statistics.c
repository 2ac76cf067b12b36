/* SPDX-License-Identifier: MIT */
/* What happens to transactions is counted once, where it happens. */

#include <criterion/criterion.h>

#include "tests/unit/support/sync-side.h"

static struct side side;

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

static void teardown(void)
{
	side_done(&side);
}

TestSuite(sync_statistics_leader, .init = lead, .fini = teardown);
TestSuite(sync_statistics_follower, .init = follow, .fini = teardown);

static const struct statistic *get(enum sync_statistic which)
{
	return &sync_machine_statistics(side.machine)[which];
}

static uint64_t total(enum sync_statistic which)
{
	return get(which)->total.integer;
}

static void receive(const struct sync_message *message)
{
	side_receive(&side, message);
	side_flush(&side);
}

/* Up to ACK. */
static uint64_t agree(uint8_t number, size_t count, uint64_t usec)
{
	struct sync_message reply = {.kind = SYNC_SYN_ACK};
	const struct sync_message *syn;

	cr_assert_eq(sync_machine_keys(side.machine, side_keys(number, count)), 0);
	side_flush(&side);
	syn = side_last(&side, SYNC_SYN);
	side.now_usec += usec;
	reply.txn = syn->txn;
	reply.syn_ack.alpha_plus_one = syn->syn.alpha + 1;
	reply.syn_ack.beta = 1000;
	receive(&reply);
	return reply.txn;
}

Test(sync_statistics_leader, agreed_keys_their_transaction_and_its_latency)
{
	uint64_t txn = agree(1, 3, 700);

	receive(&(struct sync_message){.kind = SYNC_DONE, .txn = txn});
	cr_assert_eq(total(SYNC_STATISTIC_KEYS), 3);
	cr_assert_eq(total(SYNC_STATISTIC_TRANSACTIONS), 1);
	cr_assert_eq(get(SYNC_STATISTIC_LATENCY)->count, 1);
	cr_assert_eq(total(SYNC_STATISTIC_LATENCY), 700);
	cr_assert_eq(total(SYNC_STATISTIC_APPEND), 3);
	cr_assert_eq(get(SYNC_STATISTIC_APPEND)->count, 1);
	cr_assert_geq(get(SYNC_STATISTIC_GROUP)->count, 3, "PREPARED, COMMIT, APPLIED");
	cr_assert_eq(get(SYNC_STATISTIC_GROUP)->max.integer, 1);
	cr_assert_eq(total(SYNC_STATISTIC_ABORTED), 0);
}

Test(sync_statistics_leader, transactions_that_share_a_sync_are_one_group)
{
	for (uint8_t i = 1; i <= 4; i++)
		cr_assert_eq(sync_machine_keys(side.machine, side_keys((uint8_t)(16 * i), 2)), 0);
	side_flush(&side);
	cr_assert_eq(get(SYNC_STATISTIC_GROUP)->max.integer, 4);
}

Test(sync_statistics_leader, refusals_and_repetitions)
{
	struct sync_message nak = {.kind = SYNC_NAK, .nak.reason = SYNC_REASON_NO_KEY};

	cr_assert_eq(sync_machine_keys(side.machine, side_keys(1, 1)), 0);
	side_flush(&side);
	nak.txn = side_last(&side, SYNC_SYN)->txn;
	side_wait(&side, SYNC_RETRY_MIN_USEC);
	side_wait(&side, 2 * SYNC_RETRY_MIN_USEC);
	cr_assert_eq(total(SYNC_STATISTIC_REPEATED), 2);
	receive(&nak);
	cr_assert_eq(total(SYNC_STATISTIC_NAKS), 1);
	cr_assert_eq(total(SYNC_STATISTIC_ABORTED), 1);
	cr_assert_eq(total(SYNC_STATISTIC_TRANSACTIONS), 0);
}

Test(sync_statistics_leader, what_cannot_be)
{
	receive(&(struct sync_message){.kind = SYNC_DONE, .txn = 4711});
	cr_assert_eq(total(SYNC_STATISTIC_DISTRUSTED), 1);
	cr_assert_eq(total(SYNC_STATISTIC_DISTRUSTED), side.distrusts);
}

Test(sync_statistics_leader, a_recovered_transaction_has_no_latency)
{
	uint64_t txn = agree(1, 2, 100);

	side_restart(&side, MEMORY_CRASH_PROCESS);
	side_connect(&side, 0, 2, &(struct sync_open){.txn = txn, .count = 2}, 1);
	receive(&(struct sync_message){.kind = SYNC_DONE, .txn = txn});
	cr_assert_eq(total(SYNC_STATISTIC_KEYS), 2);
	cr_assert_eq(get(SYNC_STATISTIC_LATENCY)->count, 0);
}

Test(sync_statistics_follower, a_generation_that_began)
{
	cr_assert_eq(total(SYNC_STATISTIC_GENERATIONS), side.generations);
	cr_assert_gt(side.generations, 0);
}
