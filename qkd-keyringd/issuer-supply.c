/* SPDX-License-Identifier: MIT */

/*
 * Choosing fresh keys. A key of our own half may be chosen only below a mark that is on disk
 * already, and the mark is moved on before it is reached, so choosing a key never waits for the
 * disk.
 */

#include "qkd-keyringd/issuer-supply.h"

#include "qkd-keyringd/issuer-private.h"

static bool has_size(const struct issuer_store *store, uint32_t directory, uint32_t bits)
{
	return bits == 0 || store_key_bits(store->store, directory) == bits;
}

bool issuer_supply_has_size(const struct issuer_store *store, uint32_t bits)
{
	for (uint32_t i = 0; i < store->directory_count; i++)
		if (has_size(store, i, bits))
			return true;
	return store->directory_count == 0;
}

bool issuer_supply_next(struct issuer_store *store, uint32_t bits, const uint32_t *directory,
			struct store_place *ret)
{
	for (uint32_t i = 0; i < store->directory_count; i++) {
		if (!has_size(store, i, bits) || (directory && *directory != i))
			continue;
		if (store_next_own(store->store, i, store->directories[i]->ahead, ret))
			return true;
	}
	return false;
}

static void ahead_synced(struct issue_log_waiter *waiter)
{
	struct issuer_directory *directory = CONTAINER_OF(waiter, struct issuer_directory, waiter);

	directory->ahead = MAX(directory->ahead, directory->ahead_asked);
	issuer_supply_wake(directory->store);
}

static void ask_ahead(struct issuer_directory *directory, uint64_t below)
{
	struct issuer *issuer = directory->store->issuer;
	struct issue_record_ahead ahead = {
		.store = directory->on_disk.store.uuid,
		.generation = directory->on_disk.store.generation,
		.parity = (uint8_t)store_own_parity(directory->store->store),
		.below = below,
	};

	directory->ahead_asked = below;
	issuer_check_log(issuer, issue_log_ahead(issuer->log, &ahead));
	directory->waiter.synced = ahead_synced;
	issue_log_wait(issuer->log, &directory->waiter);
	issuer_loop_flush_soon(issuer);
}

/* The mark never goes above what is indexed, where linkd may still write; but where we write
 * ourselves, so that a key that was built just now can be chosen at once. */
static uint64_t ahead_limit(const struct issuer_directory *directory)
{
	return directory->writer ? STORE_MAX_SEQUENCE
				 : store_next_sequence(directory->store->store, directory->index);
}

static void run_ahead(struct issuer_directory *directory)
{
	struct store *store = directory->store->store;
	uint64_t next = ahead_limit(directory);
	uint64_t ahead = MAX(directory->ahead, directory->ahead_asked);
	struct store_place first;
	uint64_t below;

	if (ahead >= next || ahead > directory->ahead)
		return; /* nothing to cover, or on its way to the disk */
	if (!store_next_own(store, directory->index, UINT64_MAX, &first)) {
		if (!directory->writer)
			return;
		first.sequence = store_next_sequence(store, directory->index);
	}
	/* Every other sequence number is ours, so half of the mark is as many numbers as keys. */
	if (ahead > first.sequence && ahead - first.sequence > directory->run_ahead_keys)
		return;
	if (first.sequence >= ahead && ahead > 0 && !directory->store->issuer->starting)
		directory->run_ahead_keys =
			MIN(directory->run_ahead_keys * 2, (uint32_t)ISSUER_RUN_AHEAD_MAX);
	below = MAX(first.sequence, ahead) + 2 * (uint64_t)directory->run_ahead_keys;
	ask_ahead(directory, MIN(below, next));
}

void issuer_supply_run_ahead(struct issuer_store *store)
{
	for (size_t i = 0; i < store->directory_count; i++)
		run_ahead(store->directories[i]);
}

void issuer_supply_wait(struct issuer_store *store, struct supply_waiter *waiter, uint32_t bits)
{
	const struct issuer *issuer = store->issuer;

	list_remove(&waiter->link);
	list_append(&store->supply, &waiter->link);
	issuer_supply_run_ahead(store);
	if (!issuer->paths || !issuer->paths->want(store->peer_name, bits, issuer->paths_userdata))
		issuer_lease_want(store, bits);
}

void issuer_supply_wake(struct issuer_store *store)
{
	struct list ready;

	list_init(&ready);
	list_move_all(&ready, &store->supply);
	while (!list_is_empty(&ready)) {
		struct supply_waiter *waiter = LIST_ENTRY(ready.next, struct supply_waiter, link);

		list_remove(&waiter->link);
		waiter->ready(waiter);
	}
}
