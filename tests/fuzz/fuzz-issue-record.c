/* SPDX-License-Identifier: MIT */
/*
 * An issue record of any records (type, length, bytes): what is taken builds the same bytes again,
 * and a key that any record calls used is used.
 */

#include "common/issue-record.h"
#include "tests/unit/support/memory-storage.h"

#define ASKED 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ahead(const struct wal_record *record)
{
	uint8_t again[ISSUE_RECORD_AHEAD_BYTES];
	struct issue_record_ahead ahead;

	if (issue_record_parse_ahead(record, &ahead) < 0)
		return;
	issue_record_build_ahead(&ahead, again);
	if (memcmp(again, record->public_bytes, sizeof(again)) != 0)
		abort();
}

static void check_key(const struct wal_record *record)
{
	uint8_t again[ISSUE_RECORD_KEY_BYTES];
	struct issue_record_key key;

	if (issue_record_parse_key(record, &key) < 0)
		return;
	issue_record_build_key(&key, again);
	if (memcmp(again, record->public_bytes, sizeof(again)) != 0)
		abort();
}

static void check_retire(const struct wal_record *record)
{
	uint8_t again[ISSUE_RECORD_RETIRE_BYTES];
	struct issue_record_retire retire;

	if (issue_record_parse_retire(record, &retire) < 0)
		return;
	issue_record_build_retire(&retire, again);
	if (memcmp(again, record->public_bytes, sizeof(again)) != 0)
		abort();
}

static void append_all(struct storage *disk, const uint8_t *data, size_t size)
{
	struct wal *wal = NULL;

	if (disk->ops->make_directory(disk, ISSUE_RECORD_DIRECTORY) < 0 ||
	    wal_open(disk, ISSUE_RECORD_DIRECTORY "/" ISSUE_RECORD_FILE, ISSUE_RECORD_KIND, NULL,
		     NULL, &wal) < 0)
		abort();
	while (size >= 2) {
		const struct wal_record record = {
			.type = MAX(data[0], (uint8_t)1),
			.public_bytes = data + 2,
			.public_size = MIN((size_t)data[1], size - 2),
		};

		check_ahead(&record);
		check_key(&record);
		check_retire(&record);
		if (wal_append(wal, &record, NULL) < 0)
			abort();
		data += 2 + record.public_size;
		size -= 2 + record.public_size;
	}
	if (wal_write(wal) < 0)
		abort();
	wal_free(wal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory_storage *memory;
	static const struct uuid store;
	bool used[ASKED];
	int r;

	if (!memory && memory_storage_new(&memory) < 0)
		abort();
	memory_storage_reset(memory);
	append_all(memory_storage_storage(memory), data, size);
	r = issue_record_used(memory_storage_storage(memory), &store, 0, 0, ASKED, used);
	if (r < 0 && r != -EBADMSG)
		abort();
	return 0;
}
