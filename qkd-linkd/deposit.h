/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Deposits agreed keys in the kernel's pool while there is room (design section 7): up to a cap for
 * this peer, half of it for each owner site, so that neither half crowds the other out.
 *
 * keyringd takes keys out of the pool without telling; so when there seems to be no room, the pool
 * is counted again, but only when there is a key to deposit, and not more often than it costs
 * little.
 */

#include "common/pool.h"

#define DEPOSIT_RECOUNT_USEC    200 /* for each key of the cap: counting is 1 % of the time */
#define DEPOSIT_AFTER_FULL_USEC (60 * USEC_PER_SEC) /* no try after the quota was used up */

struct deposit;

/* site NULL: the kernel serves one site. cap: for both halves together. */
int deposit_new(const char *site, const char *peer, size_t cap, uint64_t now_usec,
		struct deposit **ret);
struct deposit *deposit_free(struct deposit *deposit);
DEFINE_CLEANUP(struct deposit *, deposit_free);

/* Lines first ... first + count - 1. Keys without room are left out. 1: the quota has just been
 * used up (told once); negative: the pool cannot be used. */
int deposit_add(struct deposit *deposit, uint64_t first, const struct uuid *ids,
		const uint8_t *keys, size_t count, size_t key_bytes, uint64_t now_usec);
size_t deposit_count(const struct deposit *deposit);
/* Keys deposited since deposit_new(). */
uint64_t deposit_total(const struct deposit *deposit);
