/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "qkd-linkd/sync-internal.h"
#include "tests/unit/support/sync-side.h"

static struct side side;

static void teardown(void)
{
	side_done(&side);
}

static void lead(void)
{
	side_init(&side, SYNC_LEADER);
}

static void follow(void)
{
	side_init(&side, SYNC_FOLLOWER);
}

TestSuite(resume_leader, .init = lead, .fini = teardown);
TestSuite(resume_follower, .init = follow, .fini = teardown);

Test(resume_leader, a_new_pair_begins_with_generation_0)
{
	side_connect_fresh(&side);
	cr_assert_eq(side.generations, 1u);
	cr_assert_str_eq(sync_machine_directory(side.machine), "bob");
	cr_assert_eq(side.connects, 1u);
	cr_assert_eq(side.wake_usec, UINT64_MAX);
}

Test(resume_leader, asks_again_and_ends_a_connection_that_says_nothing)
{
	cr_assert_eq(sync_machine_connect(side.machine), 0);
	cr_assert_eq(side.sent_count, 1u);
	side_wait(&side, SYNC_RETRY_MIN_USEC);
	cr_assert_eq(side.sent_count, 2u);
	cr_assert_eq(side.sent[1].resume.session, side.sent[0].resume.session);
	side_wait(&side, SYNC_RESUME_LIMIT_USEC);
	cr_assert_eq(side.disconnects, 1u);
	cr_assert_eq(side.wake_usec, UINT64_MAX);
}

Test(resume_leader, an_answer_to_an_older_question_is_no_answer)
{
	struct sync_message resume = {.kind = SYNC_RESUME};

	cr_assert_eq(sync_machine_connect(side.machine), 0);
	resume.resume = side_last(&side, SYNC_RESUME)->resume;
	resume.resume.session++;
	side_receive(&side, &resume);
	cr_assert_eq(side.generations, 0u);
	cr_assert_not(sync_machine_is_connected(side.machine));
}

Test(resume_leader, a_follower_that_is_behind_retires_the_generation_and_open_keys_are_dropped)
{
	uint8_t key[SIDE_KEY_BYTES];

	side_connect_fresh(&side);
	cr_assert_eq(sync_machine_keys(side.machine, side_keys(1, 2)), 0);
	side_flush(&side);
	sync_machine_disconnected(side.machine);
	side_connect(&side, 7, 2, NULL, 0);
	cr_assert_eq(side.generations, 2u);
	cr_assert_eq(side.dropped, 2u);
	cr_assert_eq(sync_machine_open(side.machine), 0u);
	cr_assert_str_eq(sync_machine_directory(side.machine), "bob~1");
	cr_assert_eq(side_last(&side, SYNC_RESUME)->resume.generation, 1u);
	memset(key, 1, sizeof(key));
	cr_assert_not(memory_storage_holds(side.memory, key, sizeof(key)));
}

Test(resume_leader, a_generation_that_was_begun_survives_a_crash_before_anybody_heard_of_it)
{
	side_connect_fresh(&side);
	sync_machine_disconnected(side.machine);
	side_connect(&side, 7, 2, NULL, 0);
	side_restart(&side, MEMORY_CRASH_LOSE);
	cr_assert_str_eq(sync_machine_directory(side.machine), "bob~1");
	cr_assert_eq(sync_machine_connect(side.machine), 0);
	cr_assert_eq(side_last(&side, SYNC_RESUME)->resume.generation, 1u);
}

Test(resume_leader, another_key_size_is_a_new_generation)
{
	side_connect_fresh(&side);
	side.settings.key_bits = 128;
	side_restart(&side, MEMORY_CRASH_PROCESS);
	side_connect_fresh(&side);
	cr_assert_str_eq(sync_machine_directory(side.machine), "bob~1");
}

Test(resume_leader, a_differently_configured_peer_is_refused)
{
	struct sync_message resume = {.kind = SYNC_RESUME};

	cr_assert_eq(sync_machine_connect(side.machine), 0);
	resume.resume = side_last(&side, SYNC_RESUME)->resume;
	resume.resume.key_bits = 128;
	side_receive(&side, &resume);
	cr_assert_eq(side.refusals, 1u);
	cr_assert_eq(side.disconnects, 1u);
	cr_assert_eq(side.generations, 0u);
}

Test(resume_leader, other_messages_before_resume_change_nothing)
{
	cr_assert_eq(sync_machine_connect(side.machine), 0);
	side_receive(&side, &(struct sync_message){.kind = SYNC_DONE, .txn = 1});
	cr_assert_eq(side.distrusts, 0u);
	cr_assert_eq(sync_machine_room(side.machine), 0u);
}

Test(resume_leader, a_lost_journal_does_not_write_over_old_directories)
{
	side_connect_fresh(&side);
	side.machine = sync_machine_free(side.machine);
	cr_assert_eq(side.disk->ops->remove(side.disk, "journal"), 0);
	side_restart(&side, MEMORY_CRASH_PROCESS);
	side_connect_fresh(&side);
	cr_assert_str_eq(sync_machine_directory(side.machine), "bob~1");
}

Test(resume_follower, adopts_what_the_leader_begins)
{
	side_connect_fresh(&side);
	cr_assert_eq(side.generations, 1u);
	cr_assert_str_eq(sync_machine_directory(side.machine), "alice");
}

Test(resume_follower, answers_with_its_own_memory_when_the_leader_is_behind_and_waits)
{
	struct sync_message resume = {.kind = SYNC_RESUME};

	side_connect_fresh(&side);
	sync_machine_disconnected(side.machine);
	cr_assert_eq(sync_machine_connect(side.machine), 0);
	resume.resume = (struct sync_resume){.session = 5, .next_txn = 1, .key_bits = 64};
	side_receive(&side, &resume);
	cr_assert_eq(side_last(&side, SYNC_RESUME)->resume.session, 5u);
	cr_assert_not(uuid_is_null(&side.sent[0].resume.store));
	cr_assert_not(sync_machine_is_connected(side.machine));
	cr_assert_eq(side.generations, 1u);
	side_wait(&side, SYNC_RESUME_LIMIT_USEC);
	cr_assert_eq(side.disconnects, 1u);
}

Test(resume_follower, a_repeated_resume_is_answered_and_changes_nothing)
{
	side_connect_fresh(&side);
	sync_machine_disconnected(side.machine);
	side_connect(&side, 0, 1, NULL, 0);
	cr_assert_eq(side.connects, 2u);
	side_receive(&side, &side.sent[0]);
	cr_assert_eq(side.sent_count, 2u);
	cr_assert_eq(side.connects, 2u);
	cr_assert(sync_machine_is_connected(side.machine));
}
