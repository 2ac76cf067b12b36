/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How a wal's file is laid out, pure. Little-endian; every record begins at a multiple of 8.
 *
 *   file    "QKDWAL1\n"  kind[4]  crc32 of these 12 bytes  16 zeros       (32 bytes)
 *   record  crc32 of what follows up to the end of the public bytes
 *           type[1]  "QW1"  public size[4]  secret size[4]
 *           offset of the record in the file[8]  settled[8]                (32 bytes so far)
 *           public bytes, zeros up to a multiple of 8
 *           secret bytes, crc32 of these, zeros up to a multiple of 8      (all 0xff: wiped)
 *
 * 0xff, because zeros are also what is read where a crash kept a sector from being written.
 *
 * settled is the size up to which the file was known to be on disk when the record was made: damage
 * below the settled of any record that stands is damage, and not what a crash left.
 */

#include "common/wal.h"

#define WAL_HEADER_BYTES        32
#define WAL_RECORD_HEADER_BYTES 32
#define WAL_RECORD_ALIGN        8
#define WAL_SECRET_CRC_BYTES    4
#define WAL_SECTOR_BYTES        512 /* what a disk writes whole or not at all */

struct wal_record_header {
	uint8_t type;
	uint32_t public_size, secret_size;
	uint64_t offset, settled;
};

void wal_build_header(const char kind[static 4], uint8_t ret_bytes[static WAL_HEADER_BYTES]);
/* -EBADMSG; -EMEDIUMTYPE when it is whole and of another kind. */
int wal_parse_header(const uint8_t bytes[static WAL_HEADER_BYTES], const char kind[static 4]);

/* On disk, padding included. -E2BIG above WAL_RECORD_MAX_BYTES. */
int wal_record_size(const struct wal_record *record, size_t *ret_bytes);
size_t wal_header_record_size(const struct wal_record_header *header);
/* ret_bytes has wal_record_size() bytes, all zero. */
void wal_build_record(const struct wal_record *record, uint64_t offset, uint64_t settled,
		      uint8_t *ret_bytes);
/* The header alone, from WAL_RECORD_HEADER_BYTES: false when there cannot be a record at offset. */
bool wal_parse_record_header(const uint8_t *bytes, uint64_t offset, struct wal_record_header *ret);
/* bytes: the whole record. True when header and public bytes are what was written. */
bool wal_record_is_whole(const uint8_t *bytes, const struct wal_record_header *header);

enum wal_secret {
	WAL_SECRET_NONE,
	WAL_SECRET_PRESENT,
	WAL_SECRET_WIPED,   /* also when a crash has left the wiping half done */
	WAL_SECRET_DAMAGED, /* or never completely written */
};
enum wal_secret wal_check_secret(const uint8_t *bytes, const struct wal_record_header *header);

#define WAL_WIPED 0xff

static inline size_t wal_align(size_t size_bytes)
{
	return (size_bytes + WAL_RECORD_ALIGN - 1) & ~(size_t)(WAL_RECORD_ALIGN - 1);
}

/* From the record's start to its secret bytes. */
static inline size_t wal_secret_at(size_t public_size)
{
	return WAL_RECORD_HEADER_BYTES + wal_align(public_size);
}

/* What a wipe overwrites. */
static inline size_t wal_secret_extent(size_t secret_size)
{
	return secret_size > 0 ? wal_align(secret_size + WAL_SECRET_CRC_BYTES) : 0;
}
