/* SPDX-License-Identifier: MIT */

/*
 * The ledger: what each side has told the other and its own keyringd, and whether it may say what
 * it says now. A violation is seen here at the step in which it happens.
 */

#include "tests/explore/sync-world.h"

#include <inttypes.h>

void ledger_begin(struct world *world)
{
	uint64_t used = MIN(MAX(world->generations, UINT64_C(1)), UINT64_C(12));

	memset(world->serial_at, 0, used * sizeof(world->serial_at[0]));
	memset(world->decisions, 0, used * sizeof(world->decisions[0]));
	memset(world->position_of, 0, sizeof(world->position_of));
	for (unsigned i = 0; i < 2; i++)
		memset(world->sites[i].lines, 0, used * sizeof(world->sites[i].lines[0]));
	for (unsigned i = 0; i < WORLD_MAX_GENERATIONS; i++)
		for (unsigned k = 0; k < 2; k++)
			world->sites[k].told_next[i] = i == 0 ? world->base : 0;
	world->generations = 0;
}

uint64_t ledger_first(const struct world *world, unsigned generation)
{
	return generation == 0 ? world->base : 0;
}

uint8_t *ledger_line(struct world_site *site, unsigned generation, uint64_t sequence)
{
	uint64_t first = ledger_first(site->world, generation);

	if (generation >= WORLD_MAX_GENERATIONS || sequence < first ||
	    sequence - first >= WORLD_MAX_KEYS)
		return NULL;
	return &site->lines[generation][sequence - first];
}

/* Decisions */

static bool is_applied(struct world_site *site, unsigned generation,
		       const struct world_decision *decision)
{
	for (uint32_t i = 0; i < decision->count; i++) {
		const uint8_t *line = ledger_line(site, generation, decision->first + i);

		if (line && !(*line & LINE_TOLD))
			return false;
	}
	return true;
}

/* Presumed abort: of what is applied and done the leader knows nothing any more, and may say ABORT,
 * which the follower does not heed. Before that, never. */
static void note_decision(struct world_site *site, const struct sync_message *message)
{
	struct world *world = site->world;
	unsigned generation = site_generation(site);
	struct world_decision *decision;

	if (generation >= WORLD_MAX_GENERATIONS || message->txn >= WORLD_MAX_TXNS)
		return;
	decision = &world->decisions[generation][message->txn];
	if (message->kind == SYNC_ABORT) {
		if (decision->told == DECISION_NONE)
			decision->told = DECISION_ABORT;
		else if (decision->told == DECISION_ACK &&
			 !is_applied(&world->sites[1], generation, decision))
			explore_violation(&world->course, "ABORT of %" PRIu64 " after ACK",
					  message->txn);
		return;
	}
	if (decision->told == DECISION_ABORT)
		explore_violation(&world->course, "ACK of %" PRIu64 " after ABORT", message->txn);
	if (decision->told == DECISION_ACK &&
	    (decision->first != message->ack.first || decision->count != message->ack.count))
		explore_violation(&world->course, "%" PRIu64 " is decided twice, differently",
				  message->txn);
	decision->told = DECISION_ACK;
	decision->first = message->ack.first;
	decision->count = message->ack.count;
}

/* The follower may say that it has the lines when it has told its keyringd. */
static void check_done(struct world_site *site, uint64_t txn)
{
	unsigned generation = site_generation(site);
	const struct world_decision *decision;

	if (generation >= WORLD_MAX_GENERATIONS || txn >= WORLD_MAX_TXNS)
		return;
	decision = &site->world->decisions[generation][txn];
	if (!is_applied(site, generation, decision))
		explore_violation(&site->world->course, "DONE of %" PRIu64 " without its lines",
				  txn);
}

void ledger_sent(struct world_site *site, const struct sync_message *message)
{
	if (site->is_behind)
		return;
	switch (message->kind) {
	case SYNC_ACK:
	case SYNC_ABORT:
		note_decision(site, message);
		return;
	case SYNC_DONE:
		if (site->machine && !site->world->is_disk_lost)
			check_done(site, message->txn);
		return;
	case SYNC_SYN:
	case SYNC_SYN_ACK:
	case SYNC_NAK:
	case SYNC_RESUME:
	case SYNC_KIND_COUNT_:
		return;
	}
}

/* Lines */

static void note_line(struct world_site *site, unsigned generation, uint64_t sequence,
		      uint64_t serial)
{
	struct world *world = site->world;
	uint8_t *line = ledger_line(site, generation, sequence);
	uint32_t *known, position;

	if (!line) {
		explore_violation(&world->course,
				  "line %" PRIu64 " of generation %u is out of range", sequence,
				  generation);
		return;
	}
	*line |= LINE_TOLD;
	position = (uint32_t)(line - site->lines[0]) + 1;
	known = &world->serial_at[generation][sequence - ledger_first(world, generation)];
	if (*known != 0 && *known != serial + 1)
		explore_violation(&world->course,
				  "line %" PRIu64 " is key %u at one side, %" PRIu64 " at %s",
				  sequence, *known - 1, serial, world_names[site->index]);
	if (world->position_of[serial] != 0 && world->position_of[serial] != position)
		explore_violation(&world->course, "key %" PRIu64 " has two positions", serial);
	*known = (uint32_t)serial + 1;
	world->position_of[serial] = position;
}

void ledger_agreed(struct world_site *site, uint64_t first, const struct uuid *ids,
		   const uint8_t *keys, size_t count)
{
	struct world *world = site->world;
	unsigned generation = site_generation(site);

	if (generation >= WORLD_MAX_GENERATIONS)
		return;
	explore_trace(&world->course, "%s has lines %" PRIu64 " to %" PRIu64,
		      world_names[site->index], first, first + count - 1);
	if (first > site->told_next[generation] && !world->is_disk_lost)
		explore_violation(&world->course, "%s has line %" PRIu64 " before %" PRIu64,
				  world_names[site->index], first, site->told_next[generation]);
	site->told_next[generation] = MAX(site->told_next[generation], first + count);
	world->agreed += count;
	for (size_t i = 0; i < count && !world->course.violation[0]; i++) {
		uint64_t serial = device_serial(&ids[i]);
		uint8_t key[WORLD_KEY_BYTES];

		if (serial == UINT64_MAX) {
			explore_violation(&world->course, "an id that no device gave");
			return;
		}
		device_key(world, site->index, serial, key);
		if (memcmp(key, keys + i * WORLD_KEY_BYTES, WORLD_KEY_BYTES) != 0)
			explore_violation(&world->course,
					  "key %" PRIu64 " stands under another's id", serial);
		note_line(site, generation, first + i, serial);
	}
}

/* Files */

/* Lines that linkd applied and had no time to tell of: its keyringd finds them in the file. */
void ledger_linkd_started(struct world_site *site)
{
	unsigned generation = site_generation(site);
	uint64_t next = sync_machine_next(site->machine);
	struct file_line line;

	if (generation >= WORLD_MAX_GENERATIONS)
		return;
	if (sync_machine_directory(site->machine)[0] != '\0') /* may have begun without a word */
		site->world->generations = MAX(site->world->generations, generation + UINT64_C(1));
	for (uint64_t i = site->told_next[generation]; i < next; i++)
		if (world_read_line(site, sync_machine_directory(site->machine), i, &line))
			note_line(site, generation, i, line.serial);
		else
			explore_violation(&site->world->course,
					  "%s has applied line %" PRIu64 " without it",
					  world_names[site->index], i);
	site->told_next[generation] = MAX(site->told_next[generation], next);
}

static const char *directory_of(struct world_site *site, unsigned generation,
				char ret[static KEYFILE_NAME_MAX])
{
	const char *peer = world_names[!site->index];

	if (generation == 0)
		snprintf(ret, KEYFILE_NAME_MAX, "%s", peer);
	else
		snprintf(ret, KEYFILE_NAME_MAX, "%s~%u", peer, generation);
	return ret;
}

/* What only the lost disk knew is as if it had never been; the other side's word still counts. */
void ledger_disk_lost(struct world_site *site)
{
	struct world *world = site->world;
	struct world_site *other = &world->sites[!site->index];

	for (unsigned i = 0; i < WORLD_MAX_GENERATIONS; i++) {
		site->told_next[i] = ledger_first(world, i);
		for (uint64_t k = 0; k < WORLD_MAX_KEYS; k++) {
			uint32_t *known = &world->serial_at[i][k];

			site->lines[i][k] &= (uint8_t)~LINE_TOLD;
			if (*known == 0 || other->lines[i][k] & LINE_TOLD)
				continue;
			world->position_of[*known - 1] = 0;
			*known = 0;
		}
	}
	if (site->index == 0)
		memset(world->decisions, 0, sizeof(world->decisions));
}

/* Lines that keyringd has issued and that the disk has lost: they may come back erased only. */
void ledger_linkd_starts(struct world_site *site)
{
	char directory[KEYFILE_NAME_MAX];

	for (unsigned i = 0; i < MIN(site->world->generations, UINT64_C(12)); i++)
		for (uint64_t k = 0; k < site->told_next[i] - ledger_first(site->world, i) + 16;
		     k++) {
			uint64_t sequence = ledger_first(site->world, i) + k;
			uint8_t *state = ledger_line(site, i, sequence);
			struct file_line line;

			if (!state || !(*state & LINE_ISSUED))
				continue;
			if (!world_read_line(site, directory_of(site, i, directory), sequence,
					     &line) ||
			    line.kind == KEYFILE_LINE_DAMAGED)
				*state |= LINE_BURNT;
		}
}

static void check_line(struct world_site *site, unsigned generation, const char *directory,
		       uint64_t sequence)
{
	const char *name = world_names[site->index];
	struct world *world = site->world;
	uint64_t first = ledger_first(world, generation);
	uint8_t state = *ledger_line(site, generation, sequence);
	struct file_line line;

	if (!(state & LINE_TOLD))
		return;
	if (!world_read_line(site, directory, sequence, &line)) {
		if (!(state & LINE_ERASED))
			explore_violation(&world->course, "%s has lost line %" PRIu64, name,
					  sequence);
		return;
	}
	if (line.serial + 1 != world->serial_at[generation][sequence - first])
		explore_violation(&world->course, "%s: line %" PRIu64 " has another id", name,
				  sequence);
	else if (line.kind == KEYFILE_LINE_DAMAGED && !(state & LINE_ISSUED))
		explore_violation(&world->course, "%s: line %" PRIu64 " is damaged", name,
				  sequence);
	else if (line.kind == KEYFILE_LINE_ERASED && !(state & LINE_RECORDED))
		explore_violation(&world->course, "%s: line %" PRIu64 " is erased, not issued",
				  name, sequence);
	else if (line.kind == KEYFILE_LINE_KEY && state & (LINE_ERASED | LINE_BURNT))
		explore_violation(&world->course,
				  "%s: line %" PRIu64 " was issued, was gone, and is back", name,
				  sequence);
}

/* Whose the keys are is known wherever there are keys: else another link takes the directory. */
static void check_store(struct world_site *site, unsigned generation, const char *directory)
{
	struct keyfile_store store;
	char path[KEYFILE_NAME_MAX + sizeof(KEYFILE_STORE_FILE)];
	const uint8_t *text;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", directory, KEYFILE_STORE_FILE);
	text = memory_storage_content(site->disk, path, &size);
	if (!text || keyfile_store_parse((const char *)text, size, &store) < 0 ||
	    store.generation != generation)
		explore_violation(&site->world->course,
				  "%s: nobody knows whose keys generation %u has",
				  world_names[site->index], generation);
}

void ledger_check_site(struct world_site *site)
{
	struct world *world = site->world;
	char directory[KEYFILE_NAME_MAX];

	if (world->is_disk_lost)
		return; /* RESUME tells what that means; the settled files are checked */
	for (unsigned i = 0; i < MIN(world->generations, UINT64_C(12)); i++) {
		directory_of(site, i, directory);
		if (site->told_next[i] > ledger_first(world, i))
			check_store(site, i, directory);
		for (uint64_t k = ledger_first(world, i);
		     k < site->told_next[i] && !world->course.violation[0]; k++)
			check_line(site, i, directory, k);
	}
}
