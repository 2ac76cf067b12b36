/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Writes the key files of keys over a path, which no linkd does: same layout as a link's, appended
 * by keyringd itself at both ends (common/keyfile.h).
 */

#include "common/keyfile.h"

struct path_keyfile;

/* The directory of a builder's generation below the keys directory. -ENAMETOOLONG. */
int path_keyfile_name(const struct keyfile_store *store, char ret_name[static KEYFILE_NAME_MAX]);
/* Makes the directory and its store file where they are absent; durable. */
int path_keyfile_make(struct storage *keys, const char *directory,
		      const struct keyfile_store *store);
/* With all that is in it; what says whose it was goes last. Not there: 0. */
int path_keyfile_remove(struct storage *keys, const char *directory);
/* keys and store are borrowed. */
int path_keyfile_new(struct storage *keys, const char *directory, const struct keyfile_store *store,
		     struct path_keyfile **ret);
/* What was not synced may be lost. */
struct path_keyfile *path_keyfile_free(struct path_keyfile *writer);
DEFINE_CLEANUP(struct path_keyfile *, path_keyfile_free);

/* count lines from a sequence number on, one key after the other in bytes. */
int path_keyfile_append(struct path_keyfile *writer, uint64_t first, const struct uuid *ids,
			const uint8_t *bytes, size_t count);
/* All that was appended is durable after it. */
int path_keyfile_sync(struct path_keyfile *writer);
