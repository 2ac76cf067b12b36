/* SPDX-License-Identifier: MIT */

/*
 * Counting what is in the pool: a table of the ids that were deposited, with the half that each
 * belongs to. Ids of an earlier run, whose half nobody knows any more, are counted to both in turn.
 */

#include "qkd-linkd/deposit.h"

enum {
	HALVES = 2,
};

struct slot {
	struct uuid id;
	uint8_t half;
	bool is_used, is_seen;
};

struct deposit {
	struct pool *pool;
	char peer[NAME_MAX_CHARS + 1];
	size_t cap[HALVES], in_pool[HALVES];
	uint64_t total;
	struct slot *slots; /* open addressing, a power of two, at most half full */
	size_t slot_count, unknown;
	uint64_t counted_usec, quota_usec; /* quota_usec: no try before */
};

static struct slot *find_slot(const struct deposit *deposit, const struct uuid *id)
{
	size_t mask = deposit->slot_count - 1, at = uuid_hash(id, 0) & mask;

	for (; deposit->slots[at].is_used; at = (at + 1) & mask)
		if (uuid_equal(&deposit->slots[at].id, id))
			break;
	return &deposit->slots[at];
}

static int insert(struct deposit *deposit, const struct uuid *id, unsigned half)
{
	struct slot *slot = find_slot(deposit, id);

	if (slot->is_used || 2 * (deposit->in_pool[0] + deposit->in_pool[1]) >= deposit->slot_count)
		return 0;
	*slot = (struct slot){.id = *id, .half = (uint8_t)half, .is_used = true, .is_seen = true};
	deposit->in_pool[half]++;
	return 0;
}

static int see(const char *peer, const struct uuid *id, void *userdata)
{
	struct deposit *deposit = userdata;
	struct slot *slot;

	if (!str_equal(peer, deposit->peer))
		return 0;
	slot = find_slot(deposit, id);
	if (!slot->is_used)
		return insert(deposit, id, deposit->unknown++ % HALVES);
	slot->is_seen = true;
	return 0;
}

/* Drops from the table what is no longer in the pool. */
static int recount(struct deposit *deposit, uint64_t now_usec)
{
	struct slot *old = deposit->slots;
	struct slot *fresh;
	int r;

	for (size_t i = 0; i < deposit->slot_count; i++)
		old[i].is_seen = false;
	r = pool_foreach(deposit->pool, see, deposit);
	if (r < 0)
		return r;
	fresh = calloc(deposit->slot_count, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	deposit->slots = fresh;
	memset(deposit->in_pool, 0, sizeof(deposit->in_pool));
	for (size_t i = 0; i < deposit->slot_count; i++)
		if (old[i].is_used && old[i].is_seen)
			insert(deposit, &old[i].id, old[i].half);
	free(old);
	deposit->counted_usec = now_usec;
	return 0;
}

int deposit_new(const char *site, const char *peer, size_t cap, uint64_t now_usec,
		struct deposit **ret)
{
	_cleanup_(deposit_freep) struct deposit *deposit = calloc(1, sizeof(*deposit));
	int r;

	if (!deposit)
		return -ENOMEM;
	snprintf(deposit->peer, sizeof(deposit->peer), "%s", peer);
	deposit->cap[0] = cap - cap / HALVES;
	deposit->cap[1] = cap / HALVES;
	/* Room for strays of an earlier run with a larger cap. */
	for (deposit->slot_count = 64; deposit->slot_count < 4 * cap;)
		deposit->slot_count *= 2;
	deposit->slots = calloc(deposit->slot_count, sizeof(*deposit->slots));
	if (!deposit->slots)
		return -ENOMEM;
	r = pool_open(site, &deposit->pool);
	if (r < 0)
		return r;
	r = recount(deposit, now_usec);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(deposit);
	return 0;
}

struct deposit *deposit_free(struct deposit *deposit)
{
	if (!deposit)
		return NULL;
	pool_free(deposit->pool);
	free(deposit->slots);
	free(deposit);
	return NULL;
}

static int make_room(struct deposit *deposit, uint64_t now_usec)
{
	size_t cap = deposit->cap[0] + deposit->cap[1];

	if (now_usec - deposit->counted_usec < cap * DEPOSIT_RECOUNT_USEC)
		return 0;
	return recount(deposit, now_usec);
}

static int add_one(struct deposit *deposit, unsigned half, const struct uuid *id,
		   const uint8_t *key, size_t key_bytes, uint64_t now_usec)
{
	int r;

	if (deposit->in_pool[half] >= deposit->cap[half]) {
		r = make_room(deposit, now_usec);
		if (r < 0 || deposit->in_pool[half] >= deposit->cap[half])
			return r;
	}
	r = pool_deposit(deposit->pool, deposit->peer, id, key, key_bytes);
	if (r >= 0) {
		deposit->total++;
		return insert(deposit, id, half);
	}
	if (r != -EDQUOT && r != -ENOSPC)
		return r;
	deposit->quota_usec = now_usec + DEPOSIT_AFTER_FULL_USEC;
	return r == -EDQUOT;
}

int deposit_add(struct deposit *deposit, uint64_t first, const struct uuid *ids,
		const uint8_t *keys, size_t count, size_t key_bytes, uint64_t now_usec)
{
	for (size_t i = 0; i < count && now_usec >= deposit->quota_usec; i++) {
		int r = add_one(deposit, (first + i) % HALVES, &ids[i], keys + i * key_bytes,
				key_bytes, now_usec);

		if (r != 0)
			return r;
	}
	return 0;
}

uint64_t deposit_total(const struct deposit *deposit)
{
	return deposit->total;
}

size_t deposit_count(const struct deposit *deposit)
{
	return deposit->in_pool[0] + deposit->in_pool[1];
}
