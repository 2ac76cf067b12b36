/* SPDX-License-Identifier: MIT */
/*
 * The record file: replay, torn tails at every byte, damage, wiping, rewriting, and crashes at
 * every operation on a disk that loses whatever was not synced.
 */

#include <criterion/criterion.h>

#include "common/wal-format.h"
#include "tests/unit/support/memory-storage.h"

#define KIND "TEST"

static struct memory_storage *memory;
static struct storage *disk;

static void set_up(void)
{
	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
}

static void tear_down(void)
{
	memory = memory_storage_free(memory);
}

TestSuite(wal, .init = set_up, .fini = tear_down);

/* What a replay found. Record n of the tests has public bytes "n" and a secret that n determines.
 */
#define SEEN_MAX 256
struct seen {
	size_t count;
	unsigned numbers[SEEN_MAX];
	bool has_secret[SEEN_MAX];
	struct wal_place places[SEEN_MAX];
	int answer_at, answer;
};

static size_t secret_size(unsigned number)
{
	return number % 3 == 0 ? 0 : number % 3 == 1 ? 32 : 700 + number;
}

static void make_secret(unsigned number, uint8_t *secret)
{
	uint32_t state = number * 2654435761u + 1;

	for (size_t i = 0; i < secret_size(number); i++) {
		state = state * 1664525u + 1013904223u;
		secret[i] = (uint8_t)(state >> 24);
	}
}

static int see(const struct wal_record *record, const struct wal_place *place, void *userdata)
{
	struct seen *seen = userdata;
	uint8_t secret[1200];
	unsigned number;

	cr_assert_lt(seen->count, SEEN_MAX);
	cr_assert_eq(record->public_size, sizeof(number));
	memcpy(&number, record->public_bytes, sizeof(number));
	cr_assert_eq(record->type, number % 200 + 1);
	cr_assert_eq(record->secret_size, secret_size(number));
	make_secret(number, secret);
	if (record->secret_bytes)
		cr_assert_arr_eq(record->secret_bytes, secret, record->secret_size);
	seen->numbers[seen->count] = number;
	seen->has_secret[seen->count] = record->secret_bytes != NULL;
	seen->places[seen->count++] = *place;
	return (int)seen->count == seen->answer_at ? seen->answer : 0;
}

static int append(struct wal *wal, unsigned number, struct wal_place *ret_place)
{
	uint8_t secret[1200];
	struct wal_record record = {
		.type = (uint8_t)(number % 200 + 1),
		.public_bytes = &number,
		.public_size = sizeof(number),
		.secret_bytes = secret,
		.secret_size = secret_size(number),
	};

	make_secret(number, secret);
	return wal_append(wal, &record, ret_place);
}

static struct wal *reopen(struct seen *ret_seen)
{
	struct wal *wal = NULL;

	memset(ret_seen, 0, sizeof(*ret_seen));
	cr_assert_eq(wal_open(disk, "w", KIND, see, ret_seen, &wal), 0);
	return wal;
}

static void assert_seen(const struct seen *seen, unsigned first, size_t count)
{
	cr_assert_eq(seen->count, count, "%zu records", seen->count);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(seen->numbers[i], first + i);
}

/* A file with the records 0 .. count - 1, one group each. */
static void make_file(unsigned count)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen;

	wal = reopen(&seen);
	for (unsigned i = 0; i < count; i++) {
		cr_assert_eq(append(wal, i, NULL), 0);
		cr_assert_eq(wal_sync(wal), 0);
	}
}

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

static int snapshot_some(struct wal *wal, void *userdata)
{
	for (unsigned i = 50; i < 53; i++) {
		int r = append(wal, i, NULL);

		if (r < 0)
			return r;
	}
	return userdata ? *(int *)userdata : 0;
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

/*
 * Exploration: a workload is stopped by a power cut at every operation, with many choices of what
 * survives; then the file is opened again and has to show what was confirmed.
 */

struct workload {
	unsigned appended, confirmed; /* records 0 .. n - 1 */
	bool may_be_wiped[SEEN_MAX];
	bool is_rewriting, is_rewritten;
};

static unsigned random_choice(unsigned count, void *userdata)
{
	uint64_t *state = userdata;

	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)((*state >> 33) % count);
}

static int run_workload(struct workload *work, uint64_t *seed)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct wal_place places[SEEN_MAX];
	struct seen seen = {0};
	int r;

	r = wal_open(disk, "w", KIND, see, &seen, &wal);
	if (r < 0)
		return r;
	memcpy(places, seen.places, sizeof(places));
	work->appended = work->confirmed = (unsigned)seen.count;
	for (int group = 0; group < 6; group++) {
		unsigned first = work->appended, count = random_choice(4, seed);

		for (unsigned i = first; i < first + count; i++, work->appended++)
			if ((r = append(wal, i, &places[i])) < 0)
				return r;
		if (first > 0 && random_choice(2, seed)) {
			unsigned which = random_choice(first, seed);

			work->may_be_wiped[which] = true;
			if ((r = wal_wipe(wal, &places[which])) < 0)
				return r;
		}
		r = random_choice(3, seed) ? wal_sync(wal) : wal_write(wal);
		if (r < 0)
			return r;
		if (!wal_is_dirty(wal))
			work->confirmed = work->appended;
	}
	return 0;
}

static void check_after_crash(struct workload *work)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen;

	wal = reopen(&seen);
	cr_assert_geq(seen.count, work->confirmed);
	cr_assert_leq(seen.count, work->appended);
	for (size_t i = 0; i < seen.count; i++) {
		cr_assert_eq(seen.numbers[i], i);
		cr_assert(seen.has_secret[i] || work->may_be_wiped[i] ||
			  secret_size((unsigned)i) == 0);
	}
}

Test(wal, whatever_a_power_cut_takes_the_confirmed_records_are_there, .timeout = 60)
{
	unsigned crashes = 0;

	for (uint64_t round = 0; round < 300; round++)
		for (uint64_t cut = 0; cut < 40; cut++) {
			struct workload work = {0};
			uint64_t seed = round;

			memory_storage_reset(memory);
			/* Half of the rounds begin with a file that a crash has hit before. */
			for (int again = 0; again < 1 + (int)(round % 2); again++) {
				memory_storage_power_off_at(memory, cut);
				if (run_workload(&work, &seed) == 0)
					cut = 40;
				seed += cut * 1000;
				memory_storage_crash(memory, MEMORY_CRASH_CHOOSE, random_choice,
						     &seed);
				check_after_crash(&work);
				memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
				crashes++;
			}
		}
	cr_assert_gt(crashes, 5000);
}

Test(wal, a_rewrite_that_a_power_cut_stops_is_whole_or_has_not_happened, .timeout = 60)
{
	for (uint64_t seed = 0; seed < 3000; seed++) {
		_cleanup_(wal_freep) struct wal *wal = NULL;
		uint64_t state = seed;
		struct seen seen;
		int r;

		memory_storage_reset(memory);
		make_file(7);
		wal = reopen(&seen);
		memory_storage_power_off_at(memory, seed % 16);
		r = wal_rewrite(wal, snapshot_some, NULL);
		wal = wal_free(wal);
		memory_storage_crash(memory, MEMORY_CRASH_CHOOSE, random_choice, &state);
		wal = reopen(&seen);
		if (r == 0 || seen.numbers[0] == 50)
			assert_seen(&seen, 50, 3);
		else
			assert_seen(&seen, 0, 7);
		cr_assert_null(memory_storage_content(memory, "w.new", &(size_t){0}));
		/* All secrets of confirmed records are there: nothing is wiped before the new file
		 * stands. */
		for (size_t i = 0; i < seen.count; i++)
			cr_assert(seen.has_secret[i] || secret_size(seen.numbers[i]) == 0);
	}
}

Test(wal, any_single_error_leaves_a_file_that_opens, .timeout = 60)
{
	for (uint64_t n = 0; n < 60; n++) {
		_cleanup_(wal_freep) struct wal *wal = NULL;
		struct workload work = {0};
		struct seen seen;
		uint64_t seed = n;

		memory_storage_reset(memory);
		memory_storage_fail_at(memory, n, n % 2 ? -EIO : -ENOSPC);
		(void)run_workload(&work, &seed);
		memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
		check_after_crash(&work);
		wal = reopen(&seen);
		(void)wal_rewrite(wal, snapshot_some, NULL);
	}
}
