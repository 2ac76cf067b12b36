/* SPDX-License-Identifier: MIT */

/*
 * The sync journal's records: building them, and replaying them into what is open.
 */

#include "qkd-linkd/sync-journal.h"

#include <assert.h>
#include <endian.h>

enum record_type {
	RECORD_STORE = 1,
	RECORD_PREPARED,
	RECORD_COMMIT,
	RECORD_ABORT,
	RECORD_APPLIED,
	RECORD_DONE,
};

/* On disk, little-endian, without padding. */
struct __attribute__((packed)) record_store {
	uint8_t uuid[16];
	uint32_t generation, key_bits;
	uint64_t next, decided, next_txn;
	char directory[KEYFILE_NAME_MAX];
};
struct __attribute__((packed)) record_prepared {
	uint64_t txn, alpha, beta;
	uint32_t count, lines;
	struct uuid ids[SYNC_MAX_KEYS]; /* count of them, or none when the keys are gone */
};
struct __attribute__((packed)) record_commit {
	uint64_t txn, beta, first;
};
struct __attribute__((packed)) record_applied {
	uint64_t txn, next;
	uint8_t over;
};
struct __attribute__((packed)) record_txn {
	uint64_t txn;
};

#define PREPARED_FIXED_BYTES offsetof(struct record_prepared, ids)

struct sync_journal {
	struct wal *wal;
	struct wal_place *wipe; /* of the replay: keys that are no longer needed */
	size_t wipe_count, wipe_size;
	uint64_t compact_bytes; /* rewritten when it is larger */
	struct sync_recovered *recovering;
	const struct sync_store *snapshot_store;
	struct sync_txn *const *snapshot_txns;
	size_t snapshot_count;
};

void sync_recovered_done(struct sync_recovered *recovered)
{
	for (size_t i = 0; i < recovered->count; i++)
		sync_txn_free(recovered->txns[i]);
	recovered->count = 0;
}

static int note_wipe(struct sync_journal *journal, const struct wal_place *place)
{
	if (place->secret_size == 0)
		return 0;
	if (journal->wipe_count == journal->wipe_size) {
		size_t size = MAX(2 * journal->wipe_size, (size_t)SYNC_MAX_OPEN);
		struct wal_place *wipe = reallocarray(journal->wipe, size, sizeof(*wipe));

		if (!wipe)
			return -ENOMEM;
		journal->wipe = wipe;
		journal->wipe_size = size;
	}
	journal->wipe[journal->wipe_count++] = *place;
	return 0;
}

/* Replay */

static struct sync_txn *find_recovered(struct sync_recovered *recovered, uint64_t number,
				       size_t *ret_index)
{
	for (size_t i = 0; i < recovered->count; i++)
		if (recovered->txns[i]->number == number) {
			*ret_index = i;
			return recovered->txns[i];
		}
	return NULL;
}

static void forget_recovered(struct sync_recovered *recovered, size_t i)
{
	sync_txn_free(recovered->txns[i]);
	recovered->count--;
	memmove(&recovered->txns[i], &recovered->txns[i + 1],
		(recovered->count - i) * sizeof(recovered->txns[0]));
}

static int replay_store(struct sync_journal *journal, const struct wal_record *record)
{
	struct sync_recovered *recovered = journal->recovering;
	const struct record_store *disk = record->public_bytes;
	struct sync_store *store = &recovered->store;
	int r;

	if (record->public_size != sizeof(*disk) ||
	    !memchr(disk->directory, '\0', sizeof(disk->directory)))
		return -EBADMSG;
	for (size_t i = 0; i < recovered->count; i++) {
		r = note_wipe(journal, &recovered->txns[i]->place);
		if (r < 0)
			return r;
	}
	sync_recovered_done(recovered);
	memcpy(store->uuid.bytes, disk->uuid, sizeof(disk->uuid));
	store->generation = le32toh(disk->generation);
	store->key_bits = le32toh(disk->key_bits);
	store->next = le64toh(disk->next);
	store->decided = le64toh(disk->decided);
	store->next_txn = le64toh(disk->next_txn);
	memcpy(store->directory, disk->directory, sizeof(store->directory));
	return 0;
}

static int read_keys(const struct wal_record *record, struct sync_txn *txn)
{
	const struct record_prepared *disk = record->public_bytes;
	size_t ids_bytes = record->public_size - PREPARED_FIXED_BYTES;
	int r;

	if (!record->secret_bytes)
		return 0;
	if (ids_bytes != txn->count * sizeof(struct uuid) || record->secret_size == 0 ||
	    record->secret_size % txn->count != 0)
		return -EBADMSG;
	r = key_batch_new(txn->count, record->secret_size / txn->count, &txn->keys);
	if (r < 0)
		return r;
	memcpy(txn->keys->ids, disk->ids, ids_bytes);
	memcpy(txn->keys->keys->bytes, record->secret_bytes, record->secret_size);
	return 0;
}

static int replay_prepared(struct sync_journal *journal, const struct wal_record *record,
			   const struct wal_place *place)
{
	struct sync_recovered *recovered = journal->recovering;
	_cleanup_(sync_txn_freep) struct sync_txn *txn = NULL;
	const struct record_prepared *disk = record->public_bytes;
	size_t i;
	int r;

	if (record->public_size < PREPARED_FIXED_BYTES ||
	    find_recovered(recovered, le64toh(disk->txn), &i) || recovered->count == SYNC_MAX_OPEN)
		return -EBADMSG;
	r = sync_txn_new(le64toh(disk->txn), &txn);
	if (r < 0)
		return r;
	txn->state = SYNC_PREPARED;
	txn->is_recovered = true;
	txn->alpha = le64toh(disk->alpha);
	txn->beta = le64toh(disk->beta);
	txn->count = le32toh(disk->count);
	txn->lines = le32toh(disk->lines);
	if (txn->count == 0 || txn->count > SYNC_MAX_KEYS || txn->lines == 0 ||
	    txn->lines > txn->count)
		return -EBADMSG;
	r = read_keys(record, txn);
	if (r < 0)
		return r;
	txn->place = *place; /* also when they are gone: overwriting may have been cut short */
	recovered->store.next_txn = MAX(recovered->store.next_txn, txn->number + 1);
	recovered->txns[recovered->count++] = TAKE_PTR(txn);
	return 0;
}

static int replay_commit(struct sync_journal *journal, const struct wal_record *record)
{
	struct sync_recovered *recovered = journal->recovering;
	const struct record_commit *disk = record->public_bytes;
	struct sync_txn *txn;
	size_t i;

	if (record->public_size != sizeof(*disk))
		return -EBADMSG;
	txn = find_recovered(recovered, le64toh(disk->txn), &i);
	if (!txn || txn->state != SYNC_PREPARED)
		return -EBADMSG;
	txn->beta = le64toh(disk->beta);
	txn->first = le64toh(disk->first);
	/* A rewritten journal has what is applied but not DONE in this short form. */
	txn->state = txn->first < recovered->store.next ? SYNC_APPLIED : SYNC_COMMITTED;
	recovered->store.decided = MAX(recovered->store.decided, txn->first + txn->lines);
	return 0;
}

static int replay_applied(struct sync_journal *journal, const struct wal_record *record)
{
	struct sync_recovered *recovered = journal->recovering;
	const struct record_applied *disk = record->public_bytes;
	struct sync_txn *txn;
	size_t i;
	int r;

	if (record->public_size != sizeof(*disk))
		return -EBADMSG;
	txn = find_recovered(recovered, le64toh(disk->txn), &i);
	if (!txn || txn->state != SYNC_COMMITTED ||
	    txn->first + txn->lines != le64toh(disk->next) || recovered->store.next != txn->first)
		return -EBADMSG;
	recovered->store.next = le64toh(disk->next);
	r = note_wipe(journal, &txn->place);
	if (r < 0)
		return r;
	txn->state = SYNC_APPLIED;
	txn->place = (struct wal_place){};
	txn->keys = key_batch_free(txn->keys);
	if (disk->over)
		forget_recovered(recovered, i);
	return 0;
}

/* ABORT of what is not decided, DONE of what is applied. */
static int replay_end(struct sync_journal *journal, const struct wal_record *record,
		      enum sync_state expected)
{
	struct sync_recovered *recovered = journal->recovering;
	const struct record_txn *disk = record->public_bytes;
	struct sync_txn *txn;
	size_t i;
	int r;

	if (record->public_size != sizeof(*disk))
		return -EBADMSG;
	txn = find_recovered(recovered, le64toh(disk->txn), &i);
	if (!txn || txn->state != expected)
		return -EBADMSG;
	r = note_wipe(journal, &txn->place);
	if (r < 0)
		return r;
	forget_recovered(recovered, i);
	return 0;
}

static int replay(const struct wal_record *record, const struct wal_place *place, void *userdata)
{
	struct sync_journal *journal = userdata;

	switch (record->type) {
	case RECORD_STORE:
		return replay_store(journal, record);
	case RECORD_PREPARED:
		return replay_prepared(journal, record, place);
	case RECORD_COMMIT:
		return replay_commit(journal, record);
	case RECORD_ABORT:
		return replay_end(journal, record, SYNC_PREPARED);
	case RECORD_APPLIED:
		return replay_applied(journal, record);
	case RECORD_DONE:
		return replay_end(journal, record, SYNC_APPLIED);
	}
	return -EBADMSG;
}

/* What a crash kept from being overwritten. */
static int wipe_noted(struct sync_journal *journal)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < journal->wipe_count; i++)
		r = wal_wipe(journal->wal, &journal->wipe[i]);
	free(TAKE_PTR(journal->wipe));
	journal->wipe_count = journal->wipe_size = 0;
	return r;
}

int sync_journal_open(struct storage *storage, const char *name,
		      struct sync_recovered *ret_recovered, struct sync_journal **ret)
{
	_cleanup_(sync_journal_freep) struct sync_journal *journal = calloc(1, sizeof(*journal));
	struct sync_recovered recovered = {.store.next_txn = 1};
	int r;

	if (!journal)
		return -ENOMEM;
	journal->compact_bytes = SYNC_JOURNAL_COMPACT_BYTES;
	journal->recovering = &recovered;
	r = wal_open(storage, name, SYNC_JOURNAL_KIND, replay, journal, &journal->wal);
	journal->recovering = NULL;
	if (r >= 0)
		r = wipe_noted(journal);
	if (r < 0) {
		sync_recovered_done(&recovered);
		return r;
	}
	recovered.torn_bytes = wal_torn_bytes(journal->wal);
	*ret_recovered = recovered;
	*ret = TAKE_PTR(journal);
	return 0;
}

struct sync_journal *sync_journal_free(struct sync_journal *journal)
{
	if (!journal)
		return NULL;
	wal_free(journal->wal);
	free(journal->wipe);
	free(journal);
	return NULL;
}

/* Appending */

static int append(struct sync_journal *journal, enum record_type type, const void *bytes,
		  size_t size_bytes)
{
	struct wal_record record = {.type = type, .public_bytes = bytes, .public_size = size_bytes};
	struct wal_place place;

	return wal_append(journal->wal, &record, &place);
}

int sync_journal_store(struct sync_journal *journal, const struct sync_store *store)
{
	struct record_store disk = {
		.generation = htole32(store->generation),
		.key_bits = htole32(store->key_bits),
		.next = htole64(store->next),
		.decided = htole64(store->decided),
		.next_txn = htole64(store->next_txn),
	};

	memcpy(disk.uuid, store->uuid.bytes, sizeof(disk.uuid));
	snprintf(disk.directory, sizeof(disk.directory), "%s", store->directory);
	return append(journal, RECORD_STORE, &disk, sizeof(disk));
}

int sync_journal_prepared(struct sync_journal *journal, struct sync_txn *txn)
{
	struct record_prepared disk;
	struct wal_record record = {.type = RECORD_PREPARED,
				    .public_bytes = &disk,
				    .public_size = PREPARED_FIXED_BYTES};

	disk.txn = htole64(txn->number);
	disk.alpha = htole64(txn->alpha);
	disk.beta = htole64(txn->beta);
	disk.count = htole32(txn->count);
	disk.lines = htole32(txn->lines);
	if (txn->keys) {
		size_t ids_bytes = txn->count * sizeof(struct uuid);

		memcpy(disk.ids, txn->keys->ids, ids_bytes);
		record.public_size += ids_bytes;
		record.secret_bytes = txn->keys->keys->bytes;
		/* A device that gave fewer keys than it was asked for has left room behind them. */
		record.secret_size = txn->count * txn->keys->key_bytes;
	}
	return wal_append(journal->wal, &record, &txn->place);
}

int sync_journal_commit(struct sync_journal *journal, const struct sync_txn *txn)
{
	struct record_commit disk = {
		.txn = htole64(txn->number),
		.beta = htole64(txn->beta),
		.first = htole64(txn->first),
	};

	return append(journal, RECORD_COMMIT, &disk, sizeof(disk));
}

int sync_journal_abort(struct sync_journal *journal, const struct sync_txn *txn)
{
	struct record_txn disk = {.txn = htole64(txn->number)};
	int r = append(journal, RECORD_ABORT, &disk, sizeof(disk));

	return r < 0 ? r : wal_wipe(journal->wal, &txn->place);
}

int sync_journal_applied(struct sync_journal *journal, const struct sync_txn *txn, uint64_t next,
			 bool over)
{
	struct record_applied disk = {
		.txn = htole64(txn->number), .next = htole64(next), .over = over};
	int r = append(journal, RECORD_APPLIED, &disk, sizeof(disk));

	return r < 0 ? r : wal_wipe(journal->wal, &txn->place);
}

int sync_journal_done(struct sync_journal *journal, const struct sync_txn *txn)
{
	struct record_txn disk = {.txn = htole64(txn->number)};

	return append(journal, RECORD_DONE, &disk, sizeof(disk));
}

bool sync_journal_is_dirty(const struct sync_journal *journal)
{
	return wal_is_dirty(journal->wal);
}

int sync_journal_sync(struct sync_journal *journal)
{
	return wal_sync(journal->wal);
}

/* Compaction */

static int snapshot_txn(struct sync_journal *journal, struct sync_txn *txn)
{
	int r = sync_journal_prepared(journal, txn);

	if (r >= 0 && sync_txn_is_decided(txn))
		r = sync_journal_commit(journal, txn);
	return r;
}

static int snapshot(struct wal *wal, void *userdata)
{
	struct sync_journal *journal = userdata;
	struct wal *old = journal->wal;
	int r;

	journal->wal = wal; /* what is appended goes to the new file */
	r = sync_journal_store(journal, journal->snapshot_store);
	for (size_t i = 0; r >= 0 && i < journal->snapshot_count; i++)
		if (journal->snapshot_txns[i]->state >= SYNC_PREPARED)
			r = snapshot_txn(journal, journal->snapshot_txns[i]);
	journal->wal = old;
	return r;
}

bool sync_journal_is_large(const struct sync_journal *journal)
{
	return wal_size_bytes(journal->wal) > journal->compact_bytes;
}

int sync_journal_compact(struct sync_journal *journal, const struct sync_store *store,
			 struct sync_txn *const *txns, size_t count)
{
	struct wal_place places[SYNC_MAX_OPEN];
	int r;

	assert(count <= SYNC_MAX_OPEN);
	for (size_t i = 0; i < count; i++)
		places[i] = txns[i]->place;
	journal->snapshot_store = store;
	journal->snapshot_txns = txns;
	journal->snapshot_count = count;
	r = wal_rewrite(journal->wal, snapshot, journal);
	for (size_t i = 0; r < 0 && i < count; i++)
		txns[i]->place = places[i];
	return r;
}
