/* SPDX-License-Identifier: MIT */

/*
 * What must be true when nothing is open, and the stand-in for keyringd, which looks at the same
 * files.
 */

#include <inttypes.h>

#include "common/issue-record.h"
#include "common/keyfile.h"
#include "tests/unit/support/sync-world.h"

#define STRIDE keyfile_stride(8 * WORLD_KEY_BYTES)

/* One line of one site, as it is in the files. */
struct line {
	enum keyfile_line kind;
	uint64_t serial;
	uint8_t key[WORLD_KEY_BYTES];
};

static bool read_line(struct world_site *site, const char *directory, uint64_t sequence,
		      struct line *ret)
{
	const char *peer = world_names[!site->index];
	char path[KEYFILE_NAME_MAX];
	size_t size, ids_size;
	struct uuid id;
	uint8_t *lines, *ids;

	keyfile_path(directory, peer, keyfile_number(sequence), path);
	lines = memory_storage_content(site->disk, path, &size);
	keyfile_ids_path(directory, peer, keyfile_number(sequence), path);
	ids = memory_storage_content(site->disk, path, &ids_size);
	if (!lines || !ids || keyfile_offset(sequence, STRIDE) + STRIDE > size ||
	    keyfile_offset(sequence, KEYFILE_ID_STRIDE) + KEYFILE_ID_STRIDE > ids_size)
		return false;
	ret->kind = keyfile_parse_line((char *)lines + keyfile_offset(sequence, STRIDE), STRIDE,
				       ret->key);
	if (uuid_parse_chars((char *)ids + keyfile_offset(sequence, KEYFILE_ID_STRIDE), &id) < 0)
		return false;
	ret->serial = world_serial(&id);
	return ret->serial != UINT64_MAX;
}

static void check_line(struct world *world, unsigned index, const char *directory,
		       uint64_t sequence, uint8_t *seen, struct line *ret)
{
	struct world_site *site = &world->sites[index];
	uint8_t key[WORLD_KEY_BYTES];

	if (!read_line(site, directory, sequence, ret)) {
		world_violation(world, "%s lacks line %" PRIu64, world_names[index], sequence);
		return;
	}
	world_key(world, index, ret->serial, key);
	if (ret->kind == KEYFILE_LINE_DAMAGED && !site->issued[ret->serial])
		world_violation(world, "%s: line %" PRIu64 " is damaged", world_names[index],
				sequence);
	else if (ret->kind == KEYFILE_LINE_KEY && memcmp(ret->key, key, sizeof(key)) != 0)
		world_violation(world, "%s: line %" PRIu64 " is another key", world_names[index],
				sequence);
	else if (ret->kind == KEYFILE_LINE_ERASED && !site->recorded[ret->serial])
		world_violation(world, "%s: line %" PRIu64 " was erased unissued",
				world_names[index], sequence);
	else if (ret->kind == KEYFILE_LINE_KEY && site->erased[ret->serial])
		world_violation(world, "%s: line %" PRIu64 " was erased and is back",
				world_names[index], sequence);
	else if (ret->kind == KEYFILE_LINE_KEY && site->gone[ret->serial])
		world_violation(world, "%s: line %" PRIu64 " was issued and lost and is back",
				world_names[index], sequence);
	if (seen[ret->serial]++)
		world_violation(world, "%s: key %" PRIu64 " stands twice", world_names[index],
				ret->serial);
}

static void check_sizes(struct world *world, unsigned index, const char *directory, uint64_t next)
{
	char path[KEYFILE_NAME_MAX];
	size_t size = 0;

	if (next == 0)
		return;
	keyfile_path(directory, world_names[!index], keyfile_number(next - 1), path);
	if (!memory_storage_content(world->sites[index].disk, path, &size) ||
	    size != keyfile_offset(next - 1, STRIDE) + STRIDE)
		world_violation(world, "%s: the file has %zu bytes for %" PRIu64 " lines",
				world_names[index], size, next);
}

static void check_nothing_lost(struct world *world, const uint8_t *seen)
{
	unsigned current = 1 + world_generation(&world->sites[0]);

	for (uint64_t serial = 0; serial < world->serials; serial++)
		for (unsigned i = 0; i < 2; i++)
			if (world->sites[i].agreed[serial] == current && !seen[serial])
				world_violation(world,
						"key %" PRIu64 " was agreed at %s and is lost",
						serial, world_names[i]);
}

/* A key that is in no file is nowhere on the disks. */
static void check_wiped(struct world *world, const uint8_t *seen)
{
	for (uint64_t serial = 0; serial < world->serials; serial += 37) {
		uint8_t key[WORLD_KEY_BYTES];

		world_key(world, 0, serial, key);
		for (unsigned i = 0; i < 2 && !seen[serial]; i++)
			if (memory_storage_holds(world->sites[i].disk, key, sizeof(key)))
				world_violation(world, "key %" PRIu64 " is left on %s's disk",
						serial, world_names[i]);
	}
}

void world_check_settled(struct world *world)
{
	const struct sync_machine *a = world->sites[0].machine, *b = world->sites[1].machine;
	static uint8_t seen[2][WORLD_MAX_KEYS];
	uint64_t next = sync_machine_next(a);

	memset(seen, 0, sizeof(seen));
	if (next != sync_machine_next(b))
		world_violation(world, "alice has %" PRIu64 " lines, bob %" PRIu64, next,
				sync_machine_next(b));
	for (uint64_t i = 0; i < next && !world->violation[0]; i++) {
		struct line lines[2] = {};

		check_line(world, 0, sync_machine_directory(a), i, seen[0], &lines[0]);
		check_line(world, 1, sync_machine_directory(b), i, seen[1], &lines[1]);
		if (lines[0].serial != lines[1].serial)
			world_violation(world, "line %" PRIu64 " has different ids", i);
		if ((world->faults & WORLD_CONFIRM) && lines[0].serial % 16 == 5 &&
		    (world->faults & WORLD_UNEQUAL))
			world_violation(world, "line %" PRIu64 " has unequal keys", i);
	}
	check_sizes(world, 0, sync_machine_directory(a), next);
	check_sizes(world, 1, sync_machine_directory(b), next);
	check_nothing_lost(world, seen[0]);
	if (!(world->faults & WORLD_LOST_DISK))
		check_wiped(world, seen[0]);
}

/* keyringd */

static int skip_record(const struct wal_record *record, const struct wal_place *place,
		       void *userdata)
{
	return 0;
}

static int record_issue(struct storage *disk, const struct keyfile_store *store, uint64_t sequence)
{
	struct issue_record_key key = {.store = store->uuid,
				       .generation = store->generation,
				       .sequence = sequence,
				       .state = ISSUE_KEY_ISSUED};
	uint8_t bytes[ISSUE_RECORD_KEY_BYTES];
	struct wal_record record = {
		.type = ISSUE_RECORD_KEY, .public_bytes = bytes, .public_size = sizeof(bytes)};
	_cleanup_(wal_freep) struct wal *wal = NULL;
	int r;

	r = disk->ops->make_directory(disk, ISSUE_RECORD_DIRECTORY);
	if (r < 0 && r != -EEXIST)
		return r;
	r = disk->ops->sync_directory(disk, ".");
	if (r < 0)
		return r;
	r = wal_open(disk, ISSUE_RECORD_DIRECTORY "/" ISSUE_RECORD_FILE, ISSUE_RECORD_KIND,
		     skip_record, NULL, &wal);
	if (r < 0)
		return r;
	issue_record_build_key(&key, bytes);
	r = wal_append(wal, &record, NULL);
	return r < 0 ? r : wal_sync(wal);
}

static int erase(struct world_site *site, const char *directory, uint64_t sequence)
{
	struct storage *disk = memory_storage_storage(site->disk);
	char path[KEYFILE_NAME_MAX], line[64];
	int file, r;

	memset(line, KEYFILE_ERASED, sizeof(line));
	keyfile_path(directory, world_names[!site->index], keyfile_number(sequence), path);
	file = disk->ops->open(disk, path, STORAGE_WRITE);
	if (file < 0)
		return file;
	r = disk->ops->write_at(disk, file, line, STRIDE - 1, keyfile_offset(sequence, STRIDE));
	if (r >= 0)
		r = disk->ops->sync(disk, file);
	disk->ops->close(disk, file);
	return r;
}

void world_note_gone(struct world_site *site, const char *directory)
{
	for (uint64_t serial = 0; serial < site->world->serials; serial++) {
		struct line line;

		if (site->issued[serial] && !site->gone[serial] &&
		    !read_line(site, directory, site->line[serial] - 1, &line))
			site->gone[serial] = 1;
	}
}

/* Any line that is whole, told or not: keyringd may look at the files at any time. */
int world_issue(struct world_site *site)
{
	struct storage *disk = memory_storage_storage(site->disk);
	const char *directory = site->machine ? sync_machine_directory(site->machine) : "";
	struct world *world = site->world;
	struct keyfile_store store;
	uint64_t sequence;
	struct line line;
	int r;

	if (directory[0] == '\0' || keyfile_store_read(disk, directory, &store) < 0)
		return 0;
	sequence = prng_below(&world->prng, sync_machine_next(site->machine) + 4);
	if (prng_below(&world->prng, 2))
		sequence = sync_machine_next(site->machine) + prng_below(&world->prng, 4);
	if (!read_line(site, directory, sequence, &line) || line.kind != KEYFILE_LINE_KEY ||
	    site->recorded[line.serial])
		return 0;
	site->recorded[line.serial] = 1;
	r = record_issue(disk, &store, sequence);
	if (r < 0)
		return r;
	site->issued[line.serial]++;
	site->line[line.serial] = (uint32_t)sequence + 1;
	if (prng_below(&world->prng, 4) == 0)
		return 0;
	r = erase(site, directory, sequence);
	site->erased[line.serial] = r >= 0;
	return r;
}
