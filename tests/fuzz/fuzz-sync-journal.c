/* SPDX-License-Identifier: MIT */

/*
 * A sync journal of any records: it opens, or is refused. The input is a list of records, each its
 * type, the sizes of its public and secret bytes (two bytes each, little-endian), and these bytes;
 * so the fuzzer need not guess checksums, which fuzz-wal does.
 */

#include <assert.h>

#include "qkd-linkd/sync-journal.h"
#include "tests/unit/support/memory-storage.h"

#define RECORDS_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int skip(const struct wal_record *record, const struct wal_place *place, void *userdata)
{
	return 0;
}

/* The next record of the input; false at its end. */
static bool next_record(const uint8_t **data, size_t *size, struct wal_record *ret)
{
	size_t public_size, secret_size;

	if (*size < 5 || (*data)[0] == 0)
		return false;
	public_size = (size_t)((*data)[1] | (*data)[2] << 8);
	secret_size = (size_t)((*data)[3] | (*data)[4] << 8);
	if (*size - 5 < public_size + secret_size)
		return false;
	*ret = (struct wal_record){
		.type = (*data)[0],
		.public_bytes = *data + 5,
		.public_size = public_size,
		.secret_bytes = secret_size ? *data + 5 + public_size : NULL,
		.secret_size = secret_size,
	};
	*data += 5 + public_size + secret_size;
	*size -= 5 + public_size + secret_size;
	return true;
}

static void write_records(struct storage *disk, const uint8_t *data, size_t size)
{
	struct wal_record record;
	struct wal *wal;

	assert(wal_open(disk, SYNC_JOURNAL_FILE, SYNC_JOURNAL_KIND, skip, NULL, &wal) == 0);
	for (unsigned i = 0; i < RECORDS_MAX && next_record(&data, &size, &record); i++)
		(void)wal_append(wal, &record, NULL);
	(void)wal_sync(wal);
	wal_free(wal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sync_recovered recovered, again;
	struct memory_storage *memory;
	struct sync_journal *journal;
	struct storage *disk;

	if (memory_storage_new(&memory) < 0)
		return 0;
	disk = memory_storage_storage(memory);
	write_records(disk, data, size);
	if (sync_journal_open(disk, SYNC_JOURNAL_FILE, &recovered, &journal) == 0) {
		assert(sync_journal_compact(journal, &recovered.store, recovered.txns,
					    recovered.count) == 0);
		sync_journal_free(journal);
		assert(sync_journal_open(disk, SYNC_JOURNAL_FILE, &again, &journal) == 0);
		assert(again.count == recovered.count && again.store.next == recovered.store.next);
		sync_journal_free(journal);
		sync_recovered_done(&again);
		sync_recovered_done(&recovered);
	}
	memory_storage_free(memory);
	return 0;
}
