/* SPDX-License-Identifier: MIT */
/*
 * A record file of any content: it opens, or is refused as damaged or of another kind; what opens
 * can be appended to, and then replays the same records and one more. The first byte odd: checksums
 * are put right before, so that the fuzzer gets past them.
 */

#include "common/crc32c.h"
#include "common/wal-format.h"
#include "tests/unit/support/memory-storage.h"

#define KIND      "QKDJ"
#define INPUT_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count_record(const struct wal_record *record, const struct wal_place *place,
			void *userdata)
{
	const uint8_t *bytes = record->public_bytes, *secret = record->secret_bytes;
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < record->public_size; i++)
		sum ^= bytes[i];
	for (size_t i = 0; secret && i < record->secret_size; i++)
		sum ^= secret[i];
	if (place->secret_size != record->secret_size)
		abort();
	++*(unsigned *)userdata;
	return 0;
}

static void put_crc(uint8_t *bytes, const uint8_t *over, size_t size)
{
	uint32_t crc = crc32c(0, over, size);

	memcpy(bytes, &crc, sizeof(crc));
}

static void repair(uint8_t *bytes, size_t size)
{
	struct wal_record_header header;
	uint64_t at = WAL_HEADER_BYTES;

	if (size < WAL_HEADER_BYTES)
		return;
	wal_build_header(KIND, bytes);
	while (at + WAL_RECORD_HEADER_BYTES <= size) {
		memcpy(bytes + at + 5, "QW1", 3);
		memcpy(bytes + at + 16, &at, sizeof(at));
		if (!wal_parse_record_header(bytes + at, at, &header) ||
		    at + wal_header_record_size(&header) > size)
			return;
		put_crc(bytes + at, bytes + at + 4,
			WAL_RECORD_HEADER_BYTES - 4 + header.public_size);
		if (header.secret_size > 0 && header.type % 2) {
			uint8_t *secret = bytes + at + wal_secret_at(header.public_size);

			put_crc(secret + header.secret_size, secret, header.secret_size);
		}
		at += wal_header_record_size(&header);
	}
}

static void make_file(struct storage *disk, const uint8_t *data, size_t size)
{
	static uint8_t bytes[INPUT_MAX];
	int file = disk->ops->open(disk, "w", STORAGE_WRITE | STORAGE_CREATE);

	memcpy(bytes, data + 1, size - 1);
	if (data[0] % 2)
		repair(bytes, size - 1);
	disk->ops->write_at(disk, file, bytes, size - 1, 0);
	disk->ops->close(disk, file);
}

static void check_open(struct storage *disk)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	const struct wal_record record = {.type = 1, .public_bytes = "x", .public_size = 1};
	unsigned shared = 0, seen = 0, again = 0;
	int read_result = wal_read(disk, "w", KIND, count_record, &shared);
	int r = wal_open(disk, "w", KIND, count_record, &seen, &wal);

	if (r != read_result || seen != shared)
		abort();
	if (r < 0) {
		if (r != -EBADMSG && r != -EMEDIUMTYPE)
			abort();
		return;
	}
	if (wal_append(wal, &record, NULL) < 0 || wal_sync(wal) < 0)
		abort();
	wal = wal_free(wal);
	if (wal_open(disk, "w", KIND, count_record, &again, &wal) < 0 || again != seen + 1 ||
	    wal_torn_bytes(wal) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory_storage *memory;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	if (!memory && memory_storage_new(&memory) < 0)
		abort();
	memory_storage_reset(memory);
	make_file(memory_storage_storage(memory), data, size);
	check_open(memory_storage_storage(memory));
	return 0;
}
