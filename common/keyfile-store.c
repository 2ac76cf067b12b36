/* SPDX-License-Identifier: MIT */
/*
 * The "store" file of a key directory: which link, which peer, which generation the keys beside it
 * belong to. Small JSON, so that an administrator can read it.
 */

#include <jansson.h>

#include "common/json-text.h"
#include "common/keyfile.h"

#define STORE_FORMAT 1

static int store_path(const char *directory, const char *suffix,
		      char ret_path[static KEYFILE_NAME_MAX])
{
	int n = snprintf(ret_path, KEYFILE_NAME_MAX, "%s/" KEYFILE_STORE_FILE "%s", directory,
			 suffix);

	return n < 0 || n >= KEYFILE_NAME_MAX ? -ENAMETOOLONG : 0;
}

static bool key_bits_are_valid(json_int_t bits)
{
	return bits >= KEYFILE_BITS_MIN && bits <= KEYFILE_BITS_MAX && bits % 8 == 0;
}

static bool link_is_valid(const char *link)
{
	return *link == KEYFILE_PATH_MARK ? site_name_is_valid(link + 1) : link_name_is_valid(link);
}

const char *keyfile_store_builder(const struct keyfile_store *store)
{
	return *store->link == KEYFILE_PATH_MARK ? store->link + 1 : NULL;
}

static int read_members(json_t *root, struct keyfile_store *ret)
{
	struct keyfile_store store = {0};
	const char *uuid, *link, *peer;
	json_int_t format, generation, key_bits;
	int foreign;

	if (json_unpack_ex(root, NULL, JSON_STRICT, "{s:I,s:s,s:I,s:s,s:s,s:I,s:b}", "format",
			   &format, "uuid", &uuid, "generation", &generation, "link", &link, "peer",
			   &peer, "key_bits", &key_bits, "foreign_consumer", &foreign) < 0)
		return -EBADMSG;
	if (format != STORE_FORMAT || uuid_parse(uuid, &store.uuid) < 0 || generation < 0 ||
	    generation > UINT32_MAX || !link_is_valid(link) || !site_name_is_valid(peer) ||
	    !key_bits_are_valid(key_bits))
		return -EBADMSG;
	store.generation = (uint32_t)generation;
	store.key_bits = (uint32_t)key_bits;
	store.foreign_consumer = foreign;
	strcpy(store.link, link);
	strcpy(store.peer, peer);
	*ret = store;
	return 0;
}

int keyfile_store_parse(const char *text, size_t size_bytes, struct keyfile_store *ret)
{
	_cleanup_(json_decrefp) json_t *root = NULL;

	if (size_bytes > KEYFILE_STORE_MAX)
		return -EBADMSG;
	root = json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, NULL);
	return root ? read_members(root, ret) : -EBADMSG;
}

int keyfile_store_read(struct storage *keys, const char *directory, struct keyfile_store *ret)
{
	char path[KEYFILE_NAME_MAX], text[KEYFILE_STORE_MAX + 1];
	ssize_t n;
	int file, r;

	r = store_path(directory, "", path);
	if (r < 0)
		return r;
	file = keys->ops->open(keys, path, STORAGE_READ);
	if (file < 0)
		return file;
	n = keys->ops->read_at(keys, file, text, sizeof(text), 0);
	keys->ops->close(keys, file);
	return n < 0 ? (int)n : keyfile_store_parse(text, (size_t)n, ret);
}

static int store_format(const struct keyfile_store *store, char ret_text[static KEYFILE_STORE_MAX])
{
	char uuid[UUID_CHARS + 1];
	int n;

	/* Names of our grammar need no escaping. */
	if (!link_is_valid(store->link) || !site_name_is_valid(store->peer) ||
	    !key_bits_are_valid(store->key_bits))
		return -EINVAL;
	uuid_format(&store->uuid, uuid);
	n = snprintf(ret_text, KEYFILE_STORE_MAX,
		     "{\n  \"format\": %d,\n  \"uuid\": \"%s\",\n  \"generation\": %u,\n"
		     "  \"link\": \"%s\",\n  \"peer\": \"%s\",\n  \"key_bits\": %u,\n"
		     "  \"foreign_consumer\": %s\n}\n",
		     STORE_FORMAT, uuid, store->generation, store->link, store->peer,
		     store->key_bits, store->foreign_consumer ? "true" : "false");
	return n;
}

static int write_whole(struct storage *keys, const char *path, const char *text, size_t size_bytes)
{
	int file, r;

	file = keys->ops->open(keys, path, STORAGE_WRITE | STORAGE_CREATE);
	if (file < 0)
		return file;
	r = keys->ops->truncate(keys, file, 0);
	if (r == 0)
		r = keys->ops->write_at(keys, file, text, size_bytes, 0);
	if (r == 0)
		r = keys->ops->sync(keys, file);
	keys->ops->close(keys, file);
	return r;
}

int keyfile_store_write(struct storage *keys, const char *directory,
			const struct keyfile_store *store)
{
	char path[KEYFILE_NAME_MAX], new_path[KEYFILE_NAME_MAX], text[KEYFILE_STORE_MAX];
	int r, size;

	size = store_format(store, text);
	if (size < 0)
		return size;
	r = store_path(directory, ".new", new_path);
	if (r < 0)
		return r;
	r = store_path(directory, "", path);
	if (r < 0)
		return r;
	r = write_whole(keys, new_path, text, (size_t)size);
	if (r < 0)
		return r;
	r = keys->ops->rename(keys, new_path, path);
	return r < 0 ? r : keys->ops->sync_directory(keys, directory);
}
