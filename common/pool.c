/* SPDX-License-Identifier: MIT */
/*
 * The ring of unissued keys.
 *
 * The ring is made in the process keyring, because only a possessor may set its permissions, and
 * moved from there into @u unless another process has been quicker. Each process then links it into
 * its own process keyring again: a key just added can be given its permissions only by a possessor,
 * too.
 *
 * A wiped key is one whose payload is a single byte; no key of ours is as short.
 */

#include "common/pool.h"

#define POOL_KEY_PREFIX      "qkd-pool"
#define POOL_DESCRIPTION_MAX (sizeof(POOL_KEY_PREFIX) + 1 + NAME_MAX_CHARS + 1 + UUID_CHARS + 1)
#define POOL_WIPED_BYTES     1

struct pool {
	char *name;
	key_serial_t ring;
	key_serial_t *wiped; /* still linked */
	size_t wiped_count, wiped_capacity;
};

static int make_ring(const char *name, key_serial_t *ret)
{
	key_serial_t ring;
	int r;

	r = key_add("keyring", name, NULL, 0, KEY_SPEC_PROCESS_KEYRING, &ring);
	if (r < 0)
		return r;
	r = key_set_permission(ring, POOL_PERMISSION);
	if (r == 0)
		r = key_move_exclusive(ring, KEY_SPEC_PROCESS_KEYRING, KEY_SPEC_USER_KEYRING);
	if (r < 0) {
		(void)key_unlink(ring, KEY_SPEC_PROCESS_KEYRING);
		return r;
	}
	*ret = ring;
	return 0;
}

static int find_ring(const char *name, key_serial_t *ret)
{
	key_serial_t ring;
	int r;

	r = key_search(KEY_SPEC_USER_KEYRING, "keyring", name, &ring);
	if (r == -ENOKEY) {
		r = make_ring(name, &ring);
		if (r == -EEXIST)
			r = key_search(KEY_SPEC_USER_KEYRING, "keyring", name, &ring);
	}
	if (r < 0)
		return r;
	r = key_link(ring, KEY_SPEC_PROCESS_KEYRING);
	if (r < 0)
		return r;
	*ret = ring;
	return 0;
}

int pool_open(const char *site, struct pool **ret)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	int r;

	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	if (asprintf(&pool->name, POOL_KEY_PREFIX "%s%s", site ? "@" : "", site ? site : "") < 0) {
		pool->name = NULL;
		return -ENOMEM;
	}
	r = find_ring(pool->name, &pool->ring);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(pool);
	return 0;
}

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	if (pool->ring > 0)
		(void)key_unlink(pool->ring, KEY_SPEC_PROCESS_KEYRING);
	free(pool->wiped);
	free(pool->name);
	free(pool);
	return NULL;
}

key_serial_t pool_ring(const struct pool *pool)
{
	return pool->ring;
}

static int describe(const char *peer, const struct uuid *id,
		    char ret_text[static POOL_DESCRIPTION_MAX])
{
	char id_text[UUID_CHARS + 1];

	if (!site_name_is_valid(peer))
		return -EINVAL;
	uuid_format(id, id_text);
	snprintf(ret_text, POOL_DESCRIPTION_MAX, POOL_KEY_PREFIX ":%s:%s", peer, id_text);
	return 0;
}

static int check_room(const struct pool *pool)
{
	size_t size;
	int r = key_size(pool->ring, &size);

	if (r < 0)
		return r;
	return size / sizeof(key_serial_t) >= POOL_RING_MAX_LINKS ? -ENOSPC : 0;
}

int pool_deposit(struct pool *pool, const char *peer, const struct uuid *id, const uint8_t *key,
		 size_t key_bytes)
{
	char description[POOL_DESCRIPTION_MAX];
	key_serial_t serial;
	int r, gone;

	if (key_bytes <= POOL_WIPED_BYTES)
		return -EINVAL;
	r = describe(peer, id, description);
	if (r < 0)
		return r;
	r = check_room(pool);
	if (r < 0)
		return r;
	r = key_add("user", description, key, key_bytes, pool->ring, &serial);
	if (r < 0)
		return r;
	r = key_set_permission(serial, POOL_PERMISSION);
	if (r == 0)
		return 0;
	/* Whoever takes keys may have unlinked it between the two calls: not ours any more. */
	gone = key_unlink(serial, pool->ring);
	return gone == -ENOENT || gone == -ENOKEY ? 0 : r;
}

static int note_wiped(struct pool *pool, key_serial_t key)
{
	if (pool->wiped_count == pool->wiped_capacity) {
		size_t capacity = MAX(pool->wiped_capacity * 2, (size_t)POOL_UNLINK_BLOCK);
		key_serial_t *larger = reallocarray(pool->wiped, capacity, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		pool->wiped = larger;
		pool->wiped_capacity = capacity;
	}
	pool->wiped[pool->wiped_count++] = key;
	return 0;
}

static int wipe(struct pool *pool, key_serial_t key)
{
	static const char nothing[POOL_WIPED_BYTES];
	int r = key_update(key, nothing, sizeof(nothing));

	return r < 0 ? r : note_wiped(pool, key);
}

static int find(struct pool *pool, const char *peer, const struct uuid *id, key_serial_t *ret)
{
	char description[POOL_DESCRIPTION_MAX];
	int r = describe(peer, id, description);

	return r < 0 ? r : key_search(pool->ring, "user", description, ret);
}

int pool_take(struct pool *pool, const char *peer, const struct uuid *id, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *secret = NULL;
	key_serial_t key;
	int r;

	r = find(pool, peer, id, &key);
	if (r < 0)
		return r;
	r = key_read(key, &secret);
	if (r < 0)
		return r;
	if (secret->size_bytes <= POOL_WIPED_BYTES)
		return -ENOKEY;
	r = wipe(pool, key);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(secret);
	return 0;
}

int pool_discard(struct pool *pool, const char *peer, const struct uuid *id)
{
	key_serial_t key;
	size_t size;
	int r;

	r = find(pool, peer, id, &key);
	if (r == 0)
		r = key_size(key, &size);
	if (r < 0)
		return r == -ENOKEY ? 0 : r;
	return size <= POOL_WIPED_BYTES ? 0 : wipe(pool, key);
}

int pool_unlink_wiped(struct pool *pool, bool force)
{
	if (pool->wiped_count < POOL_UNLINK_BLOCK && !force)
		return 0;
	while (pool->wiped_count > 0) {
		int r = key_unlink(pool->wiped[pool->wiped_count - 1], pool->ring);

		if (r < 0 && r != -ENOENT && r != -ENOKEY)
			return r;
		pool->wiped_count--;
	}
	return 0;
}

/* type;uid;gid;perm;qkd-pool:PEER:KEY-ID */
static bool parse_description(char *text, const char **ret_peer, struct uuid *ret_id)
{
	static const char prefix[] = POOL_KEY_PREFIX ":";
	char *description = strrchr(text, ';'), *peer, *colon;

	if (!description || strncmp(description + 1, prefix, strlen(prefix)) != 0)
		return false;
	peer = description + 1 + strlen(prefix);
	colon = strchr(peer, ':');
	if (!colon || uuid_parse(colon + 1, ret_id) < 0)
		return false;
	*colon = '\0';
	*ret_peer = peer;
	return site_name_is_valid(peer);
}

static int visit(struct pool *pool, key_serial_t key,
		 int (*each)(const char *peer, const struct uuid *id, void *userdata),
		 void *userdata)
{
	_cleanup_(freep) char *text = NULL;
	const char *peer;
	struct uuid id;
	size_t size;

	/* Another process may be unlinking meanwhile. */
	if (key_size(key, &size) < 0 || key_describe(key, &text) < 0)
		return 0;
	if (!parse_description(text, &peer, &id))
		return 0;
	return size <= POOL_WIPED_BYTES ? note_wiped(pool, key) : each(peer, &id, userdata);
}

int pool_foreach(struct pool *pool,
		 int (*each)(const char *peer, const struct uuid *id, void *userdata),
		 void *userdata)
{
	_cleanup_(freep) key_serial_t *keys = NULL;
	size_t count;
	int r;

	/* What is found wiped is noted again below. */
	r = pool_unlink_wiped(pool, true);
	if (r < 0)
		return r;
	r = key_list(pool->ring, &keys, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = visit(pool, keys[i], each, userdata);
	return r;
}
