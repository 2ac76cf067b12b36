/* SPDX-License-Identifier: MIT */

/*
 * The simulated device pair: a key and its id follow from a serial number, each is given once at
 * each side.
 */

#include "tests/explore/sync-world.h"

#define ANSWER_USEC (20 * USEC_PER_MSEC)
#define SUPPLY_USEC (60 * USEC_PER_MSEC)

void device_id(uint64_t serial, struct uuid *ret)
{
	uint64_t mixed = prng_mix(serial);

	memcpy(ret->bytes, &mixed, sizeof(mixed));
	memcpy(ret->bytes + sizeof(mixed), &serial, sizeof(serial));
}

uint64_t device_serial(const struct uuid *id)
{
	uint64_t serial;
	struct uuid again;

	memcpy(&serial, id->bytes + sizeof(serial), sizeof(serial));
	device_id(serial, &again);
	return serial < WORLD_MAX_KEYS && uuid_equal(id, &again) ? serial : UINT64_MAX;
}

void device_key(const struct world *world, unsigned site, uint64_t serial,
		uint8_t ret_key[static WORLD_KEY_BYTES])
{
	uint64_t key = prng_mix(serial + 0x5eed + (site == 1 && world->unequal[serial]));

	memcpy(ret_key, &key, WORLD_KEY_BYTES);
}

static struct key_batch *make_keys(const struct world *world, unsigned site, const struct uuid *ids,
				   size_t count)
{
	struct key_batch *keys;

	if (key_batch_new(count, WORLD_KEY_BYTES, &keys) < 0)
		abort();
	for (size_t i = 0; i < count; i++) {
		keys->ids[i] = ids[i];
		device_key(world, site, device_serial(&ids[i]), key_batch_key(keys, i));
	}
	return keys;
}

int device_fetch(struct world_site *site, uint64_t txn, const struct uuid *ids, size_t count)
{
	struct world *world = site->world;
	struct world_fetch *fetch = &world->fetches[world->fetch_count];

	if (world->fetch_count == ELEMENTSOF(world->fetches))
		return -EIO;
	*fetch = (struct world_fetch){
		.txn = txn,
		.life = site->life,
		.count = count,
		.at_usec = world->course.now_usec + prng_below(&world->course.prng, ANSWER_USEC),
	};
	memcpy(fetch->ids, ids, count * sizeof(*ids));
	if (world->to_refuse > 0) {
		world->to_refuse--;
		fetch->is_refused = true;
		explore_trace(&world->course, "bob: the device refuses the keys of %llu",
			      (unsigned long long)txn);
	}
	if (world->to_answer_late > 0) {
		world->to_answer_late--;
		fetch->at_usec += 2 * SYNC_FETCH_LIMIT_USEC;
		explore_trace(&world->course, "bob: the device is late with the keys of %llu",
			      (unsigned long long)txn);
	}
	world->fetch_count++;
	return 0;
}

uint64_t device_next(const struct world *world, size_t *ret_fetch)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < world->fetch_count; i++)
		if (world->fetches[i].at_usec < at) {
			at = world->fetches[i].at_usec;
			*ret_fetch = i;
		}
	return at;
}

/* Each key is given once, unless the device is a lenient one. */
static bool give_keys(struct world_site *site, const struct world_fetch *fetch)
{
	bool is_lenient = site->world->course.plan->features & WORLD_LENIENT_DEVICE;

	for (size_t i = 0; i < fetch->count; i++) {
		uint64_t serial = device_serial(&fetch->ids[i]);

		if (serial == UINT64_MAX || (site->fetched[serial] && !is_lenient))
			return false;
	}
	for (size_t i = 0; i < fetch->count; i++)
		site->fetched[device_serial(&fetch->ids[i])] = 1;
	return !fetch->is_refused;
}

void device_answer(struct world *world, size_t i)
{
	struct world_site *site = &world->sites[1];
	struct world_fetch fetch = world->fetches[i];
	struct key_batch *keys = NULL;
	int result = -ENOKEY;

	world->fetches[i] = world->fetches[--world->fetch_count];
	if (!site->machine || fetch.life != site->life)
		return;
	if (give_keys(site, &fetch)) {
		keys = make_keys(world, 1, fetch.ids, fetch.count);
		result = 0;
	}
	site_heed(site, sync_machine_fetched(site->machine, fetch.txn, result, keys));
}

void device_supply(struct world *world)
{
	struct world_site *site = &world->sites[0];
	size_t count = 1 + (size_t)prng_below(&world->course.prng, WORLD_MESSAGE_IDS);
	struct uuid ids[WORLD_MESSAGE_IDS];

	world->supply_usec = world->course.now_usec + prng_below(&world->course.prng, SUPPLY_USEC);
	if (!site->machine || sync_machine_room(site->machine) == 0 || world->course.is_calm ||
	    world->serials + count > WORLD_MAX_KEYS)
		return;
	for (size_t i = 0; i < count; i++) {
		world->unequal[world->serials] = 0;
		device_id(world->serials++, &ids[i]);
	}
	if (world->to_differ > 0) {
		world->to_differ--;
		world->unequal[world->serials - 1 - prng_below(&world->course.prng, count)] = 1;
		explore_trace(&world->course, "the devices give unequal keys");
	}
	site_heed(site, sync_machine_keys(site->machine, make_keys(world, 0, ids, count)));
}
