/* SPDX-License-Identifier: MIT */

/*
 * What must be true when both sites are up and nothing is open: the files agree line by line, a
 * line that differs has been erased, nothing decided is lost, and what is in no file is nowhere on
 * the disks.
 */

#include "tests/explore/sync-world.h"

#include <inttypes.h>

bool world_read_line(struct world_site *site, const char *directory, uint64_t sequence,
		     struct file_line *ret)
{
	const char *peer = world_names[!site->index];
	uint64_t at = keyfile_offset(sequence, WORLD_STRIDE);
	uint64_t id_at = keyfile_offset(sequence, KEYFILE_ID_STRIDE);
	char path[KEYFILE_NAME_MAX];
	size_t size, ids_size;
	uint8_t *lines, *ids;
	struct uuid id;

	keyfile_path(directory, peer, keyfile_number(sequence), path);
	lines = memory_storage_content(site->disk, path, &size);
	keyfile_ids_path(directory, peer, keyfile_number(sequence), path);
	ids = memory_storage_content(site->disk, path, &ids_size);
	if (!lines || !ids || at + WORLD_STRIDE > size || id_at + KEYFILE_ID_STRIDE > ids_size)
		return false;
	ret->kind = keyfile_parse_line((char *)lines + at, WORLD_STRIDE, ret->key);
	if (uuid_parse_chars((char *)ids + id_at, &id) < 0)
		return false;
	ret->serial = device_serial(&id);
	return ret->serial != UINT64_MAX;
}

static void check_line(struct world_site *site, const char *directory, uint64_t sequence,
		       uint8_t *seen, struct file_line *ret)
{
	uint8_t state = *ledger_line(site, site_generation(site), sequence);
	const char *name = world_names[site->index];
	struct world *world = site->world;
	uint8_t key[WORLD_KEY_BYTES];

	ret->serial = UINT64_MAX;
	if (!world_read_line(site, directory, sequence, ret)) {
		if (!(state & LINE_ERASED))
			explore_violation(&world->course, "%s lacks line %" PRIu64, name, sequence);
		return;
	}
	device_key(world, site->index, ret->serial, key);
	if (ret->kind == KEYFILE_LINE_KEY && memcmp(ret->key, key, sizeof(key)) != 0)
		explore_violation(&world->course, "%s: line %" PRIu64 " is another key", name,
				  sequence);
	if (world->course.plan->features & WORLD_CONFIRM && world->unequal[ret->serial])
		explore_violation(&world->course, "%s: line %" PRIu64 " has unequal keys", name,
				  sequence);
	if (seen[ret->serial]++)
		explore_violation(&world->course, "%s: key %" PRIu64 " stands twice", name,
				  ret->serial);
}

static void check_size(struct world_site *site, const char *directory, uint64_t next)
{
	char path[KEYFILE_NAME_MAX];
	size_t size = 0;

	if (next == 0)
		return;
	keyfile_path(directory, world_names[!site->index], keyfile_number(next - 1), path);
	if (memory_storage_content(site->disk, path, &size) &&
	    size != keyfile_offset(next - 1, WORLD_STRIDE) + WORLD_STRIDE)
		explore_violation(&site->world->course,
				  "%s: the file has %zu bytes for %" PRIu64 " lines",
				  world_names[site->index], size, next);
}

/* Whatever was decided or told in this generation is there. */
static void check_nothing_lost(struct world *world, unsigned generation, uint64_t next)
{
	for (unsigned i = 0; i < 2; i++)
		if (world->sites[i].told_next[generation] > next)
			explore_violation(&world->course,
					  "%s has told of line %" PRIu64 ", %" PRIu64 " is next",
					  world_names[i], world->sites[i].told_next[generation] - 1,
					  next);
	for (size_t i = 0; i < WORLD_MAX_TXNS; i++) {
		const struct world_decision *decision = &world->decisions[generation][i];

		if (decision->told == DECISION_ACK && decision->first + decision->count > next)
			explore_violation(&world->course, "transaction %zu was decided and is lost",
					  i);
	}
}

/* But for a journal that was just being replaced: what a power cut leaves of a file without a name
 * nobody can overwrite any more. */
static void check_wiped(struct world *world, const uint8_t *seen)
{
	for (uint64_t serial = 0; serial < world->serials; serial += 37) {
		uint8_t key[WORLD_KEY_BYTES];

		for (unsigned i = 0; i < 2 && !seen[serial]; i++) {
			device_key(world, i, serial, key);
			if (memory_storage_holds(world->sites[i].disk, key, sizeof(key)))
				explore_violation(&world->course,
						  "key %" PRIu64 " is left on %s's disk", serial,
						  world_names[i]);
		}
	}
}

void world_check_settled(struct world *world)
{
	struct world_site *a = &world->sites[0], *b = &world->sites[1];
	const char *directories[2] = {sync_machine_directory(a->machine),
				      sync_machine_directory(b->machine)};
	unsigned generation = site_generation(a);
	uint64_t next = sync_machine_next(a->machine);
	static uint8_t seen[2][WORLD_MAX_KEYS];

	memset(seen, 0, sizeof(seen));
	if (generation != site_generation(b))
		explore_violation(&world->course, "the sites are in different generations");
	if (next != sync_machine_next(b->machine))
		explore_violation(&world->course, "alice has %" PRIu64 " lines, bob %" PRIu64, next,
				  sync_machine_next(b->machine));
	for (uint64_t i = generation == 0 ? world->base : 0;
	     i < next && !world->course.violation[0]; i++) {
		struct file_line lines[2];

		check_line(a, directories[0], i, seen[0], &lines[0]);
		check_line(b, directories[1], i, seen[1], &lines[1]);
		if (lines[0].serial != lines[1].serial && lines[0].serial != UINT64_MAX &&
		    lines[1].serial != UINT64_MAX)
			explore_violation(&world->course, "line %" PRIu64 " has different ids", i);
	}
	if (world->course.violation[0])
		return;
	check_size(a, directories[0], next);
	check_size(b, directories[1], next);
	check_nothing_lost(world, generation, next);
	if (!world->is_disk_lost && !(world->course.plan->features & WORLD_SMALL_JOURNAL))
		check_wiped(world, seen[0]);
}
