/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The sync journal: what this side has promised and decided, durable. A wal of kind "QKDJ"; every
 * append here is buffered until sync_journal_sync(), which makes a whole group durable at once.
 *
 * Record      written by  says
 * STORE       both        this store, generation and directory from here; nothing older is open
 * PREPARED    both        these keys are held for this transaction (ids public, keys secret)
 * COMMIT      both        decided, with these sequence numbers
 * ABORT       both        decided that not
 * APPLIED     both        lines up to here are in the key file, durable
 * DONE        leader      the follower has them too; forget
 *
 * The keys of a transaction are overwritten once its APPLIED or ABORT is durable, never before
 * (wal.h sees to that): a record that is needed never lacks its keys.
 */

#include "common/keyfile.h"
#include "qkd-linkd/sync-txn.h"

#define SYNC_JOURNAL_KIND          "QKDJ"
#define SYNC_JOURNAL_FILE          "journal"
#define SYNC_JOURNAL_COMPACT_BYTES (16u << 20) /* above it the journal is rewritten */

/* This side's store, and how far it is. */
struct sync_store {
	struct uuid uuid; /* null: none yet */
	uint32_t generation;
	uint32_t key_bits;
	char directory[KEYFILE_NAME_MAX]; /* below the keys directory */
	uint64_t next;                    /* sequence number that is appended next */
	uint64_t decided;                 /* leader: the one that is given next */
	uint64_t next_txn; /* leader: number that is used next; follower: above all it prepared */
};

/* What was open when the daemon ended, by transaction number. */
struct sync_recovered {
	struct sync_store store;
	struct sync_txn *txns[SYNC_MAX_OPEN];
	size_t count;
	uint64_t torn_bytes;
};
void sync_recovered_done(struct sync_recovered *recovered);

struct sync_journal;

/* storage is borrowed. -EBADMSG when the journal contradicts itself. ret_recovered is filled in. */
int sync_journal_open(struct storage *storage, const char *name,
		      struct sync_recovered *ret_recovered, struct sync_journal **ret);
struct sync_journal *sync_journal_free(struct sync_journal *journal);
DEFINE_CLEANUP(struct sync_journal *, sync_journal_free);

int sync_journal_store(struct sync_journal *journal, const struct sync_store *store);
int sync_journal_prepared(struct sync_journal *journal, struct sync_txn *txn); /* sets txn->place */
int sync_journal_commit(struct sync_journal *journal, const struct sync_txn *txn);
int sync_journal_abort(struct sync_journal *journal, const struct sync_txn *txn);
/* next: the sequence number after its lines. over: nothing more will come for it. */
int sync_journal_applied(struct sync_journal *journal, const struct sync_txn *txn, uint64_t next,
			 bool over);
int sync_journal_done(struct sync_journal *journal, const struct sync_txn *txn);

bool sync_journal_is_dirty(const struct sync_journal *journal);
/* Everything appended is durable after it. A failure is final. */
int sync_journal_sync(struct sync_journal *journal);
bool sync_journal_is_large(const struct sync_journal *journal);
/* Replaces the journal by these; durable after it. Sets the transactions' places. */
int sync_journal_compact(struct sync_journal *journal, const struct sync_store *store,
			 struct sync_txn *const *txns, size_t count);
