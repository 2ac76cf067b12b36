/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tag of `confirm`: both sides compute it over the keys of a transaction, with the last of them
 * as the key of the tag, which is spent for that. Different tags mean that the devices gave
 * different keys.
 */

#include "qkd-linkd/sync-txn.h"

/* HMAC-SHA-256 (RFC 2104, FIPS 180-4) of "qkd-confirm", number, ids and all keys but the last, with
 * the last. txn->keys has to be there. */
int sync_confirm_tag(const struct sync_txn *txn, uint8_t ret_tag[static SYNC_TAG_BYTES]);
bool sync_confirm_equal(const uint8_t a[static SYNC_TAG_BYTES],
			const uint8_t b[static SYNC_TAG_BYTES]);
