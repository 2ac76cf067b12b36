/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The few file operations that durable state needs, behind a table: the real one works below one
 * directory descriptor; the tests have one in memory that loses what was not synced, tears the last
 * write, fills up and fails.
 *
 * Names are relative, at most one directory deep below the root, never "..". Files are 0600,
 * directories 0700, opened with O_NOFOLLOW and O_CLOEXEC. All return negative errno.
 */

#include <sys/types.h>

#include "common/macros.h"

struct storage;

enum storage_open_flags {
	STORAGE_READ = 1 << 0,      /* read only; absent: -ENOENT */
	STORAGE_WRITE = 1 << 1,     /* read and write */
	STORAGE_CREATE = 1 << 2,    /* with WRITE: make it when absent */
	STORAGE_EXCLUSIVE = 1 << 3, /* with CREATE: -EEXIST when present */
	STORAGE_FROM_DISK = 1 << 4, /* for recovery: read what the disk holds, not a cache of it */
};

struct storage_ops {
	int (*open)(struct storage *storage, const char *name, int flags); /* handle >= 0 */
	void (*close)(struct storage *storage, int file);
	/* Whole counts or an error: never a short write; a read stops early only at the end. */
	ssize_t (*read_at)(struct storage *storage, int file, void *data, size_t size,
			   uint64_t offset);
	int (*write_at)(struct storage *storage, int file, const void *data, size_t size,
			uint64_t offset);
	int (*reserve)(struct storage *storage, int file, uint64_t offset,
		       uint64_t size); /* -ENOSPC */
	int (*truncate)(struct storage *storage, int file, uint64_t size);
	int (*sync)(struct storage *storage, int file); /* fdatasync(2) */
	/* What was written begins to go to the disk, so that the sync() of several files, which has
	 * to follow, costs less than one after the other. Or NULL: nothing is gained. */
	void (*start_sync)(struct storage *storage, int file);
	int (*size)(struct storage *storage, int file, uint64_t *ret_bytes);
	int (*rename)(struct storage *storage, const char *from, const char *to);
	int (*remove)(struct storage *storage, const char *name); /* file or empty directory */
	int (*make_directory)(struct storage *storage, const char *name);
	int (*sync_directory)(struct storage *storage, const char *name); /* "." is the root */
	/* Calls back once for each entry; stops at the first nonzero answer and returns it. */
	int (*list)(struct storage *storage, const char *name,
		    int (*entry)(const char *name, void *userdata), void *userdata);
	/* Keeps other processes out of what they lock too, until the handle that it answers is
	 * closed. -EBUSY when it waits for longer than STORAGE_LOCK_USEC. Or NULL: there are none.
	 */
	int (*lock)(struct storage *storage);
	void (*free)(struct storage *storage);
};
#define STORAGE_LOCK_USEC (5 * USEC_PER_SEC)

/* Embedded first by every kind of storage. */
struct storage {
	const struct storage_ops *ops;
};

/* The real one; root is made (0700, parents too) when absent. */
int storage_new_directory(const char *root, struct storage **ret);
struct storage *storage_free(struct storage *storage);
DEFINE_CLEANUP(struct storage *, storage_free);
