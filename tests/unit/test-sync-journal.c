/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "qkd-linkd/sync-journal.h"
#include "tests/unit/support/memory-storage.h"

#define KEY_BYTES 32

static struct memory_storage *memory;
static struct storage *disk;
static struct sync_journal *journal;
static struct sync_recovered recovered;
static const struct sync_store store = {.uuid = {.bytes = {7}},
					.generation = 2,
					.key_bits = 8 * KEY_BYTES,
					.directory = "bob~2",
					.next = 100,
					.decided = 100,
					.next_txn = 5};

static void open_journal(void)
{
	journal = sync_journal_free(journal);
	sync_recovered_done(&recovered);
	cr_assert_eq(sync_journal_open(disk, "journal", &recovered, &journal), 0);
}

/* Nothing more reaches the disk, not even what freeing would write. */
static void power_cut(void)
{
	memory_storage_power_off_at(memory, 0);
	(void)disk->ops->sync_directory(disk, ".");
	journal = sync_journal_free(journal);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	open_journal();
}

static void setup(void)
{
	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
	recovered = (struct sync_recovered){};
	open_journal();
	cr_assert_eq(sync_journal_store(journal, &store), 0);
}

static void teardown(void)
{
	journal = sync_journal_free(journal);
	sync_recovered_done(&recovered);
	memory_storage_free(memory);
}

TestSuite(sync_journal, .init = setup, .fini = teardown);

static struct sync_txn *make(uint64_t number, uint32_t count)
{
	struct sync_txn *txn;

	cr_assert_eq(sync_txn_new(number, &txn), 0);
	cr_assert_eq(key_batch_new(count, KEY_BYTES, &txn->keys), 0);
	txn->count = txn->lines = count;
	txn->alpha = number * 3;
	txn->beta = number * 5;
	for (size_t i = 0; i < count; i++)
		txn->keys->ids[i].bytes[0] = (uint8_t)(number + i);
	memset(txn->keys->keys->bytes, (int)(0xa0 + number), count * KEY_BYTES);
	cr_assert_eq(sync_journal_prepared(journal, txn), 0);
	txn->state = SYNC_PREPARED;
	return txn;
}

static void commit(struct sync_txn *txn, uint64_t first)
{
	txn->first = first;
	txn->state = SYNC_COMMITTED;
	cr_assert_eq(sync_journal_commit(journal, txn), 0);
}

static bool disk_has_key(uint64_t number)
{
	uint8_t key[KEY_BYTES];

	memset(key, (int)(0xa0 + number), sizeof(key));
	return memory_storage_holds(memory, key, sizeof(key));
}

Test(sync_journal, what_is_open_comes_back_with_its_keys)
{
	_cleanup_(sync_txn_freep) struct sync_txn *prepared = make(5, 3), *decided = make(6, 2);
	const struct sync_txn *back;

	commit(decided, 100);
	cr_assert(sync_journal_is_dirty(journal));
	cr_assert_eq(sync_journal_sync(journal), 0);
	power_cut();

	cr_assert_eq(recovered.count, 2u);
	cr_assert_eq(recovered.store.next, 100u);
	cr_assert_eq(recovered.store.decided, 102u);
	cr_assert_eq(recovered.store.next_txn, 7u);
	cr_assert_str_eq(recovered.store.directory, "bob~2");
	back = recovered.txns[0];
	cr_assert_eq(back->state, SYNC_PREPARED);
	cr_assert(back->is_recovered);
	cr_assert_eq(back->alpha, 15u);
	cr_assert_eq(back->beta, 25u);
	cr_assert_arr_eq(back->keys->ids, prepared->keys->ids, 3 * sizeof(struct uuid));
	cr_assert_arr_eq(back->keys->keys->bytes, prepared->keys->keys->bytes, 3 * KEY_BYTES);
	back = recovered.txns[1];
	cr_assert_eq(back->state, SYNC_COMMITTED);
	cr_assert_eq(back->first, 100u);
}

Test(sync_journal, fewer_keys_than_the_batch_has_room_for_come_back_as_they_are)
{
	static const uint32_t counts[] = {1, 2, 5};

	for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
		_cleanup_(sync_txn_freep) struct sync_txn *txn = NULL;
		const struct key_batch *back;

		cr_assert_eq(sync_txn_new(5 + i, &txn), 0);
		cr_assert_eq(key_batch_new(64, KEY_BYTES, &txn->keys), 0);
		txn->count = txn->lines = counts[i];
		txn->keys->count = counts[i];
		memset(txn->keys->keys->bytes, (int)(0xa0 + i), 64 * KEY_BYTES);
		cr_assert_eq(sync_journal_prepared(journal, txn), 0);
		cr_assert_eq(sync_journal_sync(journal), 0);
		power_cut();

		back = recovered.txns[i]->keys;
		cr_assert_eq(back->count, counts[i]);
		cr_assert_eq(back->key_bytes, (size_t)KEY_BYTES);
		cr_assert_arr_eq(back->keys->bytes, txn->keys->keys->bytes, counts[i] * KEY_BYTES);
	}
}

Test(sync_journal, what_was_not_synced_may_be_gone)
{
	_cleanup_(sync_txn_freep) struct sync_txn *txn = NULL;

	cr_assert_eq(sync_journal_sync(journal), 0);
	txn = make(5, 1);
	power_cut();
	cr_assert_eq(recovered.count, 0u);
	cr_assert_eq(recovered.store.next_txn, 5u);
}

Test(sync_journal, keys_are_overwritten_at_abort_and_at_applied)
{
	_cleanup_(sync_txn_freep) struct sync_txn *aborted = make(5, 1), *applied = make(6, 1);

	cr_assert_eq(sync_journal_sync(journal), 0);
	cr_assert(disk_has_key(5) && disk_has_key(6));
	cr_assert_eq(sync_journal_abort(journal, aborted), 0);
	commit(applied, 100);
	cr_assert_eq(sync_journal_applied(journal, applied, 101, true), 0);
	cr_assert_eq(sync_journal_sync(journal), 0);
	cr_assert_not(disk_has_key(5) || disk_has_key(6));
	open_journal();
	cr_assert_eq(recovered.count, 0u);
	cr_assert_eq(recovered.store.next, 101u);
}

Test(sync_journal, overwriting_that_a_crash_has_lost_is_done_again)
{
	_cleanup_(sync_txn_freep) struct sync_txn *txn = make(5, 1);

	cr_assert_eq(sync_journal_sync(journal), 0);
	cr_assert_eq(sync_journal_abort(journal, txn), 0);
	cr_assert_eq(sync_journal_sync(journal), 0);
	power_cut();
	cr_assert(disk_has_key(5));
	cr_assert_eq(recovered.count, 0u);
	cr_assert_eq(sync_journal_sync(journal), 0);
	cr_assert_not(disk_has_key(5));
}

Test(sync_journal, the_leader_remembers_what_is_applied_until_done)
{
	_cleanup_(sync_txn_freep) struct sync_txn *txn = make(5, 2);

	commit(txn, 100);
	cr_assert_eq(sync_journal_applied(journal, txn, 102, false), 0);
	cr_assert_eq(sync_journal_sync(journal), 0);
	open_journal();
	cr_assert_eq(recovered.count, 1u);
	cr_assert_eq(recovered.txns[0]->state, SYNC_APPLIED);
	cr_assert_null(recovered.txns[0]->keys);
	cr_assert_eq(recovered.txns[0]->lines, 2u);
	cr_assert_eq(sync_journal_done(journal, recovered.txns[0]), 0);
	cr_assert_eq(sync_journal_sync(journal), 0);
	open_journal();
	cr_assert_eq(recovered.count, 0u);
}

Test(sync_journal, compaction_keeps_everything_that_is_open_and_no_other_key)
{
	struct sync_txn *txns[3] = {make(5, 1), make(6, 2), make(7, 3)};
	struct sync_store now = store;

	commit(txns[0], 100);
	cr_assert_eq(sync_journal_applied(journal, txns[0], 101, false), 0);
	txns[0]->state = SYNC_APPLIED;
	txns[0]->keys = key_batch_free(txns[0]->keys);
	commit(txns[1], 101);
	cr_assert_eq(sync_journal_sync(journal), 0);
	now.next = 101;
	now.decided = 103;
	now.next_txn = 8;
	cr_assert_eq(sync_journal_compact(journal, &now, txns, 3), 0);
	power_cut();

	cr_assert_eq(recovered.count, 3u);
	cr_assert_eq(recovered.txns[0]->state, SYNC_APPLIED);
	cr_assert_eq(recovered.txns[1]->state, SYNC_COMMITTED);
	cr_assert_eq(recovered.txns[1]->keys->count, 2u);
	cr_assert_eq(recovered.txns[2]->state, SYNC_PREPARED);
	cr_assert_eq(recovered.store.decided, 103u);
	cr_assert_eq(recovered.store.next_txn, 8u);
	cr_assert_not(disk_has_key(5));
	for (size_t i = 0; i < 3; i++)
		sync_txn_free(txns[i]);
}

Test(sync_journal, a_compaction_without_room_leaves_the_journal_in_use)
{
	_cleanup_(sync_txn_freep) struct sync_txn *txn = make(5, 1);
	struct wal_place place = txn->place;

	cr_assert_eq(sync_journal_sync(journal), 0);
	memory_storage_fail_at(memory, 1, -ENOSPC);
	cr_assert_eq(sync_journal_compact(journal, &store, &txn, 1), -ENOSPC);
	cr_assert_eq(txn->place.secret_offset, place.secret_offset);
	cr_assert_eq(sync_journal_abort(journal, txn), 0);
	cr_assert_eq(sync_journal_sync(journal), 0);
	cr_assert_not(disk_has_key(5));
}

Test(sync_journal, a_new_store_ends_what_was_open)
{
	_cleanup_(sync_txn_freep) struct sync_txn *txn = make(5, 1);
	struct sync_store next = store;

	next.generation = 3;
	next.next = 0;
	cr_assert_eq(sync_journal_store(journal, &next), 0);
	cr_assert_eq(sync_journal_sync(journal), 0);
	open_journal();
	cr_assert_eq(recovered.count, 0u);
	cr_assert_eq(recovered.store.generation, 3u);
	cr_assert_eq(sync_journal_sync(journal), 0);
	cr_assert_not(disk_has_key(5));
}

static int append_raw(uint8_t type, const void *bytes, size_t size)
{
	struct wal_record record = {.type = type, .public_bytes = bytes, .public_size = size};
	_cleanup_(sync_journal_freep) struct sync_journal *other = NULL;
	struct sync_recovered ignored = {};
	struct wal *wal;
	int r;

	memory_storage_reset(memory);
	cr_assert_eq(wal_open(disk, "journal", SYNC_JOURNAL_KIND, NULL, NULL, &wal), 0);
	cr_assert_eq(wal_append(wal, &record, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	wal_free(wal);
	r = sync_journal_open(disk, "journal", &ignored, &other);
	sync_recovered_done(&ignored);
	return r;
}

Test(sync_journal, records_that_contradict_the_journal_are_not_taken)
{
	static const uint8_t zero[64], one[24] = {1};

	journal = sync_journal_free(journal);
	cr_expect_eq(append_raw(3, one, 24), -EBADMSG);  /* COMMIT of nothing */
	cr_expect_eq(append_raw(4, one, 8), -EBADMSG);   /* ABORT of nothing */
	cr_expect_eq(append_raw(5, one, 17), -EBADMSG);  /* APPLIED of nothing */
	cr_expect_eq(append_raw(6, one, 8), -EBADMSG);   /* DONE of nothing */
	cr_expect_eq(append_raw(2, zero, 32), -EBADMSG); /* PREPARED without keys */
	cr_expect_eq(append_raw(1, zero, 20), -EBADMSG); /* STORE too short */
	cr_expect_eq(append_raw(9, zero, 8), -EBADMSG);  /* no such record */
}

Test(sync_journal, a_failed_sync_is_final)
{
	_cleanup_(sync_txn_freep) struct sync_txn *txn = make(5, 1);

	memory_storage_fail_syncs(memory, true);
	cr_assert_lt(sync_journal_sync(journal), 0);
	memory_storage_fail_syncs(memory, false);
	cr_assert_lt(sync_journal_sync(journal), 0);
	cr_assert_lt(sync_journal_abort(journal, txn), 0);
}
