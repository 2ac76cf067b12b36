/* SPDX-License-Identifier: MIT */

/*
 * Keys of a link that pad keys over a path. The owner's are on record as reserved for nobody before
 * they leave, so that no crash gives them to anybody else, and expire to destroyed; the other
 * site's are destroyed as soon as their bytes are read.
 */

#include "qkd-keyringd/issuer-path.h"

#include "qkd-keyringd/issuer-private.h"

static bool is_of_link(const struct issuer_directory *directory)
{
	return !keyfile_store_builder(&directory->on_disk.store);
}

/* As if they had never been chosen. */
static void put_back(struct issuer_store *store, struct reservation **reservations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct store_place place = reservations[i]->place;

		reservation_free(reservations[i]);
		store_set_state(store->store, place, STORE_KEY_AVAILABLE);
	}
}

/* Up to max reservations of one directory, which nobody knows yet. No mark at the other site keeps
 * a key of a hop from being used twice, so one that was leased just now waits for the disk. */
static size_t choose_in(struct issuer_store *store, uint32_t directory, size_t max,
			struct reservation **reservations)
{
	size_t count = 0;

	while (count < max && issuer_supply_take(store, 0, &directory, &reservations[count])) {
		if (issuer_lease_is_fresh(store, reservations[count]->place)) {
			put_back(store, &reservations[count], 1);
			break;
		}
		count++;
	}
	return count;
}

static size_t choose(struct issuer_store *store, uint32_t bits, size_t min, size_t max,
		     struct reservation **reservations)
{
	for (uint32_t i = 0; i < store->directory_count; i++) {
		size_t count;

		if (!is_of_link(store->directories[i]) || store_key_bits(store->store, i) != bits)
			continue;
		count = choose_in(store, i, max, reservations);
		if (count >= min)
			return count;
		put_back(store, reservations, count);
	}
	return 0;
}

/* On record before anything of it leaves: whoever reads it knows that they are over. */
static int record(struct issuer_store *store, struct reservation **reservations, size_t count,
		  const struct uuid *request)
{
	uint64_t expires = issuer_clock(store->issuer) + ISSUER_PATH_HOLD_SEC * USEC_PER_SEC;

	for (size_t i = 0; i < count; i++) {
		int r = reservation_set_owner(reservations[i], ISSUER_PATH_OWNER);

		if (r < 0)
			return r;
		reservations[i]->request = *request;
		reservations[i]->expires_usec = expires;
		reservation_record(reservations[i], STORE_KEY_RESERVED);
	}
	return 0;
}

/* The bytes of one key to their place among all. */
static int read_one(struct issuer_store *store, struct store_place place, struct secret *bytes,
		    size_t i)
{
	_cleanup_(secret_freep) struct secret *key = NULL;
	int r = issuer_directory_read_key(store, place, &key);

	if (r < 0)
		return r;
	memcpy(bytes->bytes + i * key->size_bytes, key->bytes, key->size_bytes);
	return 0;
}

static void destroy(struct issuer_store *store, struct reservation **reservations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		issuer_tell_destroyed(store, reservations[i]->place);
		reservation_end(reservations[i], STORE_KEY_DESTROYED);
	}
}

static int list_and_record(struct issuer_store *store, struct reservation **reservations,
			   size_t count, const struct uuid *request, struct site_keys *ret)
{
	struct site_keys keys = {};
	int r = reservation_list(reservations, count, &keys);

	if (r >= 0)
		r = record(store, reservations, count, request);
	if (r < 0) {
		destroy(store, reservations, count);
		site_keys_done(&keys);
		return r;
	}
	*ret = keys;
	return 0;
}

int issuer_hop_choose(struct issuer *issuer, const char *peer, uint32_t bits, size_t min,
		      size_t max, const struct uuid *request, struct site_keys *ret)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	_cleanup_(freep) struct reservation **reservations = NULL;
	size_t count;

	if (!store)
		return -ENOKEY;
	if (issuer->failed)
		return -EIO;
	reservations = calloc(max, sizeof(struct reservation *));
	if (!reservations)
		return -ENOMEM;
	count = choose(store, bits, min, max, reservations);
	issuer_supply_cover(store, min);
	if (count == 0)
		return -EAGAIN;
	issuer_store_changed(store);
	return list_and_record(store, reservations, count, request, ret);
}

int issuer_hop_read(struct issuer *issuer, const char *peer, const struct site_keys *keys,
		    uint32_t bits, struct secret **ret)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	_cleanup_(secret_freep) struct secret *bytes = NULL;
	int r = store ? secret_new(keys->count * (bits / 8), &bytes) : -ENOKEY;

	for (size_t i = 0; r >= 0 && i < keys->count; i++) {
		struct reservation *reservation = reservation_find(store, &keys->ids[i]);

		r = reservation ? read_one(store, reservation->place, bytes, i) : -ENOKEY;
	}
	if (r >= 0)
		*ret = TAKE_PTR(bytes);
	return r;
}

void issuer_hop_end(struct issuer *issuer, const char *peer, const struct site_keys *keys,
		    bool taken)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);

	for (size_t i = 0; store && i < keys->count; i++) {
		struct reservation *reservation = reservation_find(store, &keys->ids[i]);

		if (!reservation)
			continue; /* it has expired */
		if (!taken)
			issuer_tell_destroyed(store, reservation->place);
		reservation_end(reservation, STORE_KEY_DESTROYED);
	}
}

/* Whether the peer may use this key of its own for a path. */
static int look_at(struct issuer_store *store, const struct site_keys *keys, size_t i,
		   struct store_place *ret)
{
	struct store_place place;
	bool gone;
	enum store_key_state state = issuer_directory_look_up(store, &keys->store, keys->generation,
							      keys->sequences[i], &place, &gone);

	if (state == STORE_KEY_ABSENT)
		return gone ? -ENOKEY : -EAGAIN;
	if (state != STORE_KEY_AVAILABLE || store_is_own(store->store, place) ||
	    !uuid_equal(store_id(store->store, place), &keys->ids[i]))
		return -ENOKEY;
	*ret = place;
	return 0;
}

int issuer_hop_look(struct issuer *issuer, const char *peer, const struct site_keys *keys)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct store_place place;
	int r = store ? 0 : -ENOKEY;

	for (size_t i = 0; r >= 0 && i < keys->count; i++)
		r = look_at(store, keys, i, &place);
	return r;
}

int issuer_hop_take(struct issuer *issuer, const char *peer, const struct site_keys *keys,
		    struct secret **ret)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	_cleanup_(freep) struct store_place *places = calloc(keys->count, sizeof(*places));
	_cleanup_(secret_freep) struct secret *bytes = NULL;
	int r = 0;

	if (!store || issuer->failed)
		return store ? -EIO : -ENOKEY;
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < keys->count; i++)
		r = look_at(store, keys, i, &places[i]);
	if (r >= 0)
		r = secret_new(keys->count * store_key_bits(store->store, places[0].directory) / 8,
			       &bytes);
	if (r < 0)
		return r;
	for (size_t i = 0; i < keys->count; i++) {
		r = read_one(store, places[i], bytes, i) < 0 ? -ENOKEY : r;
		if (store_state(store->store, places[i]) != STORE_KEY_AVAILABLE)
			r = -ENOKEY; /* named twice */
		else
			issuer_directory_end_key(store, places[i], STORE_KEY_DESTROYED);
	}
	if (r >= 0)
		*ret = TAKE_PTR(bytes);
	return r;
}

int issuer_hop_wait(struct issuer *issuer, const char *peer, struct supply_waiter *waiter,
		    uint32_t bits)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);

	if (!store)
		return -ENOKEY;
	issuer_supply_wait(store, waiter, bits);
	return 0;
}

/* The newest of a link. */
static struct issuer_directory *newest(struct issuer *issuer, const char *peer)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);

	for (size_t i = store ? store->directory_count : 0; i-- > 0;)
		if (is_of_link(store->directories[i]))
			return store->directories[i];
	return NULL;
}

uint32_t issuer_hop_bits(struct issuer *issuer, const char *peer)
{
	const struct issuer_directory *directory = newest(issuer, peer);

	return directory ? directory->on_disk.store.key_bits : 0;
}

const char *issuer_hop_link(struct issuer *issuer, const char *peer)
{
	const struct issuer_directory *directory = newest(issuer, peer);

	return directory ? directory->on_disk.store.link : NULL;
}
