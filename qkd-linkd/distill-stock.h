/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Distilled keys that nobody has taken yet. Both ends cut a block's key into the same keys and give
 * them the same ids: session, block and place, as a version 8 UUID (RFC 9562).
 */

#include "drivers/driver.h"

#define DISTILL_STOCK_MAX_BLOCKS 64

struct distill_stock;

int distill_stock_new(size_t key_bytes, struct distill_stock **ret);
struct distill_stock *distill_stock_free(struct distill_stock *stock);
DEFINE_CLEANUP(struct distill_stock *, distill_stock_free);

/* Takes key; the oldest block goes when there are too many. */
int distill_stock_add(struct distill_stock *stock, uint64_t session, uint32_t block,
		      struct secret *key);
size_t distill_stock_bytes(const struct distill_stock *stock);

/* The oldest count keys, or fewer; -EAGAIN for none. */
int distill_stock_take(struct distill_stock *stock, size_t count, struct key_batch **ret);
/* All of these; -ENOKEY when one is not there, and then none is taken. */
int distill_stock_take_by_id(struct distill_stock *stock, const struct uuid *ids, size_t count,
			     struct key_batch **ret);
/* The session and block of an id of this kind; false for others. */
bool distill_stock_parse_id(const struct uuid *id, uint64_t *ret_session, uint32_t *ret_block);
