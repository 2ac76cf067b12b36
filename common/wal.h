/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An append-only record file with group commit: linkd's sync journal and keyringd's issue record.
 *
 * A record has a type, public bytes and, optionally, secret bytes (keys) that can be overwritten in
 * place later without touching the rest; each part has a CRC-32C of its own. On open the records
 * are replayed in order; a torn tail (what a crash left of the last group) is cut off and told;
 * damage before the tail is -EBADMSG, never skipped.
 *
 * A failed sync is final: the file is poisoned, every later call gives -EIO, and the daemon has to
 * stop, because after a failed fsync(2) nobody knows what the disk holds.
 */

#include "common/secret.h"
#include "common/storage.h"

#define WAL_RECORD_MAX_BYTES (4u << 20)

struct wal;

struct wal_record {
	uint8_t type; /* 1..255, the caller's */
	const void *public_bytes;
	size_t public_size;
	const void *secret_bytes; /* NULL on replay when they have been wiped */
	size_t secret_size;
};

/* Where a record's secret bytes lie, to wipe them later. */
struct wal_place {
	uint64_t secret_offset;
	size_t secret_size;
};

/* Negative answers end the replay and wal_open() with that error. */
typedef int (*wal_replay_t)(const struct wal_record *record, const struct wal_place *place,
			    void *userdata);

/*
 * Opens or creates NAME below STORAGE (borrowed, must outlive the wal) and replays it.
 * kind is a four-character tag in the file's header; another kind is -EMEDIUMTYPE.
 */
int wal_open(struct storage *storage, const char *name, const char kind[static 4],
	     wal_replay_t replay, void *userdata, struct wal **ret);
/* The same for reading only, by a process that does not own the file; absent is -ENOENT. A tail
 * that is still being written is ignored; secret bytes that are just being wiped count as wiped. */
int wal_read(struct storage *storage, const char *name, const char kind[static 4],
	     wal_replay_t replay, void *userdata);
/* What was appended and not written is dropped. */
struct wal *wal_free(struct wal *wal);
DEFINE_CLEANUP(struct wal *, wal_free);

/* Into the buffer only (secret memory). -E2BIG above WAL_RECORD_MAX_BYTES. */
int wal_append(struct wal *wal, const struct wal_record *record, struct wal_place *ret_place);
/* Queues overwriting of a record's secret bytes. Written once everything appended before is on
 * disk, by the next wal_sync(); itself on disk with the group after that, or at wal_free(). */
int wal_wipe(struct wal *wal, const struct wal_place *place);

/* Buffer to kernel: survives kill -9, not a power cut. */
int wal_write(struct wal *wal);
/* Buffer to disk: survives a power cut. Nothing to do: no system call. */
int wal_sync(struct wal *wal);
bool wal_is_dirty(const struct wal *wal); /* appended or wiped since the last wal_sync() */
uint64_t wal_size_bytes(const struct wal *wal);
uint64_t wal_torn_bytes(const struct wal *wal); /* cut off at open */

/*
 * Replace the file by what snapshot() appends to it: a new file, synced, renamed over the old one,
 * directory synced. On failure the old file stays in use, and places given to snapshot() mean
 * nothing. The old file's secret bytes are overwritten before it is let go.
 */
int wal_rewrite(struct wal *wal, int (*snapshot)(struct wal *wal, void *userdata), void *userdata);
