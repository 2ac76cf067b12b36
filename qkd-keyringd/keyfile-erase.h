/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Erasing lines of key files: every digit becomes '-', the length stays, nothing is ever appended.
 * Lines are collected and erased together, away from anybody's latency; a file whose lines are all
 * erased is unlinked with its ids.
 */

#include "common/keyfile.h"

struct keyfile_erase;

int keyfile_erase_new(struct storage *keys, struct keyfile_erase **ret);
struct keyfile_erase *keyfile_erase_free(struct keyfile_erase *erase);
DEFINE_CLEANUP(struct keyfile_erase *, keyfile_erase_free);

/* tag is the caller's, for erased(). -ENOMEM. */
int keyfile_erase_add(struct keyfile_erase *erase, uint32_t tag, uint64_t sequence);
bool keyfile_erase_is_empty(const struct keyfile_erase *erase);

struct keyfile_erase_handler {
	/* The directory's name, peer and key size, by tag. False: leave it alone. */
	bool (*locate)(uint32_t tag, const char **ret_directory, const struct keyfile_store **ret,
		       void *userdata);
	/* The line is gone from the disk. True: it was the last of its file, unlink it. */
	bool (*erased)(uint32_t tag, uint64_t sequence, void *userdata);
};
/*
 * Erases everything that was added, each file opened and synced once. A line that is not there, or
 * not complete, counts as erased. What fails stays for the next time; answers the first error.
 */
int keyfile_erase_flush(struct keyfile_erase *erase, const struct keyfile_erase_handler *handler,
			void *userdata);
