/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "qkd-linkd/sync-resume.h"

static const struct uuid store = {.bytes = {1}}, other_store = {.bytes = {2}};

static struct sync_resume plain(void)
{
	return (struct sync_resume){
		.store = store, .generation = 2, .next = 100, .next_txn = 10, .key_bits = 256};
}

static void add(struct sync_resume *resume, uint64_t txn, uint32_t count, int64_t first)
{
	resume->open[resume->open_count++] = (struct sync_open){.txn = txn,
								.count = count,
								.committed = first >= 0,
								.first = first < 0 ? 0 : first};
}

static void expect(enum sync_verdict verdict, const struct sync_resume *leader,
		   const struct sync_resume *follower, const char *word)
{
	const char *what = "";

	cr_expect_eq(sync_resume_judge(leader, follower, &what), verdict, "%s: %s", word, what);
	if (verdict != SYNC_RESUME_CONTINUE)
		cr_expect_not_null(strstr(what, word), "%s", what);
}

Test(sync_resume, two_whole_memories_continue)
{
	struct sync_resume leader = plain(), follower = plain();

	expect(SYNC_RESUME_CONTINUE, &leader, &follower, "equal");
	add(&follower, 9, 4, -1); /* prepared, undecided */
	expect(SYNC_RESUME_CONTINUE, &leader, &follower, "prepared");
	leader.next = 108; /* 8 and 9 decided */
	add(&leader, 8, 4, 104);
	add(&leader, 9, 4, 100);
	add(&follower, 8, 4, 104); /* knows of one */
	expect(SYNC_RESUME_CONTINUE, &leader, &follower, "decided");
	follower.open_count = 1;
	follower.open[0] = (struct sync_open){.txn = 8, .count = 4};
	follower.next = 104; /* has applied 9, DONE was lost */
	expect(SYNC_RESUME_CONTINUE, &leader, &follower, "applied");
}

Test(sync_resume, a_side_that_is_new_or_another_pairs_retires_the_generation)
{
	struct sync_resume leader = plain(), follower = plain();

	leader.store = (struct uuid){};
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "leader's store is new");
	leader = plain();
	follower.store = (struct uuid){};
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "follower's store is new");
	follower.store = other_store;
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "not of one pair");
	follower = plain();
	follower.generation++;
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "older generation");
}

Test(sync_resume, a_side_that_is_behind_retires_the_generation)
{
	struct sync_resume leader = plain(), follower = plain();

	follower.next = 101;
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "leader's store is behind");
	follower.next = 99;
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "follower's store is behind");
	follower = plain();
	follower.next_txn = 11;
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "leader's store is behind");
	follower = plain();
	leader.next = 104;
	add(&leader, 9, 4, 100);
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "follower's store is behind");
	add(&follower, 9, 4, -1);
	expect(SYNC_RESUME_CONTINUE, &leader, &follower, "");
	follower.next = 102; /* no transaction ends there */
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "follower's store is behind");
}

/* Out of order: DONE of the second has come, that of the first is lost, the follower's disk, too.
 */
Test(sync_resume, lines_that_are_done_and_gone_retire_the_generation)
{
	struct sync_resume leader = plain(), follower = plain();

	leader.next = 108;
	add(&leader, 8, 4, 100);
	add(&follower, 8, 4, -1);
	add(&follower, 9, 4, -1);
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "follower's store is behind");
}

Test(sync_resume, a_decision_that_the_leader_does_not_remember_retires_the_generation)
{
	struct sync_resume leader = plain(), follower = plain();

	add(&follower, 9, 4, 100);
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "leader's store is behind");
	leader.next = 108;
	add(&leader, 9, 4, 104);
	add(&leader, 8, 4, 100);
	add(&follower, 8, 4, -1);
	expect(SYNC_RESUME_RETIRE, &leader, &follower, "leader's store is behind");
}

Test(sync_resume, different_configurations_are_refused_before_anything_else)
{
	struct sync_resume leader = plain(), follower = plain();

	follower.key_bits = 128;
	follower.store = (struct uuid){};
	expect(SYNC_RESUME_REFUSE, &leader, &follower, "key sizes");
	cr_expect_not(sync_resume_begins(&leader, &follower));
	follower = plain();
	follower.confirm = true;
	expect(SYNC_RESUME_REFUSE, &leader, &follower, "confirm");
}

Test(sync_resume, the_next_generation_is_above_both)
{
	struct sync_resume leader = plain(), follower = plain();
	uint32_t generation;
	struct uuid uuid;

	follower.generation = 7;
	follower.store = other_store;
	sync_resume_next_generation(&leader, &follower, &uuid, &generation);
	cr_expect(uuid_equal(&uuid, &store));
	cr_expect_eq(generation, 8u);
	leader.store = (struct uuid){};
	leader.generation = 9; /* directories of a lost journal are there */
	sync_resume_next_generation(&leader, &follower, &uuid, &generation);
	cr_expect(uuid_equal(&uuid, &other_store));
	cr_expect_eq(generation, 9u);
	leader.generation = follower.generation = 0;
	follower.store = (struct uuid){};
	sync_resume_next_generation(&leader, &follower, &uuid, &generation);
	cr_expect(uuid_is_null(&uuid));
	cr_expect_eq(generation, 0u);
}

Test(sync_resume, a_follower_adopts_only_an_empty_generation_above_its_own)
{
	struct sync_resume leader = plain(), follower = plain();

	leader.next = 0;
	leader.generation = 3;
	cr_expect(sync_resume_begins(&leader, &follower));
	leader.next = 1;
	cr_expect_not(sync_resume_begins(&leader, &follower));
	leader.next = 0;
	leader.generation = 2;
	cr_expect_not(sync_resume_begins(&leader, &follower));
	follower.store = (struct uuid){};
	cr_expect(sync_resume_begins(&leader, &follower));
	follower.generation = 3;
	cr_expect_not(sync_resume_begins(&leader, &follower));
}
