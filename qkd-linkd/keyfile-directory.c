/* SPDX-License-Identifier: MIT */

/*
 * Choosing and making key directories. A directory belongs to the link that its store file names;
 * one without a store file is what a crash between mkdir and the first write left, and is free.
 */

#include "qkd-linkd/keyfile-directory.h"

static bool is_free_for(struct storage *keys, const char *directory, const char *link)
{
	struct keyfile_store store;

	return keyfile_store_read(keys, directory, &store) < 0 || str_equal(store.link, link);
}

static int format_name(const char *base, uint32_t generation, char *ret)
{
	int n = generation == 0 ? snprintf(ret, KEYFILE_NAME_MAX, "%s", base)
				: snprintf(ret, KEYFILE_NAME_MAX, "%s~%u", base, generation);

	return n < 0 || n >= (int)KEYFILE_NAME_MAX ? -ENAMETOOLONG : 0;
}

int keyfile_directory_choose(struct storage *keys, const char *link, const char *peer,
			     uint32_t generation, char ret_directory[static KEYFILE_NAME_MAX])
{
	char base[KEYFILE_NAME_MAX], name[KEYFILE_NAME_MAX];
	int r;

	for (unsigned i = 0; i < 2; i++) {
		snprintf(base, sizeof(base), i ? "%s+%s" : "%s", peer, link);
		r = format_name(base, generation, name);
		if (r < 0)
			return r;
		if (is_free_for(keys, base, link) && is_free_for(keys, name, link)) {
			memcpy(ret_directory, name, sizeof(name));
			return 0;
		}
	}
	return -EEXIST;
}

struct lowest {
	struct storage *keys;
	const char *link;
	uint32_t generation;
};

static int look_at(const char *name, void *userdata)
{
	struct lowest *lowest = userdata;
	struct keyfile_store store;

	if (keyfile_store_read(lowest->keys, name, &store) >= 0 &&
	    str_equal(store.link, lowest->link) && store.generation < UINT32_MAX)
		lowest->generation = MAX(lowest->generation, store.generation + 1);
	return 0;
}

int keyfile_directory_lowest(struct storage *keys, const char *link, uint32_t *ret_generation)
{
	struct lowest lowest = {.keys = keys, .link = link};
	int r = keys->ops->list(keys, ".", look_at, &lowest);

	if (r < 0)
		return r;
	*ret_generation = lowest.generation;
	return 0;
}

static bool is_written(struct storage *keys, const char *directory,
		       const struct keyfile_store *store)
{
	struct keyfile_store old;

	return keyfile_store_read(keys, directory, &old) >= 0 &&
	       uuid_equal(&old.uuid, &store->uuid) && old.generation == store->generation &&
	       old.key_bits == store->key_bits && old.foreign_consumer == store->foreign_consumer &&
	       str_equal(old.link, store->link) && str_equal(old.peer, store->peer);
}

int keyfile_directory_make(struct storage *keys, const char *directory,
			   const struct keyfile_store *store)
{
	int r;

	if (!is_free_for(keys, directory, store->link))
		return -EEXIST;
	r = keys->ops->make_directory(keys, directory);
	if (r < 0 && r != -EEXIST)
		return r;
	r = keys->ops->sync_directory(keys, ".");
	if (r < 0)
		return r;
	return is_written(keys, directory, store) ? 0 : keyfile_store_write(keys, directory, store);
}
