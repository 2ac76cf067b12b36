/* SPDX-License-Identifier: MIT */

/*
 * Choosing fresh keys. A key of our own half may be chosen only below a mark that is on disk
 * already, and the mark is moved on before it is reached, so choosing a key never waits for the
 * disk.
 */

#include "qkd-keyringd/issuer-supply.h"

#include "qkd-keyringd/issuer-private.h"

size_t issuer_supply_parts(uint32_t bits, uint32_t key_bits)
{
	return bits <= key_bits ? 1 : (bits + key_bits - 1) / key_bits;
}

static size_t parts_of(const struct issuer_store *store, uint32_t directory, uint32_t bits)
{
	return issuer_supply_parts(bits, store_key_bits(store->store, directory));
}

/* One key of it is one of that size, and nothing is wasted. */
static bool is_exact(const struct issuer_store *store, uint32_t directory, uint32_t bits)
{
	return bits == 0 || store_key_bits(store->store, directory) == bits;
}

bool issuer_supply_has_size(const struct issuer_store *store, uint32_t bits)
{
	if (bits % 8 != 0 || bits > SITE_BITS_MAX || (bits != 0 && bits < KEYFILE_BITS_MIN))
		return false;
	for (uint32_t i = 0; i < store->directory_count; i++)
		if (parts_of(store, i, bits) <= SITE_MAX_PARTS)
			return true;
	return store->directory_count == 0;
}

/* False: there are not enough that may be chosen now. */
static bool take_of(struct issuer_store *store, uint32_t directory, uint32_t bits,
		    struct reservation **ret)
{
	struct store_place places[SITE_MAX_PARTS];
	size_t parts = parts_of(store, directory, bits), found = 0;
	uint64_t below = store->directories[directory]->ahead;
	bool taken = parts <= SITE_MAX_PARTS &&
		     store_available_own(store->store, directory) >= parts;

	while (taken && found < parts) {
		taken = store_next_own(store->store, directory, below, &places[found]);
		if (taken)
			store_set_state(store->store, places[found++], STORE_KEY_RESERVED);
	}
	if (taken)
		taken = reservation_new(store, places, parts, bits, ret) >= 0;
	while (!taken && found > 0)
		store_set_state(store->store, places[--found], STORE_KEY_AVAILABLE);
	return taken;
}

bool issuer_supply_take(struct issuer_store *store, uint32_t bits, const uint32_t *directory,
			struct reservation **ret)
{
	for (int exact = 1; exact >= 0; exact--)
		for (uint32_t i = 0; i < store->directory_count; i++)
			if (is_exact(store, i, bits) == exact && (!directory || *directory == i) &&
			    take_of(store, i, bits, ret))
				return true;
	return false;
}

bool issuer_supply_has(const struct issuer_store *store, uint32_t bits)
{
	for (uint32_t i = 0; i < store->directory_count; i++)
		if (store_available_own(store->store, i) >= parts_of(store, i, bits))
			return true;
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

/* Whether what may be chosen now suffices for one key of so many parts. */
static bool covers(const struct issuer_directory *directory, size_t parts)
{
	return parts <= 1 || store_count_own_below(directory->store->store, directory->index,
						   directory->ahead, parts) >= parts;
}

static void run_ahead(struct issuer_directory *directory, size_t parts)
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
	if (ahead > first.sequence && ahead - first.sequence > directory->run_ahead_keys &&
	    covers(directory, parts))
		return;
	if (first.sequence >= ahead && ahead > 0 && !directory->store->issuer->starting)
		directory->run_ahead_keys =
			MIN(directory->run_ahead_keys * 2, (uint32_t)ISSUER_RUN_AHEAD_MAX);
	below = MAX(first.sequence, ahead) + 2 * (uint64_t)directory->run_ahead_keys;
	ask_ahead(directory, MIN(below, next));
}

void issuer_supply_cover(struct issuer_store *store, size_t count)
{
	for (size_t i = 0; i < store->directory_count; i++)
		run_ahead(store->directories[i], count);
}

void issuer_supply_run_ahead(struct issuer_store *store)
{
	issuer_supply_cover(store, 1);
}

void issuer_supply_wait(struct issuer_store *store, struct supply_waiter *waiter, uint32_t bits)
{
	const struct issuer *issuer = store->issuer;

	list_remove(&waiter->link);
	list_append(&store->supply, &waiter->link);
	waiter->bits = bits;
	for (uint32_t i = 0; i < store->directory_count; i++)
		run_ahead(store->directories[i], parts_of(store, i, bits));
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
