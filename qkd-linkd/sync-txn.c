/* SPDX-License-Identifier: MIT */

/*
 * Making and forgetting a transaction: its keys are wiped with it, whatever way it ends.
 */

#include "qkd-linkd/sync-txn.h"

int sync_txn_new(uint64_t number, struct sync_txn **ret)
{
	struct sync_txn *txn = calloc(1, sizeof(*txn));

	if (!txn)
		return -ENOMEM;
	txn->number = number;
	txn->retry_usec = txn->limit_usec = UINT64_MAX;
	*ret = txn;
	return 0;
}

struct sync_txn *sync_txn_free(struct sync_txn *txn)
{
	if (!txn)
		return NULL;
	key_batch_free(txn->keys);
	free(txn->ids);
	free(txn);
	return NULL;
}
