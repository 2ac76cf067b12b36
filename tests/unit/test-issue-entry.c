/* SPDX-License-Identifier: MIT */

/* The issue record's entries, to bytes and back. */

#include <criterion/criterion.h>

#include "qkd-keyringd/issue-entry.h"

static uint8_t bytes[ISSUE_ENTRY_MAX_BYTES];

static struct wal_record record_of(uint8_t type, size_t size_bytes)
{
	return (struct wal_record){.type = type, .public_bytes = bytes, .public_size = size_bytes};
}

static struct issue_key reserved_key(void)
{
	struct issue_key key = {
		.key = {.store = {{1}},
			.generation = 2,
			.sequence = 3,
			.state = ISSUE_KEY_RESERVED},
		.id = {{4}},
		.by_peer = true,
		.owner = 1000,
		.request = {{5}},
		.expires_usec = 6,
		.label_generation = 7,
	};

	memset(key.label, 'x', LABEL_MAX_CHARS);
	return key;
}

Test(issue_entry, a_reserved_key_comes_back_with_its_detail)
{
	struct issue_key key = reserved_key(), back = {};
	size_t size = issue_entry_build_key(&key, bytes);
	struct wal_record record = record_of(ISSUE_RECORD_KEY, size);

	cr_assert_leq(size, ISSUE_ENTRY_KEY_MAX_BYTES);
	cr_assert_eq(issue_entry_parse_key(&record, &back), 0);
	cr_assert(uuid_equal(&back.key.store, &key.key.store));
	cr_assert_eq(back.key.sequence, 3);
	cr_assert_eq(back.key.state, ISSUE_KEY_RESERVED);
	cr_assert(uuid_equal(&back.id, &key.id));
	cr_assert(back.by_peer);
	cr_assert_eq(back.owner, 1000);
	cr_assert(uuid_equal(&back.request, &key.request));
	cr_assert_eq(back.expires_usec, 6);
	cr_assert_str_eq(back.label, key.label);
	cr_assert_eq(back.label_generation, 7);
}

Test(issue_entry, a_key_of_many_parts_comes_back_with_all_of_them)
{
	struct issue_key key = reserved_key(), back = {};
	struct wal_record record;
	size_t size;

	key.bits = 4096;
	key.part_count = ISSUE_ENTRY_MAX_PARTS - 1;
	for (size_t i = 0; i < key.part_count; i++)
		key.parts[i] = (UINT64_C(1) << 43) + i;
	size = issue_entry_build_key(&key, bytes);
	cr_assert_leq(size, ISSUE_ENTRY_KEY_MAX_BYTES);
	record = record_of(ISSUE_RECORD_KEY, size);
	cr_assert_eq(issue_entry_parse_key(&record, &back), 0);
	cr_assert_eq(back.bits, 4096);
	cr_assert_eq(back.part_count, key.part_count);
	cr_assert_eq(memcmp(back.parts, key.parts, sizeof(key.parts)), 0);
	cr_assert_not(back.is_part);
	record.public_size--;
	cr_assert_eq(issue_entry_parse_key(&record, &back), -EBADMSG);
}

Test(issue_entry, a_part_of_a_key_says_so)
{
	struct issue_key key = reserved_key(), back = {};
	struct wal_record record;

	key.is_part = true;
	record = record_of(ISSUE_RECORD_KEY, issue_entry_build_key(&key, bytes));
	cr_assert_eq(issue_entry_parse_key(&record, &back), 0);
	cr_assert(back.is_part);
	cr_assert_eq(back.bits, 0);
}

Test(issue_entry, an_issued_key_is_what_linkd_reads_and_nothing_more)
{
	struct issue_key key = reserved_key(), back = {};
	struct wal_record record;

	key.key.state = ISSUE_KEY_ISSUED;
	record = record_of(ISSUE_RECORD_KEY, issue_entry_build_key(&key, bytes));
	cr_assert_eq(record.public_size, ISSUE_RECORD_KEY_BYTES);
	cr_assert_eq(issue_entry_parse_key(&record, &back), 0);
	cr_assert_eq(back.key.state, ISSUE_KEY_ISSUED);
	cr_assert_eq(back.owner, ISSUE_NO_OWNER);
}

Test(issue_entry, a_label_comes_back)
{
	struct issue_label label = {.peer = "bob",
				    .label = "vpn1",
				    .generation = 9,
				    .expires_usec = 10,
				    .bits = 256,
				    .id = {{11}},
				    .served = true};
	struct issue_label back;
	struct wal_record record =
		record_of(ISSUE_ENTRY_LABEL, issue_entry_build_label(&label, bytes));

	cr_assert_eq(issue_entry_parse_label(&record, &back), 0);
	cr_assert_str_eq(back.peer, "bob");
	cr_assert_str_eq(back.label, "vpn1");
	cr_assert_eq(back.generation, 9);
	cr_assert_eq(back.expires_usec, 10);
	cr_assert_eq(back.bits, 256);
	cr_assert(uuid_equal(&back.id, &label.id));
	cr_assert(back.served);
	cr_assert_not(back.ended);
}

Test(issue_entry, a_full_list_comes_back)
{
	static struct issue_list list = {.kind = ISSUE_LIST_GRANTED,
					 .done = true,
					 .peer = "bob",
					 .request = {{1}},
					 .store = {{2}},
					 .generation = 3,
					 .count = ISSUE_ENTRY_MAX_KEYS};
	static struct issue_list back;
	struct wal_record record;

	for (size_t i = 0; i < list.count; i++)
		list.sequences[i] = i * 3;
	record = record_of(ISSUE_ENTRY_LIST, issue_entry_build_list(&list, bytes));
	cr_assert_leq(record.public_size, ISSUE_ENTRY_MAX_BYTES);
	cr_assert_eq(issue_entry_parse_list(&record, &back), 0);
	cr_assert(back.done);
	cr_assert_eq(back.count, ISSUE_ENTRY_MAX_KEYS);
	cr_assert_eq(back.sequences[1023], 1023 * 3);
}

Test(issue_entry, every_truncation_is_refused)
{
	struct issue_key key = reserved_key(), back;
	struct issue_label label = {.peer = "bob", .label = "vpn1"}, label_back;
	struct uuid request = {{1}}, request_back;
	struct wal_record record;
	size_t size = issue_entry_build_key(&key, bytes);

	for (size_t i = 0; i < size; i++) {
		record = record_of(ISSUE_RECORD_KEY, i);
		cr_assert_eq(issue_entry_parse_key(&record, &back), -EBADMSG);
	}
	size = issue_entry_build_label(&label, bytes);
	for (size_t i = 0; i < size; i++) {
		record = record_of(ISSUE_ENTRY_LABEL, i);
		cr_assert_eq(issue_entry_parse_label(&record, &label_back), -EBADMSG);
	}
	size = issue_entry_build_list_done(&request, bytes);
	for (size_t i = 0; i < size; i++) {
		record = record_of(ISSUE_ENTRY_LIST_DONE, i);
		cr_assert_eq(issue_entry_parse_list_done(&record, &request_back), -EBADMSG);
	}
}

Test(issue_entry, another_version_is_refused)
{
	struct issue_start start = {.starts = 4}, back;
	struct wal_record record =
		record_of(ISSUE_ENTRY_START, issue_entry_build_start(&start, bytes));

	cr_assert_eq(issue_entry_parse_start(&record, &back), 0);
	cr_assert_eq(back.starts, 4);
	bytes[0]++;
	cr_assert_eq(issue_entry_parse_start(&record, &back), -EBADMSG);
}
