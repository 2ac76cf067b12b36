/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Appends agreed keys to a link's key files, strictly by sequence number, each line at the offset
 * that its number gives it, in batches with one sync at the end (design section 6).
 *
 * After a crash some of the lines may be there already, and keyringd may have issued and erased
 * them. So a line that may be there is looked at first: equal stays, erased stays, partly written
 * is completed, used according to the issue record becomes erased, different is an error; a
 * complete line is never written again.
 */

#include "common/keyfile.h"

#define KEYFILE_APPEND_BATCH_LINES 1024

struct keyfile_append;

/*
 * keys: the keys directory; state: the service's home, for the issue record; both borrowed. Makes
 * the directory and its store file. next: the number of the first line to come.
 */
int keyfile_append_open(struct storage *keys, struct storage *state, const char *directory,
			const struct keyfile_store *store, uint64_t next,
			struct keyfile_append **ret);
/* Lines that were added and not synced may be lost. */
struct keyfile_append *keyfile_append_free(struct keyfile_append *append);
DEFINE_CLEANUP(struct keyfile_append *, keyfile_append_free);

/* Disk space for this many lines from the next one on; -ENOSPC, -EDQUOT. */
int keyfile_append_reserve(struct keyfile_append *append, uint64_t lines);
/* first has to be the next line (our own bug otherwise). recovered: the lines may be there.
 * -EBADMSG when another key is. */
int keyfile_append_add(struct keyfile_append *append, uint64_t first, const struct uuid *ids,
		       const uint8_t *keys, size_t count, bool recovered);
/* All that was added is durable after it. */
int keyfile_append_sync(struct keyfile_append *append);

uint64_t keyfile_append_next(const struct keyfile_append *append);
/* Lines from the oldest file that is still there: what is in stock, erased ones included. */
int keyfile_append_stock(struct keyfile_append *append, uint64_t *ret_lines);
