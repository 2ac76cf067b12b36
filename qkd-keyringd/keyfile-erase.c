/* SPDX-License-Identifier: MIT */

/*
 * The only writer of '-' over a key. It works in batches because a key's erasure has to be certain,
 * not fast: the issue record has made sure already that nobody gets the key again.
 */

#include "qkd-keyringd/keyfile-erase.h"

struct line {
	uint32_t tag;
	uint64_t sequence;
};

struct keyfile_erase {
	struct storage *keys;
	struct line *lines;
	size_t count, allocated;
};

/* The file that is being worked on. */
struct target {
	const char *directory;
	const struct keyfile_store *store;
	uint32_t number;
	int handle;
	uint64_t size_bytes;
	char *dashes; /* one line */
};

int keyfile_erase_new(struct storage *keys, struct keyfile_erase **ret)
{
	struct keyfile_erase *erase = calloc(1, sizeof(*erase));

	if (!erase)
		return -ENOMEM;
	erase->keys = keys;
	*ret = erase;
	return 0;
}

struct keyfile_erase *keyfile_erase_free(struct keyfile_erase *erase)
{
	if (erase)
		free(erase->lines);
	free(erase);
	return NULL;
}

int keyfile_erase_add(struct keyfile_erase *erase, uint32_t tag, uint64_t sequence)
{
	if (erase->count == erase->allocated) {
		size_t allocated = erase->allocated ? erase->allocated * 2 : 64;
		struct line *larger = reallocarray(erase->lines, allocated, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		erase->lines = larger;
		erase->allocated = allocated;
	}
	erase->lines[erase->count++] = (struct line){.tag = tag, .sequence = sequence};
	return 0;
}

bool keyfile_erase_is_empty(const struct keyfile_erase *erase)
{
	return erase->count == 0;
}

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static void target_done(struct keyfile_erase *erase, struct target *target)
{
	if (target->handle >= 0)
		erase->keys->ops->close(erase->keys, target->handle);
	target->handle = -1;
	free(target->dashes);
	target->dashes = NULL;
}

/* A file that is not there leaves the handle at -1: all its lines are gone. */
static int target_open(struct keyfile_erase *erase, struct target *target)
{
	size_t stride = keyfile_stride(target->store->key_bits);
	char path[KEYFILE_NAME_MAX];
	int r = keyfile_path(target->directory, target->store->peer, target->number, path);

	target->handle = -1;
	if (r < 0)
		return r;
	r = erase->keys->ops->open(erase->keys, path, STORAGE_WRITE);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	target->handle = r;
	target->dashes = malloc(stride);
	if (!target->dashes)
		return -ENOMEM;
	memset(target->dashes, KEYFILE_ERASED, stride - 1);
	target->dashes[stride - 1] = '\n';
	return erase->keys->ops->size(erase->keys, target->handle, &target->size_bytes);
}

static int write_line(struct keyfile_erase *erase, const struct target *target, uint64_t sequence)
{
	size_t stride = keyfile_stride(target->store->key_bits);
	uint64_t offset = keyfile_offset(sequence, stride);

	if (target->handle < 0 || offset + stride > target->size_bytes)
		return 0;
	/* The newline stays as it is: only the digits are written. */
	return erase->keys->ops->write_at(erase->keys, target->handle, target->dashes, stride - 1,
					  offset);
}

static int unlink_file(struct keyfile_erase *erase, const struct target *target)
{
	char path[KEYFILE_NAME_MAX];
	int r;

	r = keyfile_path(target->directory, target->store->peer, target->number, path);
	if (r >= 0)
		r = erase->keys->ops->remove(erase->keys, path);
	if (r < 0 && r != -ENOENT)
		return r;
	r = keyfile_ids_path(target->directory, target->store->peer, target->number, path);
	if (r >= 0)
		r = erase->keys->ops->remove(erase->keys, path);
	return r == -ENOENT ? 0 : r;
}

/* Lines first .. end - 1 of the list, all of one file. */
static int flush_file(struct keyfile_erase *erase, size_t first, size_t end,
		      const struct keyfile_erase_handler *handler, void *userdata)
{
	uint32_t tag = erase->lines[first].tag;
	struct target target = {.number = keyfile_number(erase->lines[first].sequence),
				.handle = -1};
	bool whole = false;
	int r;

	if (!handler->locate(tag, &target.directory, &target.store, userdata))
		return 0;
	r = target_open(erase, &target);
	for (size_t i = first; r >= 0 && i < end; i++)
		r = write_line(erase, &target, erase->lines[i].sequence);
	if (r >= 0 && target.handle >= 0)
		r = erase->keys->ops->sync(erase->keys, target.handle);
	target_done(erase, &target);
	if (r < 0)
		return r;
	for (size_t i = first; i < end; i++)
		whole |= handler->erased(tag, erase->lines[i].sequence, userdata);
	return whole ? unlink_file(erase, &target) : 0;
}

static bool same_file(const struct line *a, const struct line *b)
{
	return a->tag == b->tag && keyfile_number(a->sequence) == keyfile_number(b->sequence);
}

int keyfile_erase_flush(struct keyfile_erase *erase, const struct keyfile_erase_handler *handler,
			void *userdata)
{
	size_t kept = 0;
	int result = 0;

	if (erase->count == 0)
		return 0;
	qsort(erase->lines, erase->count, sizeof(*erase->lines), compare_lines);
	for (size_t first = 0, end; first < erase->count; first = end) {
		int r;

		for (end = first + 1; end < erase->count; end++)
			if (!same_file(&erase->lines[first], &erase->lines[end]))
				break;
		r = flush_file(erase, first, end, handler, userdata);
		if (r >= 0)
			continue;
		result = result < 0 ? result : r;
		memmove(erase->lines + kept, erase->lines + first,
			(end - first) * sizeof(*erase->lines));
		kept += end - first;
	}
	erase->count = kept;
	return result;
}
