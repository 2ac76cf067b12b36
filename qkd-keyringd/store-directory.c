/* SPDX-License-Identifier: MIT */

/*
 * Reading a directory of key files: the index is rebuilt from it at start and goes on with it when
 * linkd tells of more, and key bytes come from here when they are not in the kernel's pool.
 */

#include "qkd-keyringd/store-directory.h"

#include <limits.h>

#define SCAN_LINES 512 /* read at once */

struct open_file {
	struct storage *storage;
	int handle;
};

static void open_file_done(struct open_file *file)
{
	if (file->handle >= 0)
		file->storage->ops->close(file->storage, file->handle);
}

static int open_read(struct storage *storage, const char *path, struct open_file *ret)
{
	int handle = storage->ops->open(storage, path, STORAGE_READ);

	if (handle < 0)
		return handle;
	*ret = (struct open_file){.storage = storage, .handle = handle};
	return 0;
}

int store_directory_read(struct storage *keys, const char *name, struct store_directory *ret)
{
	struct store_directory directory = {};
	int r;

	if (strlen(name) >= sizeof(directory.name))
		return -ENAMETOOLONG;
	strcpy(directory.name, name);
	r = keyfile_store_read(keys, name, &directory.store);
	if (r < 0)
		return r;
	*ret = directory;
	return 0;
}

struct first_search {
	const char *peer;
	uint64_t first;
};

static int look_at_name(const char *name, void *userdata)
{
	struct first_search *search = userdata;
	size_t peer_chars = strlen(search->peer);
	unsigned long number;
	char *end;

	if (strncmp(name, search->peer, peer_chars) != 0 || name[peer_chars] != '_')
		return 0;
	name += peer_chars + 1;
	if (*name < '0' || *name > '9')
		return 0;
	errno = 0;
	number = strtoul(name, &end, 10);
	if (errno || *end || number > UINT32_MAX)
		return 0;
	search->first = MIN(search->first, (uint64_t)number * KEYFILE_LINES);
	return 0;
}

int store_directory_first(struct storage *keys, const struct store_directory *directory,
			  uint64_t *ret_sequence)
{
	struct first_search search = {.peer = directory->store.peer, .first = UINT64_MAX};
	int r = keys->ops->list(keys, directory->name, look_at_name, &search);

	if (r < 0)
		return r;
	*ret_sequence = search.first;
	return 0;
}

/* One pair of files during a scan. */
struct scan {
	struct open_file keys, ids;
	size_t stride;
	uint64_t lines; /* complete in both */
	struct secret *key_text;
	char id_text[SCAN_LINES * KEYFILE_ID_STRIDE];
};

static void scan_done(struct scan *scan)
{
	open_file_done(&scan->keys);
	open_file_done(&scan->ids);
	secret_free(scan->key_text);
}

static int scan_open(struct storage *keys, const struct store_directory *directory, uint32_t number,
		     struct scan *scan)
{
	char path[KEYFILE_NAME_MAX];
	uint64_t key_bytes = 0, id_bytes = 0;
	int r;

	scan->stride = keyfile_stride(directory->store.key_bits);
	r = keyfile_path(directory->name, directory->store.peer, number, path);
	if (r >= 0)
		r = open_read(keys, path, &scan->keys);
	if (r >= 0)
		r = keyfile_ids_path(directory->name, directory->store.peer, number, path);
	if (r >= 0)
		r = open_read(keys, path, &scan->ids);
	if (r >= 0)
		r = keys->ops->size(keys, scan->keys.handle, &key_bytes);
	if (r >= 0)
		r = keys->ops->size(keys, scan->ids.handle, &id_bytes);
	if (r >= 0)
		r = secret_new(SCAN_LINES * scan->stride, &scan->key_text);
	if (r < 0)
		return r;
	scan->lines = MIN(key_bytes / scan->stride, id_bytes / KEYFILE_ID_STRIDE);
	scan->lines = MIN(scan->lines, (uint64_t)KEYFILE_LINES);
	return 0;
}

static int scan_line(const struct scan *scan, size_t i, uint64_t sequence,
		     store_directory_line_t each, void *userdata)
{
	const char *id_text = scan->id_text + i * KEYFILE_ID_STRIDE;
	const char *key_text = (const char *)scan->key_text->bytes + i * scan->stride;
	enum keyfile_line line = keyfile_parse_line(key_text, scan->stride, NULL);
	struct uuid id;

	if (id_text[UUID_CHARS] != '\n' || uuid_parse_chars(id_text, &id) < 0) {
		/* Without its id nobody can be given it; a random one keeps the line's place. */
		int r = uuid_new_random(&id);

		if (r < 0)
			return r;
		line = KEYFILE_LINE_DAMAGED;
	}
	return each(sequence, &id, line, userdata);
}

/* Lines first .. first + count - 1 of the file, count at most SCAN_LINES. */
static int scan_chunk(struct scan *scan, uint64_t base, uint64_t first, size_t count,
		      store_directory_line_t each, void *userdata)
{
	struct storage *storage = scan->keys.storage;
	ssize_t key_bytes, id_bytes;
	int r;

	id_bytes = storage->ops->read_at(storage, scan->ids.handle, scan->id_text,
					 count * KEYFILE_ID_STRIDE, first * KEYFILE_ID_STRIDE);
	key_bytes = storage->ops->read_at(storage, scan->keys.handle, scan->key_text->bytes,
					  count * scan->stride, first * scan->stride);
	if (id_bytes < 0 || key_bytes < 0)
		return id_bytes < 0 ? (int)id_bytes : (int)key_bytes;
	if ((size_t)id_bytes != count * KEYFILE_ID_STRIDE ||
	    (size_t)key_bytes != count * scan->stride)
		return -EIO; /* they only grow */
	for (size_t i = 0; i < count; i++) {
		r = scan_line(scan, i, base + first + i, each, userdata);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One file from a line on; ret_next is one above the last complete line. */
static int scan_file(struct storage *keys, const struct store_directory *directory, uint64_t from,
		     store_directory_line_t each, void *userdata, uint64_t *ret_next)
{
	_cleanup_(scan_done) struct scan scan = {.keys.handle = -1, .ids.handle = -1};
	uint64_t base = from - from % KEYFILE_LINES;
	int r = scan_open(keys, directory, keyfile_number(from), &scan);

	if (r < 0)
		return r;
	for (uint64_t line = from - base; line < scan.lines; line += SCAN_LINES) {
		size_t count = (size_t)MIN(scan.lines - line, (uint64_t)SCAN_LINES);

		r = scan_chunk(&scan, base, line, count, each, userdata);
		if (r < 0)
			return r;
	}
	*ret_next = MAX(from, base + scan.lines);
	return 0;
}

int store_directory_scan(struct storage *keys, const struct store_directory *directory,
			 uint64_t from, store_directory_line_t each, void *userdata,
			 uint64_t *ret_next)
{
	uint64_t next = from, end;
	int r;

	do {
		from = next;
		end = (from / KEYFILE_LINES + 1) * KEYFILE_LINES;
		r = scan_file(keys, directory, from, each, userdata, &next);
		if (r < 0 && r != -ENOENT)
			return r;
	} while (r >= 0 && next == end);
	*ret_next = next;
	return 0;
}

static int decode_line(const struct secret *text, size_t stride, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *key = NULL;
	int r = secret_new((stride - 1) / 2, &key);

	if (r < 0)
		return r;
	switch (keyfile_parse_line((const char *)text->bytes, stride, key->bytes)) {
	case KEYFILE_LINE_KEY:
		*ret = TAKE_PTR(key);
		return 0;
	case KEYFILE_LINE_ERASED:
		return -ENOKEY;
	case KEYFILE_LINE_DAMAGED:
		break;
	}
	return -EBADMSG;
}

int store_directory_read_key(struct storage *keys, const struct store_directory *directory,
			     uint64_t sequence, struct secret **ret)
{
	_cleanup_(open_file_done) struct open_file file = {.handle = -1};
	_cleanup_(secret_freep) struct secret *text = NULL;
	size_t stride = keyfile_stride(directory->store.key_bits);
	char path[KEYFILE_NAME_MAX];
	ssize_t n;
	int r;

	r = keyfile_path(directory->name, directory->store.peer, keyfile_number(sequence), path);
	if (r >= 0)
		r = open_read(keys, path, &file);
	if (r < 0)
		return r == -ENOENT ? -ENOKEY : r;
	r = secret_new(stride, &text);
	if (r < 0)
		return r;
	n = keys->ops->read_at(keys, file.handle, text->bytes, stride,
			       keyfile_offset(sequence, stride));
	if (n < 0)
		return (int)n;
	if ((size_t)n != stride)
		return -ENOKEY;
	return decode_line(text, stride, ret);
}
