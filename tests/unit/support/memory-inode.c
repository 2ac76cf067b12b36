/* SPDX-License-Identifier: MIT */
/*
 * A file of the disk in memory. A sync forgets the log of changes; a crash swaps log and bytes back
 * to the synced state, then does again what the chooser lets survive. So writing and syncing cost
 * no more than the bytes.
 */

#include "tests/unit/support/memory-inode.h"

#define SECTOR_BYTES 512u

void memory_inode_empty(struct memory_inode *inode)
{
	if (inode->bytes)
		memset(inode->bytes, 0, inode->allocated);
	inode->size = inode->reserved = 0;
	inode->change_count = inode->saved_size = 0;
	inode->is_used = inode->is_directory = inode->is_sync_lost = false;
}

void memory_inode_done(struct memory_inode *inode)
{
	free(inode->bytes);
	free(inode->changes);
	free(inode->saved);
}

static void ensure(uint8_t **bytes, size_t *capacity, size_t needed)
{
	size_t larger = MAX(*capacity, (size_t)4096);

	if (needed <= *capacity)
		return;
	while (larger < needed)
		larger *= 2;
	*bytes = realloc(*bytes, larger);
	if (!*bytes)
		abort();
	memset(*bytes + *capacity, 0, larger - *capacity);
	*capacity = larger;
}

static struct memory_change *note_change(struct memory_inode *inode, uint64_t offset, uint64_t size,
					 uint64_t new_size)
{
	struct memory_change *change;
	size_t allocated = (size_t)inode->allocated;

	ensure(&inode->bytes, &allocated, (size_t)MAX(offset + size, new_size));
	inode->allocated = allocated;
	ensure(&inode->saved, &inode->saved_capacity, inode->saved_size + (size_t)size);
	if (inode->change_count == inode->change_capacity) {
		inode->change_capacity = MAX(inode->change_capacity * 2, (size_t)16);
		inode->changes = reallocarray(inode->changes, inode->change_capacity,
					      sizeof(*inode->changes));
		if (!inode->changes)
			abort();
	}
	change = &inode->changes[inode->change_count++];
	*change = (struct memory_change){
		.offset = offset,
		.size = size,
		.old_size = inode->size,
		.new_size = new_size,
		.saved_at = inode->saved_size,
	};
	if (size > 0)
		memcpy(inode->saved + inode->saved_size, inode->bytes + offset, (size_t)size);
	inode->saved_size += (size_t)size;
	return change;
}

void memory_inode_write(struct memory_inode *inode, const void *data, uint64_t size,
			uint64_t offset)
{
	uint64_t new_size = MAX(inode->size, offset + size);

	if (size == 0)
		return;
	note_change(inode, offset, size, new_size);
	memcpy(inode->bytes + offset, data, (size_t)size);
	inode->size = new_size;
}

void memory_inode_truncate(struct memory_inode *inode, uint64_t size)
{
	uint64_t cut = inode->size > size ? inode->size - size : 0;

	note_change(inode, size, cut, size)->is_truncate = true;
	if (cut > 0)
		memset(inode->bytes + size, 0, (size_t)cut);
	inode->size = size;
	inode->reserved = MIN(inode->reserved, size);
}

void memory_inode_sync(struct memory_inode *inode)
{
	if (!inode->is_sync_lost)
		inode->change_count = inode->saved_size = 0;
}

/* Back to the synced bytes; saved then holds what each change wrote. */
static void roll_back(struct memory_inode *inode)
{
	for (size_t i = inode->change_count; i-- > 0;) {
		const struct memory_change *change = &inode->changes[i];
		uint8_t *saved = inode->saved + change->saved_at,
			*bytes = inode->bytes + change->offset;

		for (uint64_t k = 0; k < change->size; k++) {
			uint8_t byte = saved[k];

			saved[k] = bytes[k];
			bytes[k] = byte;
		}
		inode->size = change->old_size;
	}
}

static void redo_truncate(struct memory_inode *inode, const struct memory_change *change)
{
	if (inode->size > change->new_size)
		memset(inode->bytes + change->new_size, 0,
		       (size_t)(inode->size - change->new_size));
	inode->size = change->new_size;
}

static void redo_bytes(struct memory_inode *inode, const struct memory_change *change,
		       uint64_t from, uint64_t count)
{
	if (count > 0)
		memcpy(inode->bytes + change->offset + from, inode->saved + change->saved_at + from,
		       (size_t)count);
}

enum survival {
	SURVIVES_WHOLE,
	SURVIVES_NOT,
	SURVIVES_PREFIX,
	SURVIVES_SECTORS,
	SURVIVES_SIZE,
	SURVIVALS,
};

static void redo_sectors(struct memory_inode *inode, const struct memory_change *change,
			 memory_choose_t choose, void *userdata)
{
	for (uint64_t done = 0, part; done < change->size; done += part) {
		part = SECTOR_BYTES - (change->offset + done) % SECTOR_BYTES;
		part = MIN(part, change->size - done);
		if (choose(2, userdata))
			redo_bytes(inode, change, done, part);
	}
}

/* A prefix; inside bytes that had been synced it ends with a sector. */
static uint64_t choose_prefix(const struct memory_inode *inode, const struct memory_change *change,
			      uint64_t synced_size, memory_choose_t choose, void *userdata)
{
	uint64_t size = choose((unsigned)change->size + 1, userdata);
	uint64_t end = change->offset + size;

	if (end < MIN(synced_size, change->offset + change->size))
		end -= end % SECTOR_BYTES;
	return end > change->offset ? end - change->offset : 0;
}

static void redo_chosen(struct memory_inode *inode, const struct memory_change *change,
			uint64_t synced_size, memory_choose_t choose, void *userdata)
{
	enum survival survival = choose(change->is_truncate ? 2 : SURVIVALS, userdata);
	uint64_t size = change->size;

	if (survival == SURVIVES_NOT)
		return;
	if (change->is_truncate) {
		redo_truncate(inode, change);
		return;
	}
	if (survival == SURVIVES_PREFIX)
		size = choose_prefix(inode, change, synced_size, choose, userdata);
	if (survival == SURVIVES_SECTORS)
		redo_sectors(inode, change, choose, userdata);
	else if (survival != SURVIVES_SIZE)
		redo_bytes(inode, change, 0, size);
	inode->size = MAX(inode->size, change->offset + size);
}

void memory_inode_crash(struct memory_inode *inode, enum memory_crash crash, memory_choose_t choose,
			void *userdata)
{
	uint64_t synced_size;

	/* What a failed sync has lost goes with the process, too: its pages count as clean. */
	if (crash == MEMORY_CRASH_PROCESS && !inode->is_sync_lost)
		return;
	inode->is_sync_lost = false;
	roll_back(inode);
	synced_size = inode->size;
	for (size_t i = 0; crash == MEMORY_CRASH_CHOOSE && i < inode->change_count; i++)
		redo_chosen(inode, &inode->changes[i], synced_size, choose, userdata);
	inode->change_count = inode->saved_size = 0;
	inode->reserved = 0;
}

void memory_inode_copy(struct memory_inode *target, const struct memory_inode *source)
{
	uint64_t old_size = target->size;
	struct memory_inode copy = *target;
	size_t allocated = (size_t)target->allocated;

	ensure(&copy.bytes, &allocated, (size_t)source->size);
	copy.allocated = allocated;
	if (old_size > source->size)
		memset(copy.bytes + source->size, 0, (size_t)(old_size - source->size));
	if (source->size > 0)
		memcpy(copy.bytes, source->bytes, (size_t)source->size);
	ensure(&copy.saved, &copy.saved_capacity, source->saved_size);
	if (source->saved_size > 0)
		memcpy(copy.saved, source->saved, source->saved_size);
	if (copy.change_capacity < source->change_count) {
		copy.change_capacity = source->change_capacity;
		copy.changes =
			reallocarray(copy.changes, copy.change_capacity, sizeof(*copy.changes));
		if (!copy.changes)
			abort();
	}
	if (source->change_count > 0)
		memcpy(copy.changes, source->changes, source->change_count * sizeof(*copy.changes));
	copy.is_used = source->is_used;
	copy.is_directory = source->is_directory;
	copy.is_sync_lost = source->is_sync_lost;
	copy.size = source->size;
	copy.reserved = source->reserved;
	copy.change_count = source->change_count;
	copy.saved_size = source->saved_size;
	*target = copy;
}
