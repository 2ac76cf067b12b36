/* SPDX-License-Identifier: MIT */

/* The issue record's file: what is replayed, who waits for the disk, what a crash leaves. */

#include <criterion/criterion.h>

#include "qkd-keyringd/issue-log.h"
#include "tests/unit/support/memory-storage.h"

static struct memory_storage *memory;
static unsigned retired, keys, labels, lists, lists_done, aheads;
static uint64_t last_sequence;
static struct uuid boot;

static int on_ahead(const struct issue_record_ahead *ahead, void *userdata)
{
	aheads++;
	return 0;
}

static int on_key(const struct issue_key *key, void *userdata)
{
	keys++;
	last_sequence = key->key.sequence;
	return 0;
}

static int on_label(const struct issue_label *label, void *userdata)
{
	labels++;
	return 0;
}

static int on_retire(const struct issue_record_retire *retire, void *userdata)
{
	cr_assert_eq(retire->generation, 7);
	retired++;
	return 0;
}

static int on_list(const struct issue_list *list, void *userdata)
{
	lists++;
	return 0;
}

static int on_list_done(const struct uuid *request, void *userdata)
{
	lists_done++;
	return 0;
}

static unsigned peers;

static int on_peer(const struct issue_peer *peer, void *userdata)
{
	peers++;
	return 0;
}

static const struct issue_log_handler handler = {
	.on_peer = on_peer,
	.on_ahead = on_ahead,
	.on_key = on_key,
	.on_retire = on_retire,
	.on_label = on_label,
	.on_list = on_list,
	.on_list_done = on_list_done,
};

static void setup(void)
{
	cr_assert_eq(memory_storage_new(&memory), 0);
}

static void teardown(void)
{
	memory_storage_free(memory);
}

TestSuite(issue_log, .init = setup, .fini = teardown);

static struct issue_log *open_log(void)
{
	struct issue_log *log;

	retired = keys = labels = lists = lists_done = aheads = 0;
	cr_assert_eq(issue_log_open(memory_storage_storage(memory), &boot, &handler, NULL, &log),
		     0);
	return log;
}

static void append_key(struct issue_log *log, uint64_t sequence)
{
	struct issue_key key = {
		.key = {.sequence = sequence, .state = ISSUE_KEY_RESERVED, .store = {{1}}}};

	cr_assert_eq(issue_log_key(log, &key), 0);
}

Test(issue_log, replays_every_kind_of_entry)
{
	struct issue_log *log = open_log();
	struct issue_list list = {.kind = ISSUE_LIST_TELL, .peer = "bob", .count = 1};
	struct issue_label label = {.peer = "bob", .label = "vpn"};
	struct issue_record_ahead ahead = {.below = 10};
	struct issue_peer peer = {.peer = "bob", .position = 5};
	struct issue_record_retire retire = {.generation = 7};

	append_key(log, 4);
	cr_assert_eq(issue_log_label(log, &label), 0);
	cr_assert_eq(issue_log_list(log, &list), 0);
	cr_assert_eq(issue_log_list_done(log, &list.request), 0);
	cr_assert_eq(issue_log_ahead(log, &ahead), 0);
	cr_assert_eq(issue_log_retire(log, &retire), 0);
	cr_assert_eq(issue_log_peer(log, &peer), 0);
	cr_assert_eq(issue_log_sync(log), 0);
	issue_log_free(log);
	log = open_log();
	cr_assert_eq(keys, 1);
	cr_assert_eq(labels, 1);
	cr_assert_eq(lists, 1);
	cr_assert_eq(lists_done, 1);
	cr_assert_eq(aheads, 1);
	cr_assert_eq(peers, 1);
	cr_assert_eq(issue_log_position_at_open(log), 8);
	cr_assert_eq(retired, 1);
	cr_assert_eq(last_sequence, 4);
	issue_log_free(log);
}

static bool is_complete_after_reopening(struct issue_log **log, bool power_cut)
{
	issue_log_free(*log);
	boot.bytes[0] += power_cut;
	*log = open_log();
	return issue_log_is_complete(*log);
}

Test(issue_log, is_complete_unless_a_power_cut_came_before_its_end)
{
	struct issue_log *log = open_log();

	cr_assert(is_complete_after_reopening(&log, false), "kill -9");
	cr_assert_not(is_complete_after_reopening(&log, true), "power cut");
	cr_assert_not(is_complete_after_reopening(&log, false),
		      "and kill -9 before it was settled");
	cr_assert_eq(issue_log_settled(log), 0);
	cr_assert_not(issue_log_is_complete(log));
	cr_assert(is_complete_after_reopening(&log, false), "and kill -9 afterwards");
	cr_assert_eq(issue_log_start(log)->starts, 5);
	cr_assert_eq(issue_log_clean(log), 0);
	cr_assert_eq(issue_log_sync(log), 0);
	cr_assert(is_complete_after_reopening(&log, true), "an orderly end");
	cr_assert_not(is_complete_after_reopening(&log, true), "opened, and not closed");
	issue_log_free(log);
}

Test(issue_log, keeps_its_identity_over_a_power_cut_at_once)
{
	struct issue_log *log = open_log();
	struct uuid identity = issue_log_start(log)->log;

	issue_log_free(log);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	log = open_log();
	cr_assert(uuid_equal(&issue_log_start(log)->log, &identity));
	issue_log_free(log);
}

static unsigned released;

static void synced(struct issue_log_waiter *waiter)
{
	released++;
}

Test(issue_log, releases_who_waits_after_the_sync_and_not_after_the_write)
{
	struct issue_log *log = open_log();
	struct issue_log_waiter waiter;

	append_key(log, 1);
	issue_log_waiter_init(&waiter, synced);
	issue_log_wait(log, &waiter);
	cr_assert_eq(issue_log_write(log), 0);
	cr_assert_eq(released, 0);
	cr_assert(issue_log_has_waiters(log));
	cr_assert_eq(issue_log_sync(log), 0);
	cr_assert_eq(released, 1);
	cr_assert_not(issue_log_has_waiters(log));
	issue_log_free(log);
}

Test(issue_log, releases_nobody_when_the_sync_fails)
{
	struct issue_log *log = open_log();
	struct issue_log_waiter waiter;

	append_key(log, 1);
	issue_log_waiter_init(&waiter, synced);
	issue_log_wait(log, &waiter);
	memory_storage_fail_syncs(memory, true);
	cr_assert_lt(issue_log_sync(log), 0);
	cr_assert_eq(released, 0);
	issue_log_free(log);
}

Test(issue_log, survives_kill_9_with_what_was_written)
{
	struct issue_log *log = open_log();

	append_key(log, 1);
	cr_assert_eq(issue_log_write(log), 0);
	append_key(log, 2);
	issue_log_free(log);
	memory_storage_crash(memory, MEMORY_CRASH_PROCESS, NULL, NULL);
	log = open_log();
	cr_assert_eq(keys, 1);
	cr_assert_eq(last_sequence, 1);
	issue_log_free(log);
}

static int keep_one(struct issue_log *log, void *userdata)
{
	append_key(log, 77);
	return 0;
}

Test(issue_log, is_replaced_by_its_snapshot_and_keeps_its_identity)
{
	struct issue_log *log = open_log();
	struct uuid identity = issue_log_start(log)->log;
	uint64_t position;

	while (!issue_log_is_overgrown(log)) {
		for (uint64_t i = 0; i < 1000; i++)
			append_key(log, i);
		cr_assert_eq(issue_log_sync(log), 0);
	}
	position = issue_log_position(log);
	cr_assert_eq(issue_log_rewrite(log, keep_one, NULL), 0);
	cr_assert_not(issue_log_is_overgrown(log));
	append_key(log, 78);
	cr_assert_eq(issue_log_sync(log), 0);
	issue_log_free(log);
	log = open_log();
	cr_assert_eq(keys, 2);
	cr_assert_eq(last_sequence, 78);
	cr_assert_geq(issue_log_position_at_open(log), position);
	cr_assert(uuid_equal(&issue_log_start(log)->log, &identity));
	issue_log_free(log);
}
