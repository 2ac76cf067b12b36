/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One file of the disk in memory: its bytes, and a log of unsynced changes with what they replaced.
 */

#include "tests/unit/support/memory-storage.h"

struct memory_change {
	uint64_t offset, size;       /* bytes replaced */
	uint64_t old_size, new_size; /* of the file */
	size_t saved_at;             /* in the inode's saved bytes: what the other side holds */
	bool is_truncate;
};

struct memory_inode {
	bool is_used, is_directory, is_sync_lost;
	uint8_t *bytes; /* zero from size on */
	uint64_t size, allocated, reserved;
	struct memory_change *changes;
	size_t change_count, change_capacity;
	uint8_t *saved;
	size_t saved_size, saved_capacity;
};

void memory_inode_empty(struct memory_inode *inode);
void memory_inode_done(struct memory_inode *inode);
void memory_inode_copy(struct memory_inode *target, const struct memory_inode *source);
void memory_inode_write(struct memory_inode *inode, const void *data, uint64_t size,
			uint64_t offset);
void memory_inode_truncate(struct memory_inode *inode, uint64_t size);
/* The log is forgotten, unless a sync has failed before. */
void memory_inode_sync(struct memory_inode *inode);
void memory_inode_crash(struct memory_inode *inode, enum memory_crash crash, memory_choose_t choose,
			void *userdata);
