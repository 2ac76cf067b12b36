/* SPDX-License-Identifier: MIT */
/* Which keys count as used: the layout on disk, and linkd's question over every kind of record. */

#include <criterion/criterion.h>

#include "common/issue-record.h"
#include "tests/unit/support/memory-storage.h"

static const struct uuid store_a = {{1}}, store_b = {{2}};

static struct memory_storage *memory;
static struct storage *disk;
static struct wal *wal;

static void set_up(void)
{
	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
	cr_assert_eq(disk->ops->make_directory(disk, ISSUE_RECORD_DIRECTORY), 0);
}

static void open_record(void)
{
	cr_assert_eq(wal_open(disk, ISSUE_RECORD_DIRECTORY "/" ISSUE_RECORD_FILE, ISSUE_RECORD_KIND,
			      NULL, NULL, &wal),
		     0);
}

static void tear_down(void)
{
	wal = wal_free(wal);
	memory = memory_storage_free(memory);
}

TestSuite(issue_record, .init = set_up, .fini = tear_down);

static void append(uint8_t type, const void *bytes, size_t size)
{
	const struct wal_record record = {.type = type, .public_bytes = bytes, .public_size = size};

	cr_assert_eq(wal_append(wal, &record, NULL), 0);
	cr_assert_eq(wal_write(wal), 0);
}

static void append_ahead(const struct uuid *store, uint32_t generation, uint8_t parity,
			 uint64_t below)
{
	const struct issue_record_ahead ahead = {*store, generation, parity, below};
	uint8_t bytes[ISSUE_RECORD_AHEAD_BYTES];

	issue_record_build_ahead(&ahead, bytes);
	append(ISSUE_RECORD_AHEAD, bytes, sizeof(bytes));
}

static void append_key(const struct uuid *store, uint32_t generation, uint64_t sequence,
		       enum issue_key_state state)
{
	const struct issue_record_key key = {*store, generation, sequence, state};
	uint8_t bytes[ISSUE_RECORD_KEY_BYTES + 5] = {0};

	issue_record_build_key(&key, bytes);
	append(ISSUE_RECORD_KEY, bytes, sizeof(bytes));
}

static void append_retire(const struct uuid *store, uint32_t generation)
{
	const struct issue_record_retire retire = {*store, generation};
	uint8_t bytes[ISSUE_RECORD_RETIRE_BYTES];

	issue_record_build_retire(&retire, bytes);
	append(ISSUE_RECORD_RETIRE, bytes, sizeof(bytes));
}

/* expected: a character for each sequence number from first, '1' for used. */
static void assert_used(const struct uuid *store, uint32_t generation, uint64_t first,
			const char *expected)
{
	bool used[64];
	char text[65] = "";

	cr_assert_eq(issue_record_used(disk, store, generation, first, strlen(expected), used), 0);
	for (size_t i = 0; i < strlen(expected); i++)
		text[i] = used[i] ? '1' : '0';
	cr_assert_str_eq(text, expected);
}

Test(issue_record, an_absent_or_empty_record_means_none)
{
	assert_used(&store_a, 0, 0, "0000");
	open_record();
	assert_used(&store_a, 0, 0, "0000");
}

Test(issue_record, ahead_covers_its_parity_below)
{
	open_record();
	append_ahead(&store_a, 0, 0, 5);
	append_ahead(&store_a, 0, 0, 3); /* never goes back */
	append_ahead(&store_a, 0, 1, 2);
	assert_used(&store_a, 0, 0, "11101000");
	assert_used(&store_a, 0, 4, "1000");
	assert_used(&store_a, 1, 0, "00000000");
	assert_used(&store_b, 0, 0, "00000000");
}

Test(issue_record, a_key_in_any_state_but_released_is_used)
{
	open_record();
	append_key(&store_a, 2, 10, ISSUE_KEY_RESERVED);
	append_key(&store_a, 2, 11, ISSUE_KEY_DELIVERING);
	append_key(&store_a, 2, 12, ISSUE_KEY_ISSUED);
	append_key(&store_a, 2, 13, ISSUE_KEY_DESTROYED);
	append_key(&store_a, 2, 14, ISSUE_KEY_RESERVED);
	append_key(&store_a, 2, 14, ISSUE_KEY_RELEASED);
	append_key(&store_a, 2, UINT64_MAX, ISSUE_KEY_ISSUED);
	append_key(&store_b, 2, 15, ISSUE_KEY_ISSUED);
	assert_used(&store_a, 2, 9, "01111000");
	assert_used(&store_a, 2, UINT64_MAX - 1, "01");
	append_ahead(&store_a, 2, 0, 15);
	assert_used(&store_a, 2, 14, "10");
}

Test(issue_record, a_retired_generation_is_used_up)
{
	open_record();
	append_retire(&store_a, 1);
	append_key(&store_a, 1, 3, ISSUE_KEY_RELEASED);
	assert_used(&store_a, 1, 0, "1111");
	assert_used(&store_a, 2, 0, "0000");
}

Test(issue_record, keyringds_own_records_are_skipped_and_unknown_ones_are_not)
{
	bool used[1] = {true};

	open_record();
	append(ISSUE_RECORD_PRIVATE, "x", 1);
	append(255, "y", 1);
	assert_used(&store_a, 0, 0, "0");
	append(4, "z", 1);
	cr_assert_eq(issue_record_used(disk, &store_a, 0, 0, 1, used), -EBADMSG);
	cr_assert(used[0], "untouched on failure");
}

Test(issue_record, the_layout_on_disk_stays_what_it_is)
{
	static const uint8_t expected[ISSUE_RECORD_KEY_BYTES] = {
		1, 3, 0, 0, 0x78, 0x56, 0x34, 0x12, 1,    0,    0,    0,    0,    0,    0,    0,
		0, 0, 0, 0, 0,    0,    0,    0,    0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01};
	const struct issue_record_key key = {store_a, 0x12345678, 0x0102030405060708,
					     ISSUE_KEY_ISSUED};
	uint8_t bytes[ISSUE_RECORD_KEY_BYTES];

	issue_record_build_key(&key, bytes);
	cr_assert_arr_eq(bytes, expected, sizeof(bytes));
}

Test(issue_record, malformed_records_are_refused)
{
	uint8_t bytes[ISSUE_RECORD_AHEAD_BYTES + 1] = {1, 1};
	struct wal_record record = {.public_bytes = bytes, .public_size = 32};
	struct issue_record_ahead ahead;
	struct issue_record_key key;
	struct issue_record_retire retire;

	record.type = ISSUE_RECORD_AHEAD;
	cr_assert_eq(issue_record_parse_ahead(&record, &ahead), 0);
	cr_assert_eq(issue_record_parse_key(&record, &key), -EBADMSG);
	record.public_size = 33;
	cr_assert_eq(issue_record_parse_ahead(&record, &ahead), -EBADMSG);
	record.public_size = 31;
	cr_assert_eq(issue_record_parse_ahead(&record, &ahead), -EBADMSG);
	record.type = ISSUE_RECORD_KEY;
	cr_assert_eq(issue_record_parse_key(&record, &key), -EBADMSG);
	record.public_size = 33;
	cr_assert_eq(issue_record_parse_key(&record, &key), 0);
	bytes[1] = 0;
	cr_assert_eq(issue_record_parse_key(&record, &key), -EBADMSG);
	bytes[1] = 6;
	cr_assert_eq(issue_record_parse_key(&record, &key), -EBADMSG);
	bytes[1] = 1;
	bytes[0] = 2;
	cr_assert_eq(issue_record_parse_key(&record, &key), -EBADMSG);
	bytes[0] = 1;
	record.type = ISSUE_RECORD_RETIRE;
	record.public_size = ISSUE_RECORD_RETIRE_BYTES;
	cr_assert_eq(issue_record_parse_retire(&record, &retire), -EBADMSG);
	bytes[1] = 0;
	cr_assert_eq(issue_record_parse_retire(&record, &retire), 0);
	record.type = ISSUE_RECORD_AHEAD;
	record.public_size = 32;
	bytes[1] = 2;
	cr_assert_eq(issue_record_parse_ahead(&record, &ahead), -EBADMSG);
}
