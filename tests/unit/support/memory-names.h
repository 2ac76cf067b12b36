/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The names of the disk in memory: as they are, as the disk has them, and the operations between.
 * Inodes are numbers here.
 */

#include "tests/unit/support/memory-storage.h"

struct memory_name {
	char text[MEMORY_STORAGE_NAME_MAX];
	int inode;
};

struct memory_table {
	size_t count;
	struct memory_name entries[MEMORY_STORAGE_NAMES];
};

struct memory_renaming {
	char from[MEMORY_STORAGE_NAME_MAX], to[MEMORY_STORAGE_NAME_MAX]; /* "" when none */
	int inode;
};

struct memory_names {
	struct memory_table current, durable;
	struct memory_renaming renamings[MEMORY_STORAGE_RENAMINGS];
	size_t renaming_count;
};

void memory_names_reset(struct memory_names *names);
void memory_names_copy(struct memory_names *target, const struct memory_names *source);
/* -1 when absent. */
int memory_names_find(const struct memory_names *names, const char *text);
/* Makes (from ""), renames, or removes (to ""). */
void memory_names_note(struct memory_names *names, const char *from, const char *to, int inode);
void memory_names_sync(struct memory_names *names, const char *directory);
/* After a power cut: what was not synced is there or not, in order in each directory. */
void memory_names_crash(struct memory_names *names, enum memory_crash crash, memory_choose_t choose,
			void *userdata);
bool memory_names_refer_to(const struct memory_names *names, int inode);
bool memory_names_is_in(const char *name, const char *directory);
