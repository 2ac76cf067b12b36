/* SPDX-License-Identifier: MIT */

/*
 * The writer of key files. One pair of files (lines and ids) is open at a time; lines gather in a
 * buffer of secret memory, since a line is a key, and go out with one write for each file.
 */

#include "qkd-linkd/keyfile-append.h"

#include <assert.h>

#include "common/issue-record.h"
#include "qkd-linkd/keyfile-directory.h"

struct keyfile_append {
	struct storage *keys, *state;
	struct keyfile_store store;
	char directory[KEYFILE_NAME_MAX];
	size_t key_bytes, stride;

	uint64_t next;     /* the line after all that were added */
	uint64_t present;  /* lines below may be in the files already */
	uint64_t reserved; /* lines below have disk space */
	uint64_t written;  /* the first line in the buffer */
	size_t buffered;   /* lines in it */
	bool recovered;    /* some of them may be there already */
	struct secret *lines;
	char *ids;

	int lines_file, ids_file; /* -1: none open */
	uint32_t number;          /* of the open pair */
	bool is_dirty;
};

static int open_pair(struct keyfile_append *append, uint32_t number, int flags, int *ret_lines,
		     int *ret_ids)
{
	struct storage *keys = append->keys;
	char path[KEYFILE_NAME_MAX];
	int r, lines, ids;

	r = keyfile_path(append->directory, append->store.peer, number, path);
	if (r < 0)
		return r;
	lines = keys->ops->open(keys, path, flags);
	if (lines < 0)
		return lines;
	r = keyfile_ids_path(append->directory, append->store.peer, number, path);
	if (r >= 0)
		r = keys->ops->open(keys, path,
				    flags | (flags & STORAGE_WRITE ? STORAGE_CREATE : 0));
	if (r < 0) {
		keys->ops->close(keys, lines);
		return r;
	}
	ids = r;
	*ret_lines = lines;
	*ret_ids = ids;
	return 0;
}

static void close_pair(struct keyfile_append *append)
{
	if (append->lines_file >= 0)
		append->keys->ops->close(append->keys, append->lines_file);
	if (append->ids_file >= 0)
		append->keys->ops->close(append->keys, append->ids_file);
	append->lines_file = append->ids_file = -1;
}

static int sync_pair(struct keyfile_append *append)
{
	struct storage *keys = append->keys;
	int r;

	if (!append->is_dirty)
		return 0;
	if (keys->ops->start_sync) {
		keys->ops->start_sync(keys, append->lines_file);
		keys->ops->start_sync(keys, append->ids_file);
	}
	r = keys->ops->sync(keys, append->lines_file);
	if (r >= 0)
		r = keys->ops->sync(keys, append->ids_file);
	if (r < 0)
		return r;
	append->is_dirty = false;
	return 0;
}

/* The pair with this number, made when it is absent; what was written to the one before is durable
 * by then. */
static int turn_to(struct keyfile_append *append, uint32_t number)
{
	struct storage *keys = append->keys;
	int r;

	if (append->lines_file >= 0 && append->number == number)
		return 0;
	r = sync_pair(append);
	if (r < 0)
		return r;
	close_pair(append);
	append->number = number;
	r = open_pair(append, number, STORAGE_WRITE, &append->lines_file, &append->ids_file);
	if (r != -ENOENT)
		return r;
	r = open_pair(append, number, STORAGE_WRITE | STORAGE_CREATE, &append->lines_file,
		      &append->ids_file);
	if (r < 0)
		return r;
	return keys->ops->sync_directory(keys, append->directory);
}

/* How far files that a crash left reach. */
static int find_present(struct keyfile_append *append)
{
	struct storage *keys = append->keys;

	for (uint32_t number = keyfile_number(append->next);; number++) {
		uint64_t size_bytes = 0;
		int lines, ids, r;

		r = open_pair(append, number, STORAGE_READ | STORAGE_FROM_DISK, &lines, &ids);
		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return r;
		r = keys->ops->size(keys, lines, &size_bytes);
		keys->ops->close(keys, lines);
		keys->ops->close(keys, ids);
		if (r < 0)
			return r;
		if (size_bytes > 0)
			append->present = (uint64_t)number * KEYFILE_LINES +
					  (size_bytes + append->stride - 1) / append->stride;
	}
}

int keyfile_append_open(struct storage *keys, struct storage *state, const char *directory,
			const struct keyfile_store *store, uint64_t next,
			struct keyfile_append **ret)
{
	_cleanup_(keyfile_append_freep) struct keyfile_append *append = calloc(1, sizeof(*append));
	int r;

	if (!append)
		return -ENOMEM;
	append->keys = keys;
	append->state = state;
	append->store = *store;
	append->key_bytes = store->key_bits / 8;
	append->stride = keyfile_stride(store->key_bits);
	append->next = append->written = append->reserved = next;
	append->lines_file = append->ids_file = -1;
	snprintf(append->directory, sizeof(append->directory), "%s", directory);
	r = secret_new(KEYFILE_APPEND_BATCH_LINES * append->stride, &append->lines);
	if (r < 0)
		return r;
	append->ids = malloc(KEYFILE_APPEND_BATCH_LINES * KEYFILE_ID_STRIDE);
	if (!append->ids)
		return -ENOMEM;
	r = keyfile_directory_make(keys, directory, store);
	if (r < 0)
		return r;
	r = find_present(append);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(append);
	return 0;
}

struct keyfile_append *keyfile_append_free(struct keyfile_append *append)
{
	if (!append)
		return NULL;
	close_pair(append);
	secret_free(append->lines);
	free(append->ids);
	free(append);
	return NULL;
}

/* Space is taken for whole files, so that this is rarely asked. */
static int reserve_file(struct keyfile_append *append, uint32_t number)
{
	struct storage *keys = append->keys;
	int lines, ids, r;

	r = open_pair(append, number, STORAGE_WRITE | STORAGE_CREATE, &lines, &ids);
	if (r < 0)
		return r;
	r = keys->ops->reserve(keys, lines, 0, (uint64_t)KEYFILE_LINES * append->stride);
	if (r >= 0)
		r = keys->ops->reserve(keys, ids, 0, (uint64_t)KEYFILE_LINES * KEYFILE_ID_STRIDE);
	keys->ops->close(keys, lines);
	keys->ops->close(keys, ids);
	if (r >= 0)
		r = keys->ops->sync_directory(keys, append->directory);
	return r;
}

int keyfile_append_reserve(struct keyfile_append *append, uint64_t lines)
{
	while (append->reserved < append->next + lines) {
		uint32_t number = keyfile_number(append->reserved);
		int r = reserve_file(append, number);

		if (r < 0)
			return r;
		append->reserved = ((uint64_t)number + 1) * KEYFILE_LINES;
	}
	return 0;
}

uint64_t keyfile_append_next(const struct keyfile_append *append)
{
	return append->next;
}

/* Looking at what a crash left */

enum present_line {
	PRESENT_NOT,          /* nothing, or a part of ours: write it */
	PRESENT_EQUAL,        /* leave it */
	PRESENT_ERASED,       /* leave it */
	PRESENT_TORN_ERASURE, /* erase the rest */
	PRESENT_OTHER,
};

/* Not constant in time: which bytes a crash left unwritten is no secret. */
static enum present_line compare_line(const char *ours, const char *there, size_t stride)
{
	size_t equal = 0, erased = 0, missing = 0;

	for (size_t i = 0; i < stride; i++) {
		equal += there[i] == ours[i];
		erased += there[i] == KEYFILE_ERASED;
		missing += there[i] == '\0';
	}
	if (equal == stride)
		return PRESENT_EQUAL;
	if (erased == stride - 1 && there[stride - 1] == '\n')
		return PRESENT_ERASED;
	if (equal + missing == stride)
		return PRESENT_NOT;
	return equal + erased + missing == stride ? PRESENT_TORN_ERASURE : PRESENT_OTHER;
}

/* One line or id of the buffer to its place. */
static int write_one(struct keyfile_append *append, int file, const char *bytes, size_t stride,
		     uint64_t sequence)
{
	append->is_dirty = true;
	return append->keys->ops->write_at(append->keys, file, bytes, stride,
					   keyfile_offset(sequence, stride));
}

/*
 * What is there may be in memory only: after a failed fsync(2) the kernel calls its pages clean,
 * and the next one has nothing to do. Writing the newline makes the page dirty again, and is the
 * one byte of a line that keyringd, which may erase it meanwhile, never changes.
 */
static int write_newline(struct keyfile_append *append, int file, size_t stride, uint64_t sequence)
{
	append->is_dirty = true;
	return append->keys->ops->write_at(append->keys, file, "\n", 1,
					   keyfile_offset(sequence, stride) + stride - 1);
}

static int reconcile_line(struct keyfile_append *append, size_t i, const char *there, bool used)
{
	char *ours = (char *)append->lines->bytes + i * append->stride;
	enum present_line present = compare_line(ours, there, append->stride);

	if (present == PRESENT_OTHER)
		return -EBADMSG;
	if (present == PRESENT_ERASED || (present == PRESENT_EQUAL && !used))
		return write_newline(append, append->lines_file, append->stride,
				     append->written + i);
	if (used || present == PRESENT_TORN_ERASURE)
		memset(ours, KEYFILE_ERASED, append->stride - 1);
	return write_one(append, append->lines_file, ours, append->stride, append->written + i);
}

static int reconcile_id(struct keyfile_append *append, size_t i, const char *there)
{
	const char *ours = append->ids + i * KEYFILE_ID_STRIDE;
	enum present_line present = compare_line(ours, there, KEYFILE_ID_STRIDE);

	if (present == PRESENT_EQUAL)
		return write_newline(append, append->ids_file, KEYFILE_ID_STRIDE,
				     append->written + i);
	if (present != PRESENT_NOT)
		return -EBADMSG;
	return write_one(append, append->ids_file, ours, KEYFILE_ID_STRIDE, append->written + i);
}

/* keyringd has unlinked the file, as it does when it has used every line. */
static int is_unlinked(struct keyfile_append *append, const bool *used, bool *ret)
{
	int lines, ids, r;

	*ret = false;
	for (size_t i = 0; i < append->buffered; i++)
		if (!used[i])
			return 0;
	r = open_pair(append, keyfile_number(append->written), STORAGE_READ, &lines, &ids);
	*ret = r == -ENOENT;
	if (r < 0)
		return *ret ? 0 : r;
	append->keys->ops->close(append->keys, lines);
	append->keys->ops->close(append->keys, ids);
	return 0;
}

static int reconcile_lines(struct keyfile_append *append, const bool *used)
{
	_cleanup_(secret_freep) struct secret *there = NULL;
	ssize_t n;
	int r;

	r = secret_new(append->buffered * append->stride, &there);
	if (r < 0)
		return r;
	n = append->keys->ops->read_at(append->keys, append->lines_file, there->bytes,
				       there->size_bytes,
				       keyfile_offset(append->written, append->stride));
	if (n < 0)
		return (int)n;
	for (size_t i = 0; i < append->buffered; i++) {
		r = reconcile_line(append, i, (char *)there->bytes + i * append->stride, used[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int reconcile_ids(struct keyfile_append *append)
{
	_cleanup_(freep) char *there = calloc(append->buffered, KEYFILE_ID_STRIDE);
	ssize_t n;
	int r;

	if (!there)
		return -ENOMEM;
	n = append->keys->ops->read_at(append->keys, append->ids_file, there,
				       append->buffered * KEYFILE_ID_STRIDE,
				       keyfile_offset(append->written, KEYFILE_ID_STRIDE));
	if (n < 0)
		return (int)n;
	for (size_t i = 0; i < append->buffered; i++) {
		r = reconcile_id(append, i, there + i * KEYFILE_ID_STRIDE);
		if (r < 0)
			return r;
	}
	return 0;
}

static int reconcile(struct keyfile_append *append)
{
	bool used[KEYFILE_APPEND_BATCH_LINES], unlinked;
	int r;

	r = issue_record_used(append->state, &append->store.uuid, append->store.generation,
			      append->written, append->buffered, used);
	if (r >= 0)
		r = is_unlinked(append, used, &unlinked);
	if (r < 0 || unlinked)
		return r;
	r = turn_to(append, keyfile_number(append->written));
	if (r >= 0)
		r = reconcile_lines(append, used);
	if (r >= 0)
		r = reconcile_ids(append);
	return r;
}

/* Writing */

static int write_fresh(struct keyfile_append *append)
{
	struct storage *keys = append->keys;
	int r;

	r = turn_to(append, keyfile_number(append->written));
	if (r < 0)
		return r;
	append->is_dirty = true;
	r = keys->ops->write_at(keys, append->lines_file, append->lines->bytes,
				append->buffered * append->stride,
				keyfile_offset(append->written, append->stride));
	if (r < 0)
		return r;
	return keys->ops->write_at(keys, append->ids_file, append->ids,
				   append->buffered * KEYFILE_ID_STRIDE,
				   keyfile_offset(append->written, KEYFILE_ID_STRIDE));
}

/* The buffer is within one file. */
static int write_buffer(struct keyfile_append *append)
{
	int r;

	if (append->buffered == 0)
		return 0;
	r = append->recovered ? reconcile(append) : write_fresh(append);
	secret_wipe(append->lines->bytes, append->buffered * append->stride);
	if (r < 0)
		return r;
	append->written += append->buffered;
	append->buffered = 0;
	append->recovered = false;
	return 0;
}

static void buffer_line(struct keyfile_append *append, const struct uuid *id, const uint8_t *key)
{
	char *line = (char *)append->lines->bytes + append->buffered * append->stride;
	char *id_line = append->ids + append->buffered * KEYFILE_ID_STRIDE;

	keyfile_build_line(key, append->key_bytes, line);
	uuid_format(id, id_line);
	id_line[UUID_CHARS] = '\n';
	append->buffered++;
	append->next++;
}

int keyfile_append_add(struct keyfile_append *append, uint64_t first, const struct uuid *ids,
		       const uint8_t *keys, size_t count, bool recovered)
{
	assert(first == append->next);
	for (size_t i = 0; i < count; i++) {
		int r;

		if (append->buffered == KEYFILE_APPEND_BATCH_LINES ||
		    append->next % KEYFILE_LINES == 0) {
			r = write_buffer(append);
			if (r < 0)
				return r;
		}
		append->recovered |= recovered || append->next < append->present;
		buffer_line(append, &ids[i], keys + i * append->key_bytes);
	}
	return 0;
}

int keyfile_append_sync(struct keyfile_append *append)
{
	int r = write_buffer(append);

	return r < 0 ? r : sync_pair(append);
}

/* Stock */

struct oldest {
	const char *peer;
	uint64_t number;
};

static int note_oldest(const char *name, void *userdata)
{
	struct oldest *oldest = userdata;
	size_t length = strlen(oldest->peer);
	char *end;
	unsigned long number;

	if (strncmp(name, oldest->peer, length) != 0 || name[length] != '_' ||
	    name[length + 1] < '0' || name[length + 1] > '9')
		return 0;
	number = strtoul(name + length + 1, &end, 10);
	if (*end == '\0')
		oldest->number = MIN(oldest->number, (uint64_t)number);
	return 0;
}

int keyfile_append_stock(struct keyfile_append *append, uint64_t *ret_lines)
{
	struct oldest oldest = {.peer = append->store.peer, .number = UINT64_MAX};
	int r = append->keys->ops->list(append->keys, append->directory, note_oldest, &oldest);

	if (r < 0)
		return r;
	if (oldest.number == UINT64_MAX || oldest.number * KEYFILE_LINES > append->next)
		*ret_lines = 0;
	else
		*ret_lines = append->next - oldest.number * KEYFILE_LINES;
	return 0;
}
