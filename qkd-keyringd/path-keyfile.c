/* SPDX-License-Identifier: MIT */

/*
 * The writer of a path's key files. One pair of files (lines and ids) is open at a time. A line is
 * a key, so lines are put together in secret memory.
 */

#include "qkd-keyringd/path-keyfile.h"

struct path_keyfile {
	struct storage *keys;
	const struct keyfile_store *store;
	char directory[KEYFILE_NAME_MAX];
	size_t key_bytes, stride;
	int lines_file, ids_file; /* -1: none open */
	uint32_t number;          /* of the open pair */
	bool is_dirty;
};

int path_keyfile_name(const struct keyfile_store *store, char ret_name[static KEYFILE_NAME_MAX])
{
	char name[KEYFILE_NAME_MAX];
	int n = snprintf(name, sizeof(name), "%s%s~%u", store->peer, store->link,
			 store->generation);

	if (n < 0 || (size_t)n >= sizeof(name))
		return -ENAMETOOLONG;
	memcpy(ret_name, name, sizeof(name));
	return 0;
}

int path_keyfile_make(struct storage *keys, const char *directory,
		      const struct keyfile_store *store)
{
	int r = keys->ops->make_directory(keys, directory);

	if (r < 0 && r != -EEXIST)
		return r;
	r = keys->ops->sync_directory(keys, ".");
	return r < 0 ? r : keyfile_store_write(keys, directory, store);
}

struct entry {
	char name[KEYFILE_NAME_MAX];
};

/* Stops at the first that is not the last to go. */
static int find_entry(const char *name, void *userdata)
{
	struct entry *entry = userdata;

	if (*name == '.' || str_equal(name, KEYFILE_STORE_FILE))
		return 0;
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	return 1;
}

static int remove_entry(struct storage *keys, const char *directory, const char *name)
{
	char path[2 * KEYFILE_NAME_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	r = keys->ops->remove(keys, path);
	return r == -ENOENT ? 0 : r;
}

int path_keyfile_remove(struct storage *keys, const char *directory)
{
	struct entry entry;
	int r;

	while ((r = keys->ops->list(keys, directory, find_entry, &entry)) > 0) {
		r = remove_entry(keys, directory, entry.name);
		if (r < 0)
			return r;
	}
	if (r >= 0)
		r = remove_entry(keys, directory, KEYFILE_STORE_FILE);
	if (r >= 0)
		r = keys->ops->remove(keys, directory);
	if (r >= 0)
		r = keys->ops->sync_directory(keys, ".");
	return r == -ENOENT ? 0 : r;
}

int path_keyfile_new(struct storage *keys, const char *directory, const struct keyfile_store *store,
		     struct path_keyfile **ret)
{
	struct path_keyfile *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return -ENOMEM;
	writer->keys = keys;
	writer->store = store;
	snprintf(writer->directory, sizeof(writer->directory), "%s", directory);
	writer->key_bytes = store->key_bits / 8;
	writer->stride = keyfile_stride(store->key_bits);
	writer->lines_file = writer->ids_file = -1;
	*ret = writer;
	return 0;
}

static void close_pair(struct path_keyfile *writer)
{
	if (writer->lines_file >= 0)
		writer->keys->ops->close(writer->keys, writer->lines_file);
	if (writer->ids_file >= 0)
		writer->keys->ops->close(writer->keys, writer->ids_file);
	writer->lines_file = writer->ids_file = -1;
}

struct path_keyfile *path_keyfile_free(struct path_keyfile *writer)
{
	if (!writer)
		return NULL;
	close_pair(writer);
	free(writer);
	return NULL;
}

static int open_file(struct path_keyfile *writer, bool is_ids, uint32_t number)
{
	char path[KEYFILE_NAME_MAX];
	int r = is_ids ? keyfile_ids_path(writer->directory, writer->store->peer, number, path)
		       : keyfile_path(writer->directory, writer->store->peer, number, path);

	return r < 0 ? r
		     : writer->keys->ops->open(writer->keys, path, STORAGE_WRITE | STORAGE_CREATE);
}

/* The pair with this number; what was written to the one before is durable by then. */
static int turn_to(struct path_keyfile *writer, uint32_t number)
{
	int r;

	if (writer->lines_file >= 0 && writer->number == number)
		return 0;
	r = path_keyfile_sync(writer);
	if (r < 0)
		return r;
	close_pair(writer);
	writer->number = number;
	r = open_file(writer, false, number);
	if (r < 0)
		return r;
	writer->lines_file = r;
	r = open_file(writer, true, number);
	if (r < 0) {
		close_pair(writer);
		return r;
	}
	writer->ids_file = r;
	return writer->keys->ops->sync_directory(writer->keys, writer->directory);
}

/* All of one pair of files. */
static int write_lines(struct path_keyfile *writer, uint64_t first, const struct uuid *ids,
		       const uint8_t *bytes, size_t count)
{
	struct storage *keys = writer->keys;
	_cleanup_(secret_freep) struct secret *lines = NULL;
	_cleanup_(freep) char *id_lines = malloc(count * KEYFILE_ID_STRIDE + 1);
	int r = id_lines ? secret_new(count * writer->stride, &lines) : -ENOMEM;

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		keyfile_build_line(bytes + i * writer->key_bytes, writer->key_bytes,
				   (char *)lines->bytes + i * writer->stride);
		uuid_format(&ids[i], id_lines + i * KEYFILE_ID_STRIDE);
		id_lines[(i + 1) * KEYFILE_ID_STRIDE - 1] = '\n';
	}
	writer->is_dirty = true;
	r = keys->ops->write_at(keys, writer->ids_file, id_lines, count * KEYFILE_ID_STRIDE,
				keyfile_offset(first, KEYFILE_ID_STRIDE));
	if (r < 0)
		return r;
	return keys->ops->write_at(keys, writer->lines_file, lines->bytes, lines->size_bytes,
				   keyfile_offset(first, writer->stride));
}

int path_keyfile_append(struct path_keyfile *writer, uint64_t first, const struct uuid *ids,
			const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		size_t room = (size_t)(KEYFILE_LINES - first % KEYFILE_LINES);
		size_t now = MIN(count, room);
		int r = turn_to(writer, keyfile_number(first));

		if (r >= 0)
			r = write_lines(writer, first, ids, bytes, now);
		if (r < 0)
			return r;
		first += now;
		ids += now;
		bytes += now * writer->key_bytes;
		count -= now;
	}
	return 0;
}

int path_keyfile_sync(struct path_keyfile *writer)
{
	struct storage *keys = writer->keys;
	int r;

	if (!writer->is_dirty)
		return 0;
	if (keys->ops->start_sync) {
		keys->ops->start_sync(keys, writer->lines_file);
		keys->ops->start_sync(keys, writer->ids_file);
	}
	r = keys->ops->sync(keys, writer->lines_file);
	if (r >= 0)
		r = keys->ops->sync(keys, writer->ids_file);
	if (r < 0)
		return r;
	writer->is_dirty = false;
	return 0;
}
