/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One key directory as a reader sees it: whose keys they are, which complete lines it has, and the
 * bytes of one key. linkd appends to it while we read, so what is not a complete line with its id
 * is not there yet.
 */

#include "common/keyfile.h"

struct store_directory {
	char name[NAME_MAX_CHARS * 2 + 32]; /* below the keys directory */
	struct keyfile_store store;
};

/* -EBADMSG for a "store" file that makes no sense, -ENOENT without one. */
int store_directory_read(struct storage *keys, const char *name, struct store_directory *ret);

/* The first sequence number that a file is there for; UINT64_MAX when there is none. */
int store_directory_first(struct storage *keys, const struct store_directory *directory,
			  uint64_t *ret_sequence);

/* A negative answer ends the scan with it. */
typedef int (*store_directory_line_t)(uint64_t sequence, const struct uuid *id,
				      enum keyfile_line line, void *userdata);
/*
 * Calls back for every complete line from a sequence number on, in order, as far as they go without
 * a gap of files. ret_next is one above the last.
 */
int store_directory_scan(struct storage *keys, const struct store_directory *directory,
			 uint64_t from, store_directory_line_t each, void *userdata,
			 uint64_t *ret_next);

/* -ENOKEY when the line is erased or not there, -EBADMSG when it is damaged. */
int store_directory_read_key(struct storage *keys, const struct store_directory *directory,
			     uint64_t sequence, struct secret **ret);
