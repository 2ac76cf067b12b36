/* SPDX-License-Identifier: MIT */
/* The record file: replay, torn tails at every byte, damage, wiping, rewriting, full disks. */

#include "tests/unit/support/wal-records.h"

TestSuite(wal, .init = set_up, .fini = tear_down);

Test(wal, what_was_appended_is_replayed_in_order_with_its_secrets)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct wal_place place;
	struct seen seen;

	wal = reopen(&seen);
	assert_seen(&seen, 0, 0);
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(append(wal, i, &place), 0);
	cr_assert(wal_is_dirty(wal));
	cr_assert_eq(wal_sync(wal), 0);
	cr_assert_not(wal_is_dirty(wal));
	wal = wal_free(wal);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	wal = reopen(&seen);
	assert_seen(&seen, 0, 10);
	cr_assert_eq(seen.places[9].secret_offset, place.secret_offset);
	cr_assert_eq(seen.places[9].secret_size, place.secret_size);
	for (size_t i = 0; i < 10; i++)
		cr_assert_eq(seen.has_secret[i], secret_size((unsigned)i) > 0);
	cr_assert_eq(wal_torn_bytes(wal), 0);
}

Test(wal, a_group_costs_one_sync_and_nothing_to_do_costs_nothing)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen;
	uint64_t before;

	wal = reopen(&seen);
	before = memory_storage_syncs(memory);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(append(wal, i, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	cr_assert_eq(memory_storage_syncs(memory), before + 1);
	before = memory_storage_operations(memory);
	cr_assert_eq(wal_sync(wal), 0);
	cr_assert_eq(wal_write(wal), 0);
	cr_assert_eq(memory_storage_operations(memory), before);
}

Test(wal, what_was_written_survives_a_kill_and_not_a_power_cut)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen;

	wal = reopen(&seen);
	cr_assert_eq(append(wal, 0, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	cr_assert_eq(append(wal, 1, NULL), 0);
	cr_assert_eq(wal_write(wal), 0);
	cr_assert(wal_is_dirty(wal));
	cr_assert_eq(append(wal, 2, NULL), 0);
	memory_storage_power_off_at(memory, 0); /* as wal_free() would sync */
	cr_assert_eq(disk->ops->make_directory(disk, "x"), -EIO);
	wal = wal_free(wal);
	memory_storage_crash(memory, MEMORY_CRASH_PROCESS, NULL, NULL);
	wal = reopen(&seen);
	assert_seen(&seen, 0, 2);
	wal = wal_free(wal);
	/* Opening has made it durable: the caller acts on what it was shown. */
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	wal = reopen(&seen);
	assert_seen(&seen, 0, 2);
}

Test(wal, the_callers_error_ends_the_replay)
{
	struct seen seen = {.answer_at = 2, .answer = -ENOMSG};
	struct wal *wal = NULL;

	make_file(4);
	cr_assert_eq(wal_open(disk, "w", KIND, see, &seen, &wal), -ENOMSG);
	cr_assert_eq(seen.count, 2);
	cr_assert_null(wal);
}

Test(wal, another_kind_is_refused)
{
	struct wal *wal = NULL;

	make_file(1);
	cr_assert_eq(wal_open(disk, "w", "ELSE", NULL, NULL, &wal), -EMEDIUMTYPE);
	cr_assert_eq(wal_read(disk, "w", "ELSE", NULL, NULL), -EMEDIUMTYPE);
}

Test(wal, limits_are_kept)
{
	static uint8_t big[WAL_RECORD_MAX_BYTES];
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct wal_record record = {.type = 1, .public_bytes = big, .public_size = sizeof(big)};
	struct seen seen;
	char name[300];

	wal = reopen(&seen);
	cr_assert_eq(wal_append(wal, &record, NULL), -E2BIG);
	record.public_size = SIZE_MAX;
	cr_assert_eq(wal_append(wal, &record, NULL), -E2BIG);
	record.public_size = WAL_RECORD_MAX_BYTES - WAL_RECORD_HEADER_BYTES;
	record.secret_bytes = big;
	record.secret_size = 1;
	cr_assert_eq(wal_append(wal, &record, NULL), -E2BIG);
	record.secret_size = 0;
	cr_assert_eq(wal_append(wal, &record, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	memset(name, 'n', sizeof(name));
	name[299] = '\0';
	cr_assert_eq(wal_open(disk, name, KIND, NULL, NULL, &wal), -ENAMETOOLONG);
}

static size_t record_sizes(unsigned count, size_t *ret_starts)
{
	size_t at = WAL_HEADER_BYTES;

	for (unsigned i = 0; i < count; i++) {
		ret_starts[i] = at;
		at += wal_secret_at(sizeof(unsigned)) + wal_secret_extent(secret_size(i));
	}
	return at;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* Writes one group of four records and leaves of the file what comes before cut: the rest is zeros
 * that had been written ahead, or not there. Answers how many records are whole all the same. */
static unsigned make_torn_file(size_t cut, bool is_short)
{
	size_t ends[5], size;
	unsigned whole = 0;
	struct seen seen;
	struct wal *wal = reopen(&seen);
	uint8_t *bytes;
	int file;

	record_sizes(5, ends);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(append(wal, i, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	wal_free(wal);
	bytes = memory_storage_content(memory, "w", &size);
	while (whole < 4 && (ends[whole + 1] <= cut ||
			     (!is_short && is_zero(bytes + cut, ends[whole + 1] - cut))))
		whole++;
	memset(bytes + cut, 0, size - cut);
	if (is_short) {
		file = disk->ops->open(disk, "w", STORAGE_WRITE);
		cr_assert_eq(disk->ops->truncate(disk, file, cut), 0);
		disk->ops->close(disk, file);
	}
	return whole;
}

Test(wal, a_tail_torn_at_any_byte_is_cut_off_and_told)
{
	size_t starts[5], size, end = record_sizes(4, starts);

	starts[4] = end;
	for (size_t cut = WAL_HEADER_BYTES; cut <= 2 * end + 1; cut++) {
		_cleanup_(wal_freep) struct wal *wal = NULL;
		bool is_short = cut > end;
		size_t at = is_short ? cut - end : cut;
		unsigned whole;
		struct seen seen;

		if (at < WAL_HEADER_BYTES || at > end)
			continue;
		memory_storage_reset(memory);
		whole = make_torn_file(at, is_short);
		wal = reopen(&seen);
		assert_seen(&seen, 0, whole);
		if (at > starts[whole] + 8)
			cr_assert_gt(wal_torn_bytes(wal), 0);
		else if (at == starts[whole])
			cr_assert_eq(wal_torn_bytes(wal), 0);
		cr_assert_eq(append(wal, whole, NULL), 0);
		cr_assert_eq(wal_sync(wal), 0);
		wal = wal_free(wal);
		wal = reopen(&seen);
		assert_seen(&seen, 0, whole + 1);
		cr_assert_eq(wal_torn_bytes(wal), 0);
	}
	cr_assert_not_null(memory_storage_content(memory, "w", &size));
}

Test(wal, damage_before_the_last_group_is_never_skipped)
{
	size_t starts[6], size;

	record_sizes(6, starts);
	for (size_t at = 0; at < starts[5]; at++) {
		struct wal *wal = NULL;
		struct seen seen = {0};
		uint8_t *bytes;
		bool is_padding;

		memory_storage_reset(memory);
		make_file(6);
		bytes = memory_storage_content(memory, "w", &size);
		bytes[at] ^= 0x10;
		/* Padding and the header's unused bytes say nothing. */
		is_padding = at >= 16 && at < WAL_HEADER_BYTES;
		for (unsigned i = 0; i < 5; i++) {
			size_t public_end = starts[i] + WAL_RECORD_HEADER_BYTES + 4;
			size_t secret_end = starts[i] + wal_secret_at(4) + secret_size(i) + 4;

			is_padding |= at >= public_end && at < public_end + 4;
			is_padding |= at >= secret_end && at < starts[i + 1];
		}
		cr_assert_eq(wal_open(disk, "w", KIND, see, &seen, &wal), is_padding ? 0 : -EBADMSG,
			     "at %zu", at);
		wal_free(wal);
	}
}

Test(wal, wiped_secrets_are_gone_and_their_records_stay)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct wal_place place[3];
	uint8_t secret[1200];
	struct seen seen;

	wal = reopen(&seen);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(append(wal, i, &place[i]), 0);
	cr_assert_eq(wal_sync(wal), 0);
	make_secret(1, secret);
	cr_assert(memory_storage_holds(memory, secret, 16));
	cr_assert_eq(append(wal, 3, NULL), 0);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(wal_wipe(wal, &place[i]), 0);
	cr_assert(wal_is_dirty(wal));
	cr_assert_eq(wal_sync(wal), 0);
	cr_assert_not(wal_is_dirty(wal));
	cr_assert_not(memory_storage_holds(memory, secret, 16));
	make_secret(2, secret);
	cr_assert_not(memory_storage_holds(memory, secret, 16));
	wal = wal_free(wal); /* makes the wipes durable */
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	wal = reopen(&seen);
	assert_seen(&seen, 0, 4);
	for (size_t i = 0; i < 3; i++)
		cr_assert_not(seen.has_secret[i]);
}

Test(wal, a_wipe_is_not_written_before_its_reason_is_on_disk)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct wal_place place;
	uint8_t secret[1200];
	struct seen seen;

	make_secret(1, secret);
	wal = reopen(&seen);
	cr_assert_eq(append(wal, 1, &place), 0);
	cr_assert_eq(wal_sync(wal), 0);
	cr_assert_eq(append(wal, 3, NULL), 0);
	cr_assert_eq(wal_wipe(wal, &place), 0);
	cr_assert_eq(wal_write(wal), 0);
	cr_assert(memory_storage_holds(memory, secret, 32));
	memory_storage_fail_syncs(memory, true);
	cr_assert_eq(wal_sync(wal), -EIO);
	cr_assert(memory_storage_holds(memory, secret, 32));
}

Test(wal, padding_is_zero_whatever_was_written_before)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	const struct wal_record record = {.type = 1, .public_bytes = "x", .public_size = 1};
	static const uint8_t zeros[WAL_RECORD_ALIGN - 1];
	const uint8_t *bytes;
	struct seen seen;
	size_t size, at;

	wal = reopen(&seen);
	cr_assert_eq(append(wal, 2, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	at = (size_t)wal_size_bytes(wal);
	cr_assert_eq(wal_append(wal, &record, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	bytes = memory_storage_content(memory, "w", &size);
	cr_assert_arr_eq(bytes + at + WAL_RECORD_HEADER_BYTES + 1, zeros, sizeof(zeros));
}

Test(wal, a_failed_sync_is_final)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct wal_place place = {0, 1};
	struct seen seen;

	wal = reopen(&seen);
	cr_assert_eq(append(wal, 0, NULL), 0);
	memory_storage_fail_at(memory, 2, -EIO); /* zeros, group, sync */
	cr_assert_eq(wal_sync(wal), -EIO);
	cr_assert_eq(wal_sync(wal), -EIO);
	cr_assert_eq(wal_write(wal), -EIO);
	cr_assert_eq(append(wal, 1, NULL), -EIO);
	cr_assert_eq(wal_wipe(wal, &place), -EIO);
	cr_assert_eq(wal_rewrite(wal, NULL, NULL), -EIO);
}

Test(wal, a_full_disk_is_told_before_anything_is_written_and_can_be_tried_again)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen;
	unsigned count = 0;

	memory_storage_set_capacity(memory, 20000);
	wal = reopen(&seen);
	while (append(wal, count, NULL) == 0 && wal_sync(wal) == 0)
		cr_assert_lt(++count, 1000);
	cr_assert_eq(wal_sync(wal), -ENOSPC);
	memory_storage_set_capacity(memory, 100000);
	cr_assert_eq(wal_sync(wal), 0);
	wal = wal_free(wal);
	wal = reopen(&seen);
	assert_seen(&seen, 0, count + 1);
}

Test(wal, a_reader_sees_whole_records_and_no_unfinished_tail)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen = {0};

	cr_assert_eq(wal_read(disk, "w", KIND, see, &seen), -ENOENT);
	wal = reopen(&seen);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(append(wal, i, NULL), 0);
	cr_assert_eq(wal_write(wal), 0);
	cr_assert_eq(append(wal, 5, NULL), 0);
	cr_assert_eq(wal_read(disk, "w", KIND, see, &seen), 0);
	assert_seen(&seen, 0, 5);
}

Test(wal, a_rewrite_replaces_everything_and_wipes_the_old_secrets)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	uint8_t secret[1200];
	struct seen seen;

	make_file(40);
	wal = reopen(&seen);
	cr_assert_eq(append(wal, 40, NULL), 0); /* the snapshot covers it */
	cr_assert_eq(wal_rewrite(wal, snapshot_some, NULL), 0);
	for (unsigned i = 1; i < 40; i++) {
		make_secret(i, secret);
		if (secret_size(i) > 0)
			cr_assert_not(memory_storage_holds(memory, secret, secret_size(i)));
	}
	cr_assert_eq(append(wal, 53, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	wal = wal_free(wal);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	wal = reopen(&seen);
	assert_seen(&seen, 50, 4);
}

Test(wal, a_rewrite_that_fails_leaves_the_old_file_in_use)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen;
	int failure = -ENOMSG;

	make_file(4);
	wal = reopen(&seen);
	cr_assert_eq(wal_rewrite(wal, snapshot_some, &failure), -ENOMSG);
	cr_assert_null(memory_storage_content(memory, "w.new", &(size_t){0}));
	cr_assert_eq(append(wal, 4, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	wal = wal_free(wal);
	wal = reopen(&seen);
	assert_seen(&seen, 0, 5);
}
