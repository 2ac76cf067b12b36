/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where fresh keys come from: our own half of a store, below the durable mark that runs ahead, then
 * what the peer leases to us. Who finds none waits here.
 */

#include "qkd-keyringd/list.h"
#include "qkd-keyringd/store.h"

struct issuer_store;
struct issuer_directory;
struct reservation;

struct supply_waiter {
	struct list link;
	uint32_t bits;
	size_t count; /* of such keys; 0: one */
	void (*ready)(struct supply_waiter *waiter);
};

/* How many keys of one size make up one of another. */
size_t issuer_supply_parts(uint32_t bits, uint32_t key_bits);
/* Reserves the next key of ours with that size; bits 0: of any. Where no directory has such keys it
 * is cut from one, or joined from several of one directory. directory, when not NULL, is the only
 * one that is looked in. False: there is none. */
bool issuer_supply_take(struct issuer_store *store, uint32_t bits, const uint32_t *directory,
			struct reservation **ret);
/* Whether there are enough for one, though perhaps above the mark that runs ahead. */
bool issuer_supply_has(const struct issuer_store *store, uint32_t bits);
/* Calls ready() once, when there may be a key or the peer has connected. */
void issuer_supply_wait(struct issuer_store *store, struct supply_waiter *waiter, uint32_t bits);
void issuer_supply_wake(struct issuer_store *store);
/* Renews the marks that run ahead, where half of what they cover is used up. */
void issuer_supply_run_ahead(struct issuer_store *store);
/* Likewise, and where they cover fewer than so many: what is taken together may find holes. */
void issuer_supply_cover(struct issuer_store *store, size_t count);
/* Whether there are, or can be, keys of this size: a multiple of 8 bits, 64..4096. */
bool issuer_supply_has_size(const struct issuer_store *store, uint32_t bits);
