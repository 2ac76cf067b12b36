/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "common/issue-record.h"
#include "qkd-linkd/keyfile-append.h"
#include "tests/unit/support/memory-storage.h"

#define KEY_BYTES 32
#define STRIDE    65

static struct memory_storage *memory;
static struct storage *disk;
static struct keyfile_append *append;
static const struct keyfile_store store = {
	.uuid = {.bytes = {7}}, .link = "alice-bob", .peer = "bob", .key_bits = 8 * KEY_BYTES};
static struct uuid ids[8192];
static uint8_t keys[8192 * KEY_BYTES];

static void open_at(uint64_t next)
{
	append = keyfile_append_free(append);
	cr_assert_eq(keyfile_append_open(disk, disk, "bob", &store, next, &append), 0);
}

static void setup(void)
{
	for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
		memcpy(ids[i].bytes, &i, sizeof(i));
		memset(keys + i * KEY_BYTES, (int)(i % 251), KEY_BYTES);
		memcpy(keys + i * KEY_BYTES, &i, sizeof(i));
	}
	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
	open_at(0);
}

static void teardown(void)
{
	append = keyfile_append_free(append);
	memory_storage_free(memory);
}

TestSuite(keyfile_append, .init = setup, .fini = teardown);

static int add(uint64_t first, size_t count, bool recovered)
{
	int r = keyfile_append_add(append, first, &ids[first], keys + first * KEY_BYTES, count,
				   recovered);

	return r < 0 ? r : keyfile_append_sync(append);
}

static char *line_at(uint64_t sequence)
{
	char path[KEYFILE_NAME_MAX];
	size_t size;
	uint8_t *content;

	cr_assert_eq(keyfile_path("bob", "bob", keyfile_number(sequence), path), 0);
	content = memory_storage_content(memory, path, &size);
	cr_assert_not_null(content);
	cr_assert_geq(size, keyfile_offset(sequence, STRIDE) + STRIDE);
	return (char *)content + keyfile_offset(sequence, STRIDE);
}

static void expect_key(uint64_t sequence)
{
	uint8_t key[KEY_BYTES];

	cr_assert_eq(keyfile_parse_line(line_at(sequence), STRIDE, key), KEYFILE_LINE_KEY);
	cr_assert_arr_eq(key, keys + sequence * KEY_BYTES, KEY_BYTES);
}

static void erase(uint64_t sequence, size_t digits)
{
	memset(line_at(sequence), KEYFILE_ERASED, digits);
}

Test(keyfile_append, lines_and_ids_stand_where_their_number_says)
{
	size_t size;
	char *content;

	cr_assert_eq(add(0, 3, false), 0);
	cr_assert_eq(add(3, 2, false), 0);
	for (uint64_t i = 0; i < 5; i++)
		expect_key(i);
	cr_assert_not_null(memory_storage_content(memory, "bob/bob_0", &size));
	cr_assert_eq(size, 5u * STRIDE);
	content = (char *)memory_storage_content(memory, "bob/bob_0.ids", &size);
	cr_assert_eq(size, 5u * KEYFILE_ID_STRIDE);
	cr_assert_eq(strncmp(content + KEYFILE_ID_STRIDE, "01000000-0000-0000-0000-000000000000\n",
			     KEYFILE_ID_STRIDE),
		     0);
	cr_assert_eq(keyfile_append_next(append), 5u);
}

Test(keyfile_append, a_file_has_4096_lines_and_the_next_begins)
{
	size_t size;

	cr_assert_eq(add(0, 4000, false), 0);
	cr_assert_eq(add(4000, 200, false), 0);
	expect_key(4095);
	expect_key(4096);
	cr_assert_not_null(memory_storage_content(memory, "bob/bob_0", &size));
	cr_assert_eq(size, 4096u * STRIDE);
	cr_assert_not_null(memory_storage_content(memory, "bob/bob_1", &size));
	cr_assert_eq(size, 104u * STRIDE);
}

Test(keyfile_append, what_is_synced_survives_a_power_cut_with_its_names)
{
	cr_assert_eq(add(0, 4100, false), 0);
	append = keyfile_append_free(append);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	expect_key(0);
	expect_key(4099);
}

Test(keyfile_append, one_batch_costs_one_sync_of_each_file)
{
	uint64_t before;

	cr_assert_eq(add(0, 8, false), 0);
	before = memory_storage_syncs(memory);
	for (uint64_t i = 8; i < 800; i += 8)
		cr_assert_eq(keyfile_append_add(append, i, &ids[i], keys + i * KEY_BYTES, 8, false),
			     0);
	cr_assert_eq(keyfile_append_sync(append), 0);
	cr_assert_eq(memory_storage_syncs(memory) - before, 2u);
	cr_assert_eq(keyfile_append_sync(append), 0);
	cr_assert_eq(memory_storage_syncs(memory) - before, 2u, "nothing to do is no system call");
}

Test(keyfile_append, lines_that_are_there_stay_as_they_are)
{
	cr_assert_eq(add(0, 10, false), 0);
	erase(4, STRIDE - 1);
	open_at(0);
	cr_assert_eq(add(0, 10, true), 0);
	for (uint64_t i = 0; i < 10; i++)
		if (i != 4)
			expect_key(i);
	cr_assert_eq(keyfile_parse_line(line_at(4), STRIDE, NULL), KEYFILE_LINE_ERASED);
}

Test(keyfile_append, lines_beyond_the_next_are_looked_at_even_when_nobody_warns)
{
	cr_assert_eq(add(0, 4, false), 0);
	erase(2, STRIDE - 1);
	open_at(2);
	cr_assert_eq(add(2, 4, false), 0);
	cr_assert_eq(keyfile_parse_line(line_at(2), STRIDE, NULL), KEYFILE_LINE_ERASED);
	expect_key(3);
	expect_key(5);
}

Test(keyfile_append, a_torn_line_is_completed_and_a_torn_erasure_too)
{
	cr_assert_eq(add(0, 4, false), 0);
	memset(line_at(1) + 20, 0, STRIDE - 20);
	erase(2, 20);
	open_at(0);
	cr_assert_eq(add(0, 4, true), 0);
	expect_key(1);
	cr_assert_eq(keyfile_parse_line(line_at(2), STRIDE, NULL), KEYFILE_LINE_ERASED);
}

Test(keyfile_append, another_key_in_the_place_is_an_error)
{
	cr_assert_eq(add(0, 4, false), 0);
	line_at(1)[7] = line_at(1)[7] == 'f' ? '0' : 'f';
	open_at(0);
	cr_assert_eq(add(0, 4, true), -EBADMSG);
}

static int skip(const struct wal_record *record, const struct wal_place *place, void *userdata)
{
	return 0;
}

static void record_issued(uint64_t sequence)
{
	struct issue_record_key key = {
		.store = store.uuid, .sequence = sequence, .state = ISSUE_KEY_ISSUED};
	uint8_t bytes[ISSUE_RECORD_KEY_BYTES];
	struct wal_record record = {
		.type = ISSUE_RECORD_KEY, .public_bytes = bytes, .public_size = sizeof(bytes)};
	struct wal *wal;

	issue_record_build_key(&key, bytes);
	(void)disk->ops->make_directory(disk, ISSUE_RECORD_DIRECTORY);
	cr_assert_eq(wal_open(disk, ISSUE_RECORD_DIRECTORY "/" ISSUE_RECORD_FILE, ISSUE_RECORD_KIND,
			      skip, NULL, &wal),
		     0);
	cr_assert_eq(wal_append(wal, &record, NULL), 0);
	cr_assert_eq(wal_sync(wal), 0);
	wal_free(wal);
}

Test(keyfile_append, what_the_issue_record_names_is_written_as_erased)
{
	record_issued(1);
	cr_assert_eq(add(0, 3, true), 0);
	expect_key(0);
	cr_assert_eq(keyfile_parse_line(line_at(1), STRIDE, NULL), KEYFILE_LINE_ERASED);
	expect_key(2);
}

Test(keyfile_append, a_file_that_was_used_up_and_unlinked_is_not_made_again)
{
	size_t size;

	for (uint64_t i = 0; i < 3; i++)
		record_issued(i);
	cr_assert_eq(add(0, 3, true), 0);
	cr_assert_null(memory_storage_content(memory, "bob/bob_0", &size));
	cr_assert_eq(keyfile_append_next(append), 3u);
}

Test(keyfile_append, a_file_that_cannot_be_opened_is_not_taken_for_used_up)
{
	cr_assert_eq(add(0, 2, false), 0);
	record_issued(0);
	record_issued(1);
	open_at(0);
	memory_storage_fail_at(memory, 0, -EIO);
	cr_assert_eq(add(0, 2, true), -EIO);
}

Test(keyfile_append, space_is_reserved_ahead_or_refused)
{
	uint64_t size;
	int file;

	cr_assert_eq(keyfile_append_reserve(append, 64), 0);
	file = disk->ops->open(disk, "bob/bob_0", STORAGE_READ);
	cr_assert_geq(file, 0);
	cr_assert_eq(disk->ops->size(disk, file, &size), 0);
	disk->ops->close(disk, file);
	cr_assert_eq(size, 0u, "reserving makes no file longer");
	memory_storage_set_capacity(memory, 300000);
	cr_assert_eq(keyfile_append_reserve(append, 4097), -ENOSPC);
	cr_assert_eq(add(0, 4096, false), 0, "what was reserved is there");
}

Test(keyfile_append, stock_counts_from_the_oldest_file)
{
	uint64_t lines;

	cr_assert_eq(keyfile_append_stock(append, &lines), 0);
	cr_assert_eq(lines, 0u);
	cr_assert_eq(add(0, 4100, false), 0);
	cr_assert_eq(keyfile_append_stock(append, &lines), 0);
	cr_assert_eq(lines, 4100u);
	append = keyfile_append_free(append);
	cr_assert_eq(disk->ops->remove(disk, "bob/bob_0"), 0);
	open_at(4100);
	cr_assert_eq(keyfile_append_stock(append, &lines), 0);
	cr_assert_eq(lines, 4u);
}

Test(keyfile_append, a_failed_sync_is_told)
{
	cr_assert_eq(keyfile_append_add(append, 0, ids, keys, 1, false), 0);
	memory_storage_fail_syncs(memory, true);
	cr_assert_lt(keyfile_append_sync(append), 0);
}
