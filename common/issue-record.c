/* SPDX-License-Identifier: MIT */
/*
 * The records of the issue record that say which keys count as used, and the question linkd has.
 *
 * On disk, little-endian:
 *
 *   AHEAD, KEY  version[1]=1  parity or state[1]  zero[2]  generation[4]  store[16]
 *               below or sequence[8]                                          (32 bytes)
 *   RETIRE      version[1]=1  zero[3]  generation[4]  store[16]               (24 bytes)
 *
 * A KEY may be followed by keyringd's own detail.
 */

#include <endian.h>

#include "common/issue-record.h"

#define RECORD_VERSION 1

struct packed_head {
	uint8_t version, parity_or_state, zero[2];
	uint32_t generation;
	struct uuid store;
};

struct packed {
	struct packed_head head;
	uint64_t sequence;
};

_Static_assert(sizeof(struct packed_head) == ISSUE_RECORD_RETIRE_BYTES, "layout on disk");
_Static_assert(sizeof(struct packed) == ISSUE_RECORD_AHEAD_BYTES, "layout on disk");
_Static_assert(sizeof(struct packed) == ISSUE_RECORD_KEY_BYTES, "layout on disk");

static struct packed_head pack_head(uint8_t parity_or_state, uint32_t generation,
				    const struct uuid *store)
{
	return (struct packed_head){
		.version = RECORD_VERSION,
		.parity_or_state = parity_or_state,
		.generation = htole32(generation),
		.store = *store,
	};
}

/* size_bytes of packed are there and of our version. */
static int unpack(const struct wal_record *record, enum issue_record_type type, size_t size_bytes,
		  struct packed *ret)
{
	if (record->type != (uint8_t)type || record->public_size < size_bytes)
		return -EBADMSG;
	memcpy(ret, record->public_bytes, size_bytes);
	if (ret->head.version != RECORD_VERSION || ret->head.zero[0] != 0 || ret->head.zero[1] != 0)
		return -EBADMSG;
	ret->head.generation = le32toh(ret->head.generation);
	ret->sequence = le64toh(ret->sequence);
	return 0;
}

int issue_record_parse_ahead(const struct wal_record *record, struct issue_record_ahead *ret)
{
	struct packed packed;
	int r = unpack(record, ISSUE_RECORD_AHEAD, sizeof(packed), &packed);

	if (r < 0 || packed.head.parity_or_state > 1 || record->public_size != sizeof(packed))
		return -EBADMSG;
	*ret = (struct issue_record_ahead){
		.store = packed.head.store,
		.generation = packed.head.generation,
		.parity = packed.head.parity_or_state,
		.below = packed.sequence,
	};
	return 0;
}

int issue_record_parse_key(const struct wal_record *record, struct issue_record_key *ret)
{
	struct packed packed;
	int r = unpack(record, ISSUE_RECORD_KEY, sizeof(packed), &packed);

	if (r < 0 || packed.head.parity_or_state < ISSUE_KEY_RESERVED ||
	    packed.head.parity_or_state > ISSUE_KEY_RELEASED)
		return -EBADMSG;
	*ret = (struct issue_record_key){
		.store = packed.head.store,
		.generation = packed.head.generation,
		.sequence = packed.sequence,
		.state = (enum issue_key_state)packed.head.parity_or_state,
	};
	return 0;
}

int issue_record_parse_retire(const struct wal_record *record, struct issue_record_retire *ret)
{
	struct packed packed = {0};
	int r = unpack(record, ISSUE_RECORD_RETIRE, sizeof(packed.head), &packed);

	if (r < 0 || packed.head.parity_or_state != 0 || record->public_size != sizeof(packed.head))
		return -EBADMSG;
	*ret = (struct issue_record_retire){
		.store = packed.head.store,
		.generation = packed.head.generation,
	};
	return 0;
}

void issue_record_build_ahead(const struct issue_record_ahead *ahead,
			      uint8_t ret_bytes[static ISSUE_RECORD_AHEAD_BYTES])
{
	const struct packed packed = {
		.head = pack_head(ahead->parity, ahead->generation, &ahead->store),
		.sequence = htole64(ahead->below),
	};

	memcpy(ret_bytes, &packed, sizeof(packed));
}

void issue_record_build_key(const struct issue_record_key *key,
			    uint8_t ret_bytes[static ISSUE_RECORD_KEY_BYTES])
{
	const struct packed packed = {
		.head = pack_head((uint8_t)key->state, key->generation, &key->store),
		.sequence = htole64(key->sequence),
	};

	memcpy(ret_bytes, &packed, sizeof(packed));
}

void issue_record_build_retire(const struct issue_record_retire *retire,
			       uint8_t ret_bytes[static ISSUE_RECORD_RETIRE_BYTES])
{
	const struct packed_head head = pack_head(0, retire->generation, &retire->store);

	memcpy(ret_bytes, &head, sizeof(head));
}

/* One question to the record. */
struct question {
	const struct uuid *store;
	uint32_t generation;
	uint64_t first;
	size_t count;
	uint64_t below[2]; /* by parity */
	bool is_retired;
	bool *used;
};

static bool is_asked_for(const struct question *question, const struct uuid *store,
			 uint32_t generation)
{
	return generation == question->generation && uuid_equal(store, question->store);
}

static int note_ahead(struct question *question, const struct wal_record *record)
{
	struct issue_record_ahead ahead;
	int r = issue_record_parse_ahead(record, &ahead);

	if (r < 0)
		return r;
	if (is_asked_for(question, &ahead.store, ahead.generation))
		question->below[ahead.parity] = MAX(question->below[ahead.parity], ahead.below);
	return 0;
}

static int note_key(struct question *question, const struct wal_record *record)
{
	struct issue_record_key key;
	int r = issue_record_parse_key(record, &key);

	if (r < 0)
		return r;
	if (is_asked_for(question, &key.store, key.generation) && key.sequence >= question->first &&
	    key.sequence - question->first < question->count)
		question->used[key.sequence - question->first] = key.state != ISSUE_KEY_RELEASED;
	return 0;
}

static int note_retire(struct question *question, const struct wal_record *record)
{
	struct issue_record_retire retire;
	int r = issue_record_parse_retire(record, &retire);

	if (r < 0)
		return r;
	if (is_asked_for(question, &retire.store, retire.generation))
		question->is_retired = true;
	return 0;
}

static int note(const struct wal_record *record, const struct wal_place *place, void *userdata)
{
	switch (record->type) {
	case ISSUE_RECORD_AHEAD:
		return note_ahead(userdata, record);
	case ISSUE_RECORD_KEY:
		return note_key(userdata, record);
	case ISSUE_RECORD_RETIRE:
		return note_retire(userdata, record);
	}
	/* keyringd's own; a type that nobody knows may say that a key was issued. */
	return record->type >= ISSUE_RECORD_PRIVATE ? 0 : -EBADMSG;
}

static bool is_used(const struct question *question, size_t i)
{
	uint64_t sequence = question->first + i;

	return question->is_retired || question->used[i] ||
	       sequence < question->below[sequence % 2];
}

int issue_record_used(struct storage *state, const struct uuid *store, uint32_t generation,
		      uint64_t first, size_t count, bool *ret_used)
{
	_cleanup_(freep) bool *used = calloc(MAX(count, (size_t)1), sizeof(*used));
	struct question question = {
		.store = store,
		.generation = generation,
		.first = first,
		.count = count,
		.used = used,
	};
	int r;

	if (!used)
		return -ENOMEM;
	r = wal_read(state, ISSUE_RECORD_DIRECTORY "/" ISSUE_RECORD_FILE, ISSUE_RECORD_KIND, note,
		     &question);
	if (r < 0 && r != -ENOENT)
		return r;
	for (size_t i = 0; i < count; i++)
		ret_used[i] = is_used(&question, i);
	return 0;
}
