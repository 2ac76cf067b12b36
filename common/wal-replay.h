/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reading a wal's file from its start: records to the caller, then what the end looks like.
 */

#include "common/wal-format.h"

struct wal_end {
	uint64_t offset;        /* where the next record goes; 0: not even a file header */
	uint64_t torn_bytes;    /* what a crash left after it */
	uint64_t secrets_count; /* records whose secret bytes are still there */
};

/*
 * -EMEDIUMTYPE for another kind, -EBADMSG for damage, or what replay() answered. replay may be
 * NULL. is_shared: another process may be appending meanwhile.
 */
int wal_replay_file(struct storage *storage, int file, const char kind[static 4], bool is_shared,
		    wal_replay_t replay, void *userdata, struct wal_end *ret);
