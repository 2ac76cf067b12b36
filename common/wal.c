/* SPDX-License-Identifier: MIT */
/*
 * A record file with group commit, and the argument why what it claims survives a crash.
 *
 * Assumed of the disk: a sector is written whole or not at all; what fdatasync(2) has confirmed
 * stays; everything else may be there, partly there, out of order or missing. Assumed of a
 * directory: what its fsync(2) has confirmed stays, a rename is whole or not at all.
 *
 * What wal_sync() has confirmed is replayed. Records are only ever added after the last one, so a
 * later write touches a confirmed sector only where a record ends inside it, and then with the same
 * bytes at the front, or where secret bytes are wiped; in both cases the sector is written whole or
 * not at all. The size that is needed to read the data is confirmed with them, the file's name by
 * its directory's sync when the file is opened.
 *
 * Replay is a prefix. It stops at the first record that is not whole, so no record is ever seen
 * without all those before it, whatever order the disk has written a group in. A record whose
 * secret bytes have not all arrived is not whole.
 *
 * What is cut off was never confirmed. Each record holds the size that was confirmed when it was
 * made (settled); one that stands beyond a damaged place and says "confirmed beyond it" turns that
 * into -EBADMSG. Damage to the last group alone cannot be told from a torn one. The cut is
 * confirmed before anything is appended, so no old record comes back to life behind a shorter new
 * one; besides, each holds its own offset.
 *
 * What replay has shown is on disk when wal_open() returns: after a kill it may have come from the
 * page cache alone, so the file is synced before the caller acts on it.
 *
 * A wipe never precedes its reason. It is written after the fdatasync(2) that confirms whatever was
 * appended before wal_wipe(), so no crash leaves a record without its secret bytes that has lost
 * the record which made them unnecessary. It is confirmed with the next group or by wal_free(); one
 * that a crash has left half done counts as done.
 *
 * A rewrite is whole or has not happened. The new file is confirmed before the rename, the rename
 * before the old file's secret bytes are overwritten. A new file that a crash has left without its
 * rename is wiped at the next open.
 *
 * The file grows by zeros ahead of the records: then a group lies in blocks that the file system
 * has already assigned, so that fdatasync(2) need not commit its journal, too (half the time, on
 * ext4), and a full disk cannot tear a group.
 */

#include "common/wal-replay.h"

#define BUFFER_MIN_BYTES  (16u << 10)
#define BUFFER_KEEP_BYTES (256u << 10) /* a larger one is given back once written */
#define GROW_MIN_BYTES    (4u << 10)
#define GROW_MAX_BYTES    (256u << 10)
#define WAL_NAME_MAX      256
#define WAL_NEW_SUFFIX    ".new"

struct wal {
	struct storage *storage; /* borrowed */
	int file;
	char kind[4];
	char name[WAL_NAME_MAX];
	uint8_t *buffer; /* secret memory: records for offset end and on */
	size_t buffered, capacity;
	struct wal_place *wipes; /* not yet written */
	size_t wipe_count, wipe_capacity;
	uint64_t end;       /* written up to here */
	uint64_t settled;   /* on disk up to here */
	uint64_t file_size; /* zeros from end on */
	uint64_t torn_bytes, secrets_count;
	bool is_unsynced; /* written since the last sync */
	bool is_poisoned;
};

#define FILL_BYTES (16u << 10)
static const uint8_t zeros[FILL_BYTES];
static const uint8_t wiped[FILL_BYTES] = {[0 ... FILL_BYTES - 1] = WAL_WIPED};

static int fill(struct storage *storage, int file, const uint8_t pattern[static FILL_BYTES],
		uint64_t offset, uint64_t size)
{
	while (size > 0) {
		size_t part = (size_t)MIN(size, (uint64_t)FILL_BYTES);
		int r = storage->ops->write_at(storage, file, pattern, part, offset);

		if (r < 0)
			return r;
		offset += part;
		size -= part;
	}
	return 0;
}

static int sync_file(struct wal *wal)
{
	int r = wal->storage->ops->sync(wal->storage, wal->file);

	if (r < 0) {
		wal->is_poisoned = true;
		return r;
	}
	wal->settled = wal->end;
	wal->is_unsynced = false;
	return 0;
}

static int sync_parent(struct storage *storage, const char *name)
{
	char directory[WAL_NAME_MAX] = ".";
	const char *slash = strchr(name, '/');

	if (slash)
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash - name), name);
	return storage->ops->sync_directory(storage, directory);
}

/*
 * Opening
 */

static int wal_allocate(struct storage *storage, const char *name, const char kind[static 4],
			struct wal **ret)
{
	struct wal *wal;

	if (strlen(name) >= WAL_NAME_MAX)
		return -ENAMETOOLONG;
	wal = calloc(1, sizeof(*wal));
	if (!wal)
		return -ENOMEM;
	wal->storage = storage;
	wal->file = -1;
	memcpy(wal->kind, kind, sizeof(wal->kind));
	strcpy(wal->name, name);
	*ret = wal;
	return 0;
}

/* Makes a new file or what is left of making one into an empty wal. */
static int initialise(struct wal *wal)
{
	uint8_t header[WAL_HEADER_BYTES];
	int r;

	wal_build_header(wal->kind, header);
	r = wal->storage->ops->truncate(wal->storage, wal->file, 0);
	if (r < 0)
		return r;
	r = wal->storage->ops->write_at(wal->storage, wal->file, header, sizeof(header), 0);
	if (r < 0)
		return r;
	wal->end = wal->file_size = sizeof(header);
	return 0;
}

static int create(struct wal *wal)
{
	wal->file =
		wal->storage->ops->open(wal->storage, wal->name, STORAGE_WRITE | STORAGE_CREATE);
	return wal->file < 0 ? wal->file : initialise(wal);
}

static int confirm(struct wal *wal)
{
	int r = sync_file(wal);

	return r < 0 ? r : sync_parent(wal->storage, wal->name);
}

/* Cuts the torn tail off. */
static int cut(struct wal *wal)
{
	int r;

	r = wal->storage->ops->size(wal->storage, wal->file, &wal->file_size);
	if (r < 0)
		return r;
	if (wal->torn_bytes > 0) {
		r = wal->storage->ops->truncate(wal->storage, wal->file, wal->end);
		if (r < 0)
			return r;
		wal->file_size = wal->end;
	}
	return 0;
}

static int wipe_file(struct storage *storage, int file)
{
	uint64_t size;
	int r;

	r = storage->ops->size(storage, file, &size);
	if (r < 0)
		return r;
	r = fill(storage, file, wiped, 0, size);
	return r < 0 ? r : storage->ops->sync(storage, file);
}

/* Of a rewrite that a crash or an error has ended. */
static int remove_leftover(struct storage *storage, const char *name)
{
	char leftover[WAL_NAME_MAX];
	int file, r;

	snprintf(leftover, sizeof(leftover), "%s" WAL_NEW_SUFFIX, name);
	file = storage->ops->open(storage, leftover, STORAGE_WRITE);
	if (file == -ENOENT)
		return 0;
	if (file < 0)
		return file;
	r = wipe_file(storage, file);
	storage->ops->close(storage, file);
	return r < 0 ? r : storage->ops->remove(storage, leftover);
}

static int open_existing(struct wal *wal, wal_replay_t replay, void *userdata)
{
	struct wal_end end;
	int r;

	wal->file =
		wal->storage->ops->open(wal->storage, wal->name, STORAGE_WRITE | STORAGE_FROM_DISK);
	if (wal->file < 0)
		return wal->file;
	r = wal_replay_file(wal->storage, wal->file, wal->kind, false, replay, userdata, &end);
	if (r < 0)
		return r;
	if (end.offset == 0)
		return initialise(wal);
	wal->end = end.offset;
	wal->torn_bytes = end.torn_bytes;
	wal->secrets_count = end.secrets_count;
	return cut(wal);
}

int wal_open(struct storage *storage, const char *name, const char kind[static 4],
	     wal_replay_t replay, void *userdata, struct wal **ret)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	int r;

	if (strlen(name) + sizeof(WAL_NEW_SUFFIX) > WAL_NAME_MAX)
		return -ENAMETOOLONG;
	r = wal_allocate(storage, name, kind, &wal);
	if (r < 0)
		return r;
	r = remove_leftover(storage, name);
	if (r < 0)
		return r;
	r = open_existing(wal, replay, userdata);
	if (r == -ENOENT && wal->file < 0)
		r = create(wal);
	if (r < 0)
		return r;
	r = confirm(wal);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(wal);
	return 0;
}

int wal_read(struct storage *storage, const char *name, const char kind[static 4],
	     wal_replay_t replay, void *userdata)
{
	struct wal_end end;
	int file, r;

	file = storage->ops->open(storage, name, STORAGE_READ);
	if (file < 0)
		return file;
	r = wal_replay_file(storage, file, kind, true, replay, userdata, &end);
	storage->ops->close(storage, file);
	return r;
}

struct wal *wal_free(struct wal *wal)
{
	if (!wal)
		return NULL;
	/* Wipes that have been written and wait for the next group's sync. */
	if (wal->is_unsynced && !wal->is_poisoned)
		(void)sync_file(wal);
	if (wal->file >= 0)
		wal->storage->ops->close(wal->storage, wal->file);
	secret_mfree(wal->buffer);
	free(wal->wipes);
	free(wal);
	return NULL;
}

/*
 * Appending
 */

static int make_room(struct wal *wal, size_t size)
{
	size_t capacity = MAX(wal->capacity, (size_t)BUFFER_MIN_BYTES);
	uint8_t *larger;

	if (wal->buffered + size <= wal->capacity)
		return 0;
	while (capacity < wal->buffered + size)
		capacity *= 2;
	larger = secret_realloc(wal->buffer, capacity);
	if (!larger)
		return -ENOMEM;
	wal->buffer = larger;
	wal->capacity = capacity;
	return 0;
}

int wal_append(struct wal *wal, const struct wal_record *record, struct wal_place *ret_place)
{
	uint64_t offset = wal->end + wal->buffered;
	size_t size;
	int r;

	if (wal->is_poisoned)
		return -EIO;
	r = wal_record_size(record, &size);
	if (r < 0)
		return r;
	r = make_room(wal, size);
	if (r < 0)
		return r;
	wal_build_record(record, offset, wal->settled, wal->buffer + wal->buffered);
	wal->buffered += size;
	wal->secrets_count += record->secret_size > 0;
	if (ret_place) {
		ret_place->secret_offset = offset + wal_secret_at(record->public_size);
		ret_place->secret_size = record->secret_size;
	}
	return 0;
}

int wal_wipe(struct wal *wal, const struct wal_place *place)
{
	if (wal->is_poisoned)
		return -EIO;
	if (place->secret_size == 0)
		return 0;
	if (wal->wipe_count == wal->wipe_capacity) {
		size_t capacity = MAX(wal->wipe_capacity * 2, (size_t)64);
		struct wal_place *larger = reallocarray(wal->wipes, capacity, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		wal->wipes = larger;
		wal->wipe_capacity = capacity;
	}
	wal->wipes[wal->wipe_count++] = *place;
	return 0;
}

static int grow(struct wal *wal, uint64_t needed)
{
	uint64_t ahead = MIN(MAX(needed, (uint64_t)GROW_MIN_BYTES), (uint64_t)GROW_MAX_BYTES);
	uint64_t target = (needed + ahead + GROW_MIN_BYTES - 1) & ~(uint64_t)(GROW_MIN_BYTES - 1);
	int r;

	if (needed <= wal->file_size)
		return 0;
	r = fill(wal->storage, wal->file, zeros, wal->file_size, target - wal->file_size);
	if (r < 0)
		return r;
	wal->file_size = target;
	return 0;
}

static void empty_buffer(struct wal *wal)
{
	if (wal->capacity > BUFFER_KEEP_BYTES) {
		secret_mfree(TAKE_PTR(wal->buffer));
		wal->capacity = 0;
	} else {
		secret_wipe(wal->buffer, wal->buffered);
	}
	wal->buffered = 0;
}

int wal_write(struct wal *wal)
{
	int r;

	if (wal->is_poisoned)
		return -EIO;
	if (wal->buffered == 0)
		return 0;
	r = grow(wal, wal->end + wal->buffered);
	if (r < 0)
		return r;
	r = wal->storage->ops->write_at(wal->storage, wal->file, wal->buffer, wal->buffered,
					wal->end);
	if (r < 0)
		return r;
	wal->end += wal->buffered;
	wal->is_unsynced = true;
	empty_buffer(wal);
	return 0;
}

/* After the sync that confirms their reason. */
static int write_wipes(struct wal *wal)
{
	for (size_t i = 0; i < wal->wipe_count; i++) {
		const struct wal_place *place = &wal->wipes[i];
		int r = fill(wal->storage, wal->file, wiped, place->secret_offset,
			     wal_secret_extent(place->secret_size));

		if (r < 0) {
			wal->is_poisoned = true;
			return r;
		}
		wal->is_unsynced = true;
		wal->secrets_count -= wal->secrets_count > 0;
	}
	wal->wipe_count = 0;
	return 0;
}

bool wal_is_dirty(const struct wal *wal)
{
	return wal->buffered > 0 || wal->wipe_count > 0 || wal->settled < wal->end;
}

int wal_sync(struct wal *wal)
{
	int r;

	if (wal->is_poisoned)
		return -EIO;
	if (!wal_is_dirty(wal))
		return 0;
	r = wal_write(wal);
	if (r < 0)
		return r;
	if (wal->settled < wal->end) {
		r = sync_file(wal);
		if (r < 0)
			return r;
	}
	return write_wipes(wal);
}

uint64_t wal_size_bytes(const struct wal *wal)
{
	return wal->end + wal->buffered;
}

uint64_t wal_torn_bytes(const struct wal *wal)
{
	return wal->torn_bytes;
}

/*
 * Rewriting
 */

static int wipe_record(const struct wal_record *record, const struct wal_place *place,
		       void *userdata)
{
	struct wal *old = userdata;

	if (!record->secret_bytes)
		return 0;
	return fill(old->storage, old->file, wiped, place->secret_offset,
		    wal_secret_extent(place->secret_size));
}

/*
 * Of a file that has no name any more; a process that still reads it has to find its records. An
 * error is nobody's to handle: the new file stands, and the old one's blocks are free already.
 */
static void wipe_secrets(struct wal *old)
{
	struct wal_end end;

	if (wal_replay_file(old->storage, old->file, old->kind, false, wipe_record, old, &end) >= 0)
		(void)old->storage->ops->sync(old->storage, old->file);
}

/* The file of fresh takes the place of the old one, whose own file passes to fresh. */
static void exchange(struct wal *wal, struct wal *fresh)
{
	struct wal old = *wal;

	*wal = *fresh;
	*fresh = old;
	memcpy(wal->name, old.name, sizeof(wal->name));
	wal->torn_bytes = old.torn_bytes;
}

static int build_fresh(struct wal *wal, int (*snapshot)(struct wal *wal, void *userdata),
		       void *userdata, struct wal *fresh)
{
	int r;

	r = create(fresh);
	if (r < 0)
		return r;
	r = snapshot(fresh, userdata);
	if (r < 0)
		return r;
	r = wal_sync(fresh);
	if (r < 0)
		return r;
	return wal->storage->ops->rename(wal->storage, fresh->name, wal->name);
}

int wal_rewrite(struct wal *wal, int (*snapshot)(struct wal *wal, void *userdata), void *userdata)
{
	_cleanup_(wal_freep) struct wal *fresh = NULL;
	char name[WAL_NAME_MAX];
	int r;

	if (wal->is_poisoned)
		return -EIO;
	snprintf(name, sizeof(name), "%.*s" WAL_NEW_SUFFIX,
		 (int)(sizeof(name) - sizeof(WAL_NEW_SUFFIX)), wal->name);
	r = wal_allocate(wal->storage, name, wal->kind, &fresh);
	if (r < 0)
		return r;
	r = build_fresh(wal, snapshot, userdata, fresh);
	if (r < 0) {
		if (fresh->file >= 0)
			(void)remove_leftover(wal->storage, wal->name);
		return r;
	}
	exchange(wal, fresh);
	r = sync_parent(wal->storage, wal->name);
	if (r < 0) {
		wal->is_poisoned = true;
		return r;
	}
	fresh->buffered = 0;
	fresh->is_unsynced = false;
	if (fresh->secrets_count > 0)
		wipe_secrets(fresh);
	return 0;
}
