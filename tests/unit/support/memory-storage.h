/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A disk in memory for tests: it keeps apart what was synced and what was not, and a crash may
 * lose, tear or reorder the latter. No system calls; memory is reused, so that an exploration can
 * make and crash millions of states.
 *
 * The model. Unsynced writes of a file: any subset may survive a crash; what lies beyond the synced
 * size may be torn at any byte or read as zeros, what overwrites synced bytes at 512-byte sectors.
 * Unsynced operations on a directory (make, rename, remove): a prefix of them survives, each
 * directory by itself. A rename belongs to the directory that it leads to. A sync that failed
 * leaves the file's writes unsynced for good, whatever later syncs say.
 */

#include "common/storage.h"

#define MEMORY_STORAGE_INODES    128
#define MEMORY_STORAGE_NAMES     128
#define MEMORY_STORAGE_NAME_MAX  144
#define MEMORY_STORAGE_HANDLES   64
#define MEMORY_STORAGE_RENAMINGS 128 /* directory operations that were not synced */

struct memory_storage;

int memory_storage_new(struct memory_storage **ret);
struct memory_storage *memory_storage_free(struct memory_storage *memory);
DEFINE_CLEANUP(struct memory_storage *, memory_storage_free);
/* For the code under test; borrowed. Its storage_free() does nothing. */
struct storage *memory_storage_storage(struct memory_storage *memory);

/* Back to an empty disk without faults. */
void memory_storage_reset(struct memory_storage *memory);
/* Makes target a copy of source, faults and open handles included. */
int memory_storage_copy(struct memory_storage *target, const struct memory_storage *source);

enum memory_crash {
	MEMORY_CRASH_PROCESS, /* kill -9: everything written stays */
	MEMORY_CRASH_LOSE,    /* power cut: nothing that was not synced */
	MEMORY_CRASH_CHOOSE,  /* power cut: choose() decides for each */
};
/* A number below count. */
typedef unsigned (*memory_choose_t)(unsigned count, void *userdata);
/* Closes every handle and takes all faults back. choose NULL unless MEMORY_CRASH_CHOOSE. */
void memory_storage_crash(struct memory_storage *memory, enum memory_crash crash,
			  memory_choose_t choose, void *userdata);

/* Faults count the operations that can fail: open, write_at, reserve, truncate, sync, rename,
 * remove, make_directory, sync_directory. The n-th from now (0: the next) fails, once. */
void memory_storage_fail_at(struct memory_storage *memory, uint64_t n, int error);
/* The power fails during the n-th: it may or may not have happened, and later ones give -EIO. */
void memory_storage_power_off_at(struct memory_storage *memory, uint64_t n);
/* Takes back all faults that are set, and the power failure; handles and contents stay. */
void memory_storage_power_on(struct memory_storage *memory);
bool memory_storage_is_off(const struct memory_storage *memory);
/* A sync of some file has failed since the last crash: what it held is lost, whatever comes. */
bool memory_storage_has_lost(const struct memory_storage *memory);
/* Every sync fails with -EIO, until told otherwise. */
void memory_storage_fail_syncs(struct memory_storage *memory, bool fail);
/* -ENOSPC when files and reservations take more together. */
void memory_storage_set_capacity(struct memory_storage *memory, uint64_t bytes);
uint64_t memory_storage_used(const struct memory_storage *memory);

uint64_t memory_storage_operations(const struct memory_storage *memory);
uint64_t memory_storage_syncs(const struct memory_storage *memory);
/* A file's bytes, to look at or to damage; NULL when absent. */
uint8_t *memory_storage_content(struct memory_storage *memory, const char *name,
				size_t *ret_size_bytes);
/* True when bytes occur in any file that is or was there and has not been overwritten. */
bool memory_storage_holds(const struct memory_storage *memory, const void *bytes,
			  size_t size_bytes);
