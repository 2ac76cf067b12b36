/* SPDX-License-Identifier: MIT */

/*
 * The bytes of the issue record's entries. Apart from the log that stores them, so that every
 * format is tested and fuzzed as a pure function.
 */

#include "qkd-keyringd/issue-entry.h"

#include <endian.h>

#define ENTRY_VERSION 1

#define KEY_BY_PEER  0x01u
#define KEY_IS_PART  0x02u
#define KEY_HAS_SIZE 0x04u
#define LABEL_SERVED 0x01u
#define LABEL_ENDED  0x02u
#define LIST_DONE    0x01u

/* A place in bytes that are written; the caller's buffer is large enough for any entry. */
struct writer {
	uint8_t *at;
};

static void put_bytes(struct writer *writer, const void *bytes, size_t size_bytes)
{
	memcpy(writer->at, bytes, size_bytes);
	writer->at += size_bytes;
}

static void put_u8(struct writer *writer, uint8_t value)
{
	put_bytes(writer, &value, sizeof(value));
}

static void put_u32(struct writer *writer, uint32_t value)
{
	value = htole32(value);
	put_bytes(writer, &value, sizeof(value));
}

static void put_u64(struct writer *writer, uint64_t value)
{
	value = htole64(value);
	put_bytes(writer, &value, sizeof(value));
}

static void put_text(struct writer *writer, const char *text)
{
	size_t chars = strlen(text);

	put_u8(writer, (uint8_t)chars);
	put_bytes(writer, text, chars);
}

/* A place in bytes that are read; too few of them make it fail for good. */
struct reader {
	const uint8_t *at, *end;
	bool failed;
};

static void get_bytes(struct reader *reader, void *ret, size_t size_bytes)
{
	if (reader->failed || (size_t)(reader->end - reader->at) < size_bytes) {
		reader->failed = true;
		memset(ret, 0, size_bytes);
		return;
	}
	memcpy(ret, reader->at, size_bytes);
	reader->at += size_bytes;
}

static uint8_t get_u8(struct reader *reader)
{
	uint8_t value;

	get_bytes(reader, &value, sizeof(value));
	return value;
}

static uint32_t get_u32(struct reader *reader)
{
	uint32_t value;

	get_bytes(reader, &value, sizeof(value));
	return le32toh(value);
}

static uint64_t get_u64(struct reader *reader)
{
	uint64_t value;

	get_bytes(reader, &value, sizeof(value));
	return le64toh(value);
}

static void get_text(struct reader *reader, char *ret, size_t max_chars)
{
	size_t chars = get_u8(reader);

	if (chars > max_chars) {
		reader->failed = true;
		chars = 0;
	}
	get_bytes(reader, ret, chars);
	ret[chars] = '\0';
	if (strlen(ret) != chars)
		reader->failed = true;
}

static struct reader reader_of(const struct wal_record *record)
{
	struct reader reader = {
		.at = record->public_bytes,
		.end = (const uint8_t *)record->public_bytes + record->public_size,
	};

	if (get_u8(&reader) != ENTRY_VERSION)
		reader.failed = true;
	return reader;
}

static int reader_result(const struct reader *reader)
{
	return reader->failed || reader->at != reader->end ? -EBADMSG : 0;
}

size_t issue_entry_build_start(const struct issue_start *start, uint8_t *ret_bytes)
{
	struct writer writer = {ret_bytes};

	put_u8(&writer, ENTRY_VERSION);
	put_bytes(&writer, start->log.bytes, sizeof(start->log.bytes));
	put_bytes(&writer, start->boot.bytes, sizeof(start->boot.bytes));
	put_u64(&writer, start->starts);
	put_u64(&writer, start->position);
	return (size_t)(writer.at - ret_bytes);
}

int issue_entry_parse_start(const struct wal_record *record, struct issue_start *ret)
{
	struct reader reader = reader_of(record);
	struct issue_start start;

	get_bytes(&reader, start.log.bytes, sizeof(start.log.bytes));
	get_bytes(&reader, start.boot.bytes, sizeof(start.boot.bytes));
	start.starts = get_u64(&reader);
	start.position = get_u64(&reader);
	if (reader_result(&reader) < 0)
		return -EBADMSG;
	*ret = start;
	return 0;
}

static bool key_has_detail(enum issue_key_state state)
{
	return state == ISSUE_KEY_RESERVED || state == ISSUE_KEY_DELIVERING;
}

static void put_parts(struct writer *writer, const struct issue_key *key)
{
	if (key->bits == 0)
		return;
	put_u32(writer, key->bits);
	put_u8(writer, (uint8_t)key->part_count);
	for (size_t i = 0; i < key->part_count; i++)
		put_u64(writer, key->parts[i]);
}

size_t issue_entry_build_key(const struct issue_key *key, uint8_t *ret_bytes)
{
	struct writer writer = {ret_bytes + ISSUE_RECORD_KEY_BYTES};

	issue_record_build_key(&key->key, ret_bytes);
	if (!key_has_detail(key->key.state))
		return ISSUE_RECORD_KEY_BYTES;
	put_u8(&writer, ENTRY_VERSION);
	put_bytes(&writer, key->id.bytes, sizeof(key->id.bytes));
	put_u8(&writer,
	       (uint8_t)((key->by_peer ? KEY_BY_PEER : 0) | (key->is_part ? KEY_IS_PART : 0) |
			 (key->bits ? KEY_HAS_SIZE : 0)));
	put_u32(&writer, key->owner);
	put_bytes(&writer, key->request.bytes, sizeof(key->request.bytes));
	put_u64(&writer, key->expires_usec);
	put_text(&writer, key->label);
	put_u64(&writer, key->label_generation);
	put_parts(&writer, key);
	return (size_t)(writer.at - ret_bytes);
}

static void get_parts(struct reader *reader, struct issue_key *key)
{
	key->bits = get_u32(reader);
	key->part_count = get_u8(reader);
	if (key->bits == 0 || key->part_count > ELEMENTSOF(key->parts)) {
		reader->failed = true;
		key->part_count = 0;
	}
	for (size_t i = 0; i < key->part_count; i++)
		key->parts[i] = get_u64(reader);
}

static int get_detail(struct reader *reader, struct issue_key *key)
{
	uint8_t flags;

	get_bytes(reader, key->id.bytes, sizeof(key->id.bytes));
	flags = get_u8(reader);
	key->by_peer = flags & KEY_BY_PEER;
	key->is_part = flags & KEY_IS_PART;
	key->owner = get_u32(reader);
	get_bytes(reader, key->request.bytes, sizeof(key->request.bytes));
	key->expires_usec = get_u64(reader);
	get_text(reader, key->label, LABEL_MAX_CHARS);
	key->label_generation = get_u64(reader);
	if (flags & KEY_HAS_SIZE)
		get_parts(reader, key);
	if (reader_result(reader) < 0 || (*key->label && !label_is_valid(key->label)))
		return -EBADMSG;
	return 0;
}

int issue_entry_parse_key(const struct wal_record *record, struct issue_key *ret)
{
	struct issue_key key = {.owner = ISSUE_NO_OWNER};
	struct wal_record detail = *record;
	struct reader reader;
	int r = issue_record_parse_key(record, &key.key);

	if (r < 0)
		return r;
	if (key_has_detail(key.key.state)) {
		detail.public_bytes =
			(const uint8_t *)record->public_bytes + ISSUE_RECORD_KEY_BYTES;
		detail.public_size -= ISSUE_RECORD_KEY_BYTES;
		reader = reader_of(&detail);
		if (get_detail(&reader, &key) < 0)
			return -EBADMSG;
	}
	*ret = key;
	return 0;
}

size_t issue_entry_build_label(const struct issue_label *label, uint8_t *ret_bytes)
{
	struct writer writer = {ret_bytes};

	put_u8(&writer, ENTRY_VERSION);
	put_u8(&writer,
	       (uint8_t)((label->served ? LABEL_SERVED : 0) | (label->ended ? LABEL_ENDED : 0)));
	put_text(&writer, label->peer);
	put_text(&writer, label->label);
	put_u64(&writer, label->generation);
	put_u64(&writer, label->expires_usec);
	put_u32(&writer, label->bits);
	put_bytes(&writer, label->id.bytes, sizeof(label->id.bytes));
	return (size_t)(writer.at - ret_bytes);
}

int issue_entry_parse_label(const struct wal_record *record, struct issue_label *ret)
{
	struct reader reader = reader_of(record);
	struct issue_label label = {};
	uint8_t flags = get_u8(&reader);

	label.served = flags & LABEL_SERVED;
	label.ended = flags & LABEL_ENDED;
	get_text(&reader, label.peer, NAME_MAX_CHARS);
	get_text(&reader, label.label, LABEL_MAX_CHARS);
	label.generation = get_u64(&reader);
	label.expires_usec = get_u64(&reader);
	label.bits = get_u32(&reader);
	get_bytes(&reader, label.id.bytes, sizeof(label.id.bytes));
	if (reader_result(&reader) < 0 || !site_name_is_valid(label.peer) ||
	    !label_is_valid(label.label))
		return -EBADMSG;
	*ret = label;
	return 0;
}

size_t issue_entry_build_list(const struct issue_list *list, uint8_t *ret_bytes)
{
	struct writer writer = {ret_bytes};

	put_u8(&writer, ENTRY_VERSION);
	put_u8(&writer, (uint8_t)list->kind);
	put_u8(&writer, list->done ? LIST_DONE : 0);
	put_bytes(&writer, list->request.bytes, sizeof(list->request.bytes));
	put_text(&writer, list->peer);
	put_bytes(&writer, list->store.bytes, sizeof(list->store.bytes));
	put_u32(&writer, list->generation);
	put_u32(&writer, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++)
		put_u64(&writer, list->sequences[i]);
	return (size_t)(writer.at - ret_bytes);
}

int issue_entry_parse_list(const struct wal_record *record, struct issue_list *ret)
{
	struct reader reader = reader_of(record);
	uint8_t kind = get_u8(&reader);

	*ret = (struct issue_list){.kind = kind};
	ret->done = get_u8(&reader) & LIST_DONE;
	get_bytes(&reader, ret->request.bytes, sizeof(ret->request.bytes));
	get_text(&reader, ret->peer, NAME_MAX_CHARS);
	get_bytes(&reader, ret->store.bytes, sizeof(ret->store.bytes));
	ret->generation = get_u32(&reader);
	ret->count = get_u32(&reader);
	if (reader.failed || kind < ISSUE_LIST_GRANTED || kind > ISSUE_LIST_DOOMED ||
	    (ret->count == 0 && ret->kind != ISSUE_LIST_TAKEN) ||
	    ret->count > ISSUE_ENTRY_MAX_KEYS || !site_name_is_valid(ret->peer))
		return -EBADMSG;
	for (size_t i = 0; i < ret->count; i++)
		ret->sequences[i] = get_u64(&reader);
	return reader_result(&reader);
}

size_t issue_entry_build_list_done(const struct uuid *request, uint8_t *ret_bytes)
{
	struct writer writer = {ret_bytes};

	put_u8(&writer, ENTRY_VERSION);
	put_bytes(&writer, request->bytes, sizeof(request->bytes));
	return (size_t)(writer.at - ret_bytes);
}

int issue_entry_parse_list_done(const struct wal_record *record, struct uuid *ret)
{
	struct reader reader = reader_of(record);
	struct uuid request;

	get_bytes(&reader, request.bytes, sizeof(request.bytes));
	if (reader_result(&reader) < 0)
		return -EBADMSG;
	*ret = request;
	return 0;
}

size_t issue_entry_build_peer(const struct issue_peer *peer, uint8_t *ret_bytes)
{
	struct writer writer = {ret_bytes};

	put_u8(&writer, ENTRY_VERSION);
	put_text(&writer, peer->peer);
	put_bytes(&writer, peer->log.bytes, sizeof(peer->log.bytes));
	put_u64(&writer, peer->position);
	return (size_t)(writer.at - ret_bytes);
}

int issue_entry_parse_peer(const struct wal_record *record, struct issue_peer *ret)
{
	struct reader reader = reader_of(record);
	struct issue_peer peer = {};

	get_text(&reader, peer.peer, NAME_MAX_CHARS);
	get_bytes(&reader, peer.log.bytes, sizeof(peer.log.bytes));
	peer.position = get_u64(&reader);
	if (reader_result(&reader) < 0 || !site_name_is_valid(peer.peer))
		return -EBADMSG;
	*ret = peer;
	return 0;
}
