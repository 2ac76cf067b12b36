/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One transaction, as the journal keeps it and the machine drives it.
 */

#include "common/wal.h"
#include "drivers/driver.h"
#include "qkd-linkd/sync-message.h"
#include "qkd-linkd/sync-table.h"

struct sync_txn {
	uint64_t number;
	enum sync_state state;
	uint64_t alpha, beta; /* as they were drawn */
	uint64_t first;       /* sequence number of its first line, once decided */
	uint32_t count;       /* ids in SYN */
	uint32_t lines;   /* lines it makes in the key file: count, less one spent for confirm */
	struct uuid *ids; /* follower, until the device has answered */
	struct key_batch
		*keys; /* ids and keys; NULL before they are here and once they are applied */
	struct wal_place place;      /* of the keys in the journal */
	uint8_t tag[SYNC_TAG_BYTES]; /* with confirm: of the keys as this side has them */

	bool is_recovered;     /* was in the journal when the daemon started */
	uint64_t begun_usec;   /* when this process began it */
	uint64_t retry_usec;   /* when to repeat; UINT64_MAX: not */
	uint64_t backoff_usec; /* what the next repetition waits */
	uint64_t limit_usec;   /* when LIMIT or HOLD comes; UINT64_MAX: not */
};

int sync_txn_new(uint64_t number, struct sync_txn **ret);
struct sync_txn *sync_txn_free(struct sync_txn *txn); /* wipes; takes NULL, returns NULL */
DEFINE_CLEANUP(struct sync_txn *, sync_txn_free);

static inline bool sync_txn_is_decided(const struct sync_txn *txn)
{
	return txn->state >= SYNC_COMMITTING;
}
