/* SPDX-License-Identifier: MIT */
/*
 * Replay: every whole record in order, and a verdict on what comes after the last one.
 *
 * What follows the last whole record is a torn tail unless a record further on says that the file
 * had been on disk beyond it (settled, common/wal-format.h); then it is damage. Buffers are secret
 * memory, because records hold keys.
 */

#include "common/wal-replay.h"

#define READ_BYTES      (64u << 10)
#define SHARED_READ_MAX 3 /* looks at one record that its writer may not have finished */

struct reader {
	struct storage *storage;
	int file;
	uint8_t *buffer;
	size_t capacity, filled;
	uint64_t start; /* of the buffer in the file */
};

static void reader_done(struct reader *reader)
{
	secret_mfree(reader->buffer);
}

/* 1: size bytes at offset are at *ret. 0: the file ends before. The next call invalidates them. */
static int reader_fetch(struct reader *reader, uint64_t offset, size_t size, const uint8_t **ret)
{
	ssize_t n;

	if (offset < reader->start || offset + size > reader->start + reader->filled) {
		if (size > reader->capacity) {
			secret_mfree(reader->buffer);
			reader->capacity = 0;
			reader->buffer = secret_malloc(MAX(size, (size_t)READ_BYTES));
			if (!reader->buffer)
				return -ENOMEM;
			reader->capacity = MAX(size, (size_t)READ_BYTES);
		}
		n = reader->storage->ops->read_at(reader->storage, reader->file, reader->buffer,
						  reader->capacity, offset);
		reader->start = offset;
		reader->filled = n < 0 ? 0 : (size_t)n;
		if (n < 0)
			return (int)n;
		if (reader->filled < size)
			return 0;
	}
	*ret = reader->buffer + (offset - reader->start);
	return 1;
}

static void reader_forget(struct reader *reader)
{
	reader->filled = 0;
}

/* 1: a whole record, at *ret_bytes. 0: none here. */
static int read_record(struct reader *reader, uint64_t offset, const uint8_t **ret_bytes,
		       struct wal_record_header *ret_header)
{
	struct wal_record_header header;
	const uint8_t *bytes;
	int r;

	r = reader_fetch(reader, offset, WAL_RECORD_HEADER_BYTES, &bytes);
	if (r <= 0)
		return r;
	if (!wal_parse_record_header(bytes, offset, &header))
		return 0;
	r = reader_fetch(reader, offset, wal_header_record_size(&header), &bytes);
	if (r <= 0)
		return r;
	if (!wal_record_is_whole(bytes, &header))
		return 0;
	*ret_bytes = bytes;
	*ret_header = header;
	return 1;
}

static int deliver(const uint8_t *bytes, const struct wal_record_header *header,
		   enum wal_secret secret, wal_replay_t replay, void *userdata)
{
	const struct wal_record record = {
		.type = header->type,
		.public_bytes = bytes + WAL_RECORD_HEADER_BYTES,
		.public_size = header->public_size,
		.secret_bytes = secret == WAL_SECRET_PRESENT
					? bytes + wal_secret_at(header->public_size)
					: NULL,
		.secret_size = header->secret_size,
	};
	const struct wal_place place = {
		.secret_offset = header->offset + wal_secret_at(header->public_size),
		.secret_size = header->secret_size,
	};

	return replay ? replay(&record, &place, userdata) : 0;
}

/*
 * A record that a crash tore may have its header and not all of its secret bytes, which then are
 * neither what was written nor wiped: the same rule as for a torn header. In a shared file its
 * owner may be wiping them just now, so the record counts, without them.
 */
static int replay_records(struct reader *reader, bool is_shared, wal_replay_t replay,
			  void *userdata, struct wal_end *end)
{
	struct wal_record_header header;
	const uint8_t *bytes;
	int r;

	for (;;) {
		enum wal_secret secret;

		r = read_record(reader, end->offset, &bytes, &header);
		if (r <= 0)
			return r;
		secret = wal_check_secret(bytes, &header);
		if (secret == WAL_SECRET_DAMAGED && !is_shared)
			return 0;
		r = deliver(bytes, &header, secret, replay, userdata);
		if (r < 0)
			return r;
		end->secrets_count += secret == WAL_SECRET_PRESENT;
		end->offset += wal_header_record_size(&header);
	}
}

/* Looks through what follows the last record. 1: some record in there proves it to be damage. */
static int inspect_rest(struct reader *reader, struct wal_end *end)
{
	struct wal_record_header header;
	const uint8_t *bytes;
	uint64_t offset;
	int r;

	for (offset = end->offset;; offset += WAL_RECORD_ALIGN) {
		uint64_t word;

		r = reader_fetch(reader, offset, WAL_RECORD_ALIGN, &bytes);
		if (r <= 0)
			break;
		memcpy(&word, bytes, sizeof(word));
		if (word == 0)
			continue;
		end->torn_bytes = offset + WAL_RECORD_ALIGN - end->offset;
		r = read_record(reader, offset, &bytes, &header);
		if (r < 0)
			return r;
		if (r > 0 && header.settled > end->offset)
			return 1;
	}
	if (r < 0)
		return r;
	/* A last word that is not whole. */
	if (reader_fetch(reader, offset, 1, &bytes) == 1)
		end->torn_bytes = offset + 1 - end->offset;
	return 0;
}

/*
 * In a file that nobody else has ever synced there is no record. A header that is not whole is what
 * a crash left of making the file, if nothing comes after it.
 */
static int check_file_header(struct reader *reader, const char kind[static 4], struct wal_end *end)
{
	const uint8_t *bytes;
	int r;

	r = reader_fetch(reader, 0, WAL_HEADER_BYTES, &bytes);
	if (r <= 0)
		return r;
	r = wal_parse_header(bytes, kind);
	if (r == -EMEDIUMTYPE)
		return r;
	if (r == 0) {
		end->offset = WAL_HEADER_BYTES;
		return 1;
	}
	end->offset = WAL_HEADER_BYTES;
	r = inspect_rest(reader, end);
	if (r < 0)
		return r;
	end->offset = 0;
	return r > 0 || end->torn_bytes > 0 ? -EBADMSG : 0;
}

int wal_replay_file(struct storage *storage, int file, const char kind[static 4], bool is_shared,
		    wal_replay_t replay, void *userdata, struct wal_end *ret)
{
	_cleanup_(reader_done) struct reader reader = {.storage = storage, .file = file};
	struct wal_end end = {0};
	int r, looks = is_shared ? SHARED_READ_MAX : 1;
	uint64_t stopped_at;

	r = check_file_header(&reader, kind, &end);
	if (r < 0)
		return r;
	for (bool is_done = r == 0; !is_done;) {
		stopped_at = end.offset;
		r = replay_records(&reader, is_shared, replay, userdata, &end);
		if (r < 0)
			return r;
		end.torn_bytes = 0;
		r = inspect_rest(&reader, &end);
		if (r < 0)
			return r;
		if (end.offset > stopped_at)
			looks = is_shared ? SHARED_READ_MAX : 1;
		/* Its writer may have written it after we read it and before we read what follows.
		 */
		is_done = r == 0 || --looks == 0;
		reader_forget(&reader);
	}
	if (r > 0)
		return -EBADMSG;
	*ret = end;
	return 0;
}
