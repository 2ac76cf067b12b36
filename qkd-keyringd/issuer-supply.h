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

struct supply_waiter {
	struct list link;
	void (*ready)(struct supply_waiter *waiter);
};

/* The next key of ours with that size; bits 0: of any. directory, when not NULL, is the only one
 * that is looked in. Its state is still available. */
bool issuer_supply_next(struct issuer_store *store, uint32_t bits, const uint32_t *directory,
			struct store_place *ret);
/* Calls ready() once, when there may be a key or the peer has connected. */
void issuer_supply_wait(struct issuer_store *store, struct supply_waiter *waiter, uint32_t bits);
void issuer_supply_wake(struct issuer_store *store);
/* Renews the marks that run ahead, where half of what they cover is used up. */
void issuer_supply_run_ahead(struct issuer_store *store);
/* Whether any directory has keys of this size. */
bool issuer_supply_has_size(const struct issuer_store *store, uint32_t bits);
