/* SPDX-License-Identifier: MIT */

/* The issue record's entries, as a damaged disk might give them: a type byte, then the bytes. */

#include <assert.h>

#include "qkd-keyringd/issue-entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_key(const struct wal_record *record)
{
	uint8_t bytes[ISSUE_ENTRY_KEY_MAX_BYTES];
	struct issue_key key;

	if (issue_entry_parse_key(record, &key) == 0)
		assert(issue_entry_build_key(&key, bytes) <= sizeof(bytes));
}

static void try_others(const struct wal_record *record)
{
	static uint8_t bytes[ISSUE_ENTRY_MAX_BYTES];
	static struct issue_list list;
	struct issue_label label;
	struct issue_start start;
	struct issue_peer peer;
	struct uuid request;

	if (issue_entry_parse_peer(record, &peer) == 0)
		assert(issue_entry_build_peer(&peer, bytes) == record->public_size);
	if (issue_entry_parse_label(record, &label) == 0)
		assert(issue_entry_build_label(&label, bytes) == record->public_size);
	if (issue_entry_parse_list(record, &list) == 0)
		assert(issue_entry_build_list(&list, bytes) == record->public_size);
	if (issue_entry_parse_start(record, &start) == 0)
		assert(issue_entry_build_start(&start, bytes) == record->public_size);
	if (issue_entry_parse_list_done(record, &request) == 0)
		assert(issue_entry_build_list_done(&request, bytes) == record->public_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wal_record record;

	if (size == 0)
		return 0;
	record = (struct wal_record){
		.type = data[0], .public_bytes = data + 1, .public_size = size - 1};
	try_key(&record);
	try_others(&record);
	return 0;
}
