/* SPDX-License-Identifier: MIT */
/*
 * A wal's bytes: building and checking them, without I/O, so that every layout question is decided
 * here and can be fuzzed.
 *
 * The checksum of the secret bytes lies next to them and is wiped with them: left behind it would
 * be 32 bits of knowledge about a key.
 */

#include <endian.h>

#include "common/crc32c.h"
#include "common/wal-format.h"

static const char file_magic[8] = {'Q', 'K', 'D', 'W', 'A', 'L', '1', '\n'};
static const char record_magic[3] = {'Q', 'W', '1'};

static void put_u32(uint8_t *bytes, uint32_t value)
{
	value = htole32(value);
	memcpy(bytes, &value, sizeof(value));
}

static void put_u64(uint8_t *bytes, uint64_t value)
{
	value = htole64(value);
	memcpy(bytes, &value, sizeof(value));
}

static uint32_t get_u32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return le32toh(value);
}

static uint64_t get_u64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return le64toh(value);
}

void wal_build_header(const char kind[static 4], uint8_t ret_bytes[static WAL_HEADER_BYTES])
{
	memset(ret_bytes, 0, WAL_HEADER_BYTES);
	memcpy(ret_bytes, file_magic, sizeof(file_magic));
	memcpy(ret_bytes + 8, kind, 4);
	put_u32(ret_bytes + 12, crc32c(0, ret_bytes, 12));
}

int wal_parse_header(const uint8_t bytes[static WAL_HEADER_BYTES], const char kind[static 4])
{
	if (memcmp(bytes, file_magic, sizeof(file_magic)) != 0 ||
	    get_u32(bytes + 12) != crc32c(0, bytes, 12))
		return -EBADMSG;
	return memcmp(bytes + 8, kind, 4) == 0 ? 0 : -EMEDIUMTYPE;
}

static size_t padded_size(size_t public_size, size_t secret_size)
{
	return wal_secret_at(public_size) + wal_secret_extent(secret_size);
}

int wal_record_size(const struct wal_record *record, size_t *ret_bytes)
{
	if (record->public_size > WAL_RECORD_MAX_BYTES ||
	    record->secret_size > WAL_RECORD_MAX_BYTES ||
	    padded_size(record->public_size, record->secret_size) > WAL_RECORD_MAX_BYTES)
		return -E2BIG;
	*ret_bytes = padded_size(record->public_size, record->secret_size);
	return 0;
}

size_t wal_header_record_size(const struct wal_record_header *header)
{
	return padded_size(header->public_size, header->secret_size);
}

void wal_build_record(const struct wal_record *record, uint64_t offset, uint64_t settled,
		      uint8_t *ret_bytes)
{
	uint8_t *public = ret_bytes + WAL_RECORD_HEADER_BYTES;
	uint8_t *secret = ret_bytes + wal_secret_at(record->public_size);

	ret_bytes[4] = record->type;
	memcpy(ret_bytes + 5, record_magic, sizeof(record_magic));
	put_u32(ret_bytes + 8, (uint32_t)record->public_size);
	put_u32(ret_bytes + 12, (uint32_t)record->secret_size);
	put_u64(ret_bytes + 16, offset);
	put_u64(ret_bytes + 24, settled);
	if (record->public_size > 0)
		memcpy(public, record->public_bytes, record->public_size);
	put_u32(ret_bytes,
		crc32c(0, ret_bytes + 4, WAL_RECORD_HEADER_BYTES - 4 + record->public_size));
	if (record->secret_size == 0)
		return;
	memcpy(secret, record->secret_bytes, record->secret_size);
	put_u32(secret + record->secret_size, crc32c(0, secret, record->secret_size));
}

bool wal_parse_record_header(const uint8_t *bytes, uint64_t offset, struct wal_record_header *ret)
{
	struct wal_record_header header = {
		.type = bytes[4],
		.public_size = get_u32(bytes + 8),
		.secret_size = get_u32(bytes + 12),
		.offset = get_u64(bytes + 16),
		.settled = get_u64(bytes + 24),
	};

	if (memcmp(bytes + 5, record_magic, sizeof(record_magic)) != 0 || header.type == 0 ||
	    header.offset != offset || header.settled > offset ||
	    header.public_size > WAL_RECORD_MAX_BYTES || header.secret_size > WAL_RECORD_MAX_BYTES)
		return false;
	if (padded_size(header.public_size, header.secret_size) > WAL_RECORD_MAX_BYTES)
		return false;
	*ret = header;
	return true;
}

bool wal_record_is_whole(const uint8_t *bytes, const struct wal_record_header *header)
{
	return get_u32(bytes) ==
	       crc32c(0, bytes + 4, WAL_RECORD_HEADER_BYTES - 4 + (size_t)header->public_size);
}

static bool is_wiped(const uint8_t *bytes, size_t size_bytes)
{
	uint8_t all = WAL_WIPED;

	for (size_t i = 0; i < size_bytes; i++)
		all &= bytes[i];
	return all == WAL_WIPED;
}

enum wal_secret wal_check_secret(const uint8_t *bytes, const struct wal_record_header *header)
{
	size_t at = wal_secret_at(header->public_size), end;
	const uint8_t *secret = bytes + at;
	size_t size = header->secret_size;

	if (size == 0)
		return WAL_SECRET_NONE;
	if (get_u32(secret + size) == crc32c(0, secret, size))
		return WAL_SECRET_PRESENT;
	/* A crash while it was wiped leaves at least one sector's part of it done: 8 bytes or more.
	 */
	end = at + wal_secret_extent(size);
	for (size_t part; at < end; at += part) {
		part = WAL_SECTOR_BYTES - (size_t)((header->offset + at) % WAL_SECTOR_BYTES);
		part = MIN(part, end - at);
		if (is_wiped(bytes + at, part))
			return WAL_SECRET_WIPED;
	}
	return WAL_SECRET_DAMAGED;
}
