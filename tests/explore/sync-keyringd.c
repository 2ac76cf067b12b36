/* SPDX-License-Identifier: MIT */

/*
 * The stand-in for keyringd. It looks at any whole line, told or not: the files are there to be
 * read at any time. Which lines it may not issue it knows from the record alone.
 */

#include "tests/explore/sync-world.h"

#define RECORD_PATH ISSUE_RECORD_DIRECTORY "/" ISSUE_RECORD_FILE
#define RUN_AHEAD   6

static struct storage *disk_of(struct world_site *site)
{
	return memory_storage_storage(site->disk);
}

static int skip(const struct wal_record *record, const struct wal_place *place, void *userdata)
{
	return 0;
}

static int start(struct world_site *site)
{
	struct keyringd *self = &site->keyringd;
	struct storage *disk = disk_of(site);
	int r;

	r = disk->ops->make_directory(disk, ISSUE_RECORD_DIRECTORY);
	if (r < 0 && r != -EEXIST)
		return r;
	r = disk->ops->sync_directory(disk, ".");
	if (r >= 0)
		r = wal_open(disk, RECORD_PATH, ISSUE_RECORD_KIND, skip, NULL, &self->record);
	if (r >= 0)
		r = keyfile_erase_new(disk, &self->erase);
	if (r < 0)
		return r;
	self->state = KEYRINGD_IDLE;
	self->has_store = false;
	explore_trace(&site->world->course, "%s: keyringd starts", world_names[site->index]);
	return 0;
}

void keyringd_end(struct world_site *site)
{
	struct keyringd *self = &site->keyringd;

	self->record = wal_free(self->record);
	self->erase = keyfile_erase_free(self->erase);
	self->state = KEYRINGD_DOWN;
}

/* Everything that the record names counts as issued. */
static int note_taken(struct world_site *site)
{
	struct keyringd *self = &site->keyringd;
	bool used[KEYRINGD_LINES];
	int r;

	r = issue_record_used(disk_of(site), &self->store.uuid, self->store.generation,
			      ledger_first(site->world, self->store.generation), KEYRINGD_LINES,
			      used);
	for (size_t i = 0; r >= 0 && i < KEYRINGD_LINES; i++)
		self->taken[i] |= used[i];
	return r;
}

/* The directory that linkd writes to now, or wrote to last. */
static int look_at_store(struct world_site *site)
{
	struct keyringd *self = &site->keyringd;
	const char *directory = site->machine ? sync_machine_directory(site->machine)
					      : self->directory;

	if (directory[0] == '\0' || site->is_behind)
		return 0;
	if (self->has_store && str_equal(self->directory, directory))
		return 1;
	if (keyfile_store_read(disk_of(site), directory, &self->store) < 0)
		return 0;
	if (self->directory != directory)
		snprintf(self->directory, sizeof(self->directory), "%s", directory);
	self->has_store = true;
	self->ahead[0] = self->ahead[1] = 0;
	memset(self->taken, 0, sizeof(self->taken));
	return note_taken(site) < 0 ? -EIO : 1;
}

static uint64_t next_line(const struct world_site *site)
{
	return site->told_next[site->keyringd.store.generation];
}

static int append(struct keyringd *self, enum issue_record_type type, const void *bytes,
		  size_t size_bytes)
{
	struct wal_record record = {
		.type = (uint8_t)type, .public_bytes = bytes, .public_size = size_bytes};

	return wal_append(self->record, &record, NULL);
}

static int record_key(struct world_site *site, uint64_t sequence)
{
	struct keyringd *self = &site->keyringd;
	struct issue_record_key key = {.store = self->store.uuid,
				       .generation = self->store.generation,
				       .sequence = sequence,
				       .state = ISSUE_KEY_ISSUED};
	uint8_t bytes[ISSUE_RECORD_KEY_BYTES];

	issue_record_build_key(&key, bytes);
	return append(self, ISSUE_RECORD_KEY, bytes, sizeof(bytes));
}

static void note_recorded(struct world_site *site, uint64_t sequence)
{
	uint8_t *line = ledger_line(site, site->keyringd.store.generation, sequence);

	if (line)
		*line |= LINE_RECORDED;
}

/* A mark that runs ahead, also of lines that are still to come. */
static int run_ahead(struct world_site *site)
{
	struct keyringd *self = &site->keyringd;
	unsigned parity = explore_choose(2, &site->world->course);
	struct issue_record_ahead ahead = {.store = self->store.uuid,
					   .generation = self->store.generation,
					   .parity = (uint8_t)parity};
	uint8_t bytes[ISSUE_RECORD_AHEAD_BYTES];
	int r;

	ahead.below = next_line(site) + explore_choose(RUN_AHEAD, &site->world->course);
	if (ahead.below <= self->ahead[parity])
		return 0;
	for (uint64_t i = site->world->base; i < ahead.below; i++)
		if (i % 2 == parity)
			note_recorded(site, i);
	issue_record_build_ahead(&ahead, bytes);
	r = append(self, ISSUE_RECORD_AHEAD, bytes, sizeof(bytes));
	if (r >= 0)
		r = wal_sync(self->record);
	if (r < 0)
		return r;
	explore_trace(&site->world->course, "%s: keyringd's mark runs ahead to %llu",
		      world_names[site->index], (unsigned long long)ahead.below);
	self->ahead[parity] = ahead.below;
	return 0;
}

static uint8_t *taken(struct world_site *site, uint64_t sequence)
{
	uint64_t first = ledger_first(site->world, site->keyringd.store.generation);

	if (sequence < first || sequence - first >= KEYRINGD_LINES)
		return NULL;
	return &site->keyringd.taken[sequence - first];
}

static uint64_t pick(struct world_site *site)
{
	struct world *world = site->world;
	uint64_t next = next_line(site);
	uint64_t first = ledger_first(world, site->keyringd.store.generation), lowest = first;

	switch (explore_choose(3, &world->course)) {
	case 0: /* around the end */
		return next - MIN(next - first, UINT64_C(2)) + explore_choose(8, &world->course);
	case 1:
		return first + explore_choose((unsigned)(next - first) + 8, &world->course);
	}
	while (lowest < next && *taken(site, lowest))
		lowest++;
	return lowest;
}

static int take(struct world_site *site)
{
	struct keyringd *self = &site->keyringd;
	struct file_line line;
	uint8_t *is_taken;
	int r;

	self->sequence = pick(site);
	is_taken = taken(site, self->sequence);
	if (!is_taken || *is_taken ||
	    !world_read_line(site, self->directory, self->sequence, &line) ||
	    line.kind != KEYFILE_LINE_KEY)
		return 0;
	*is_taken = 1;
	if (self->sequence < self->ahead[self->sequence % 2]) {
		self->state = KEYRINGD_DURABLE;
		return 0;
	}
	note_recorded(site, self->sequence);
	self->state = KEYRINGD_RECORDED;
	r = record_key(site, self->sequence);
	return r < 0 || explore_chance(&site->world->course, 300) ? r : wal_write(self->record);
}

static int hand_out(struct world_site *site)
{
	struct keyringd *self = &site->keyringd;
	struct world *world = site->world;
	uint8_t *line = ledger_line(site, self->store.generation, self->sequence);

	self->state = KEYRINGD_IDLE;
	if (*line & LINE_ISSUED)
		explore_violation(&world->course, "%s: line %llu is issued twice",
				  world_names[site->index], (unsigned long long)self->sequence);
	*line |= LINE_ISSUED;
	world->issued++;
	explore_trace(&world->course, "%s: keyringd issues line %llu", world_names[site->index],
		      (unsigned long long)self->sequence);
	return keyfile_erase_add(self->erase, self->store.generation, self->sequence);
}

static bool locate(uint32_t tag, const char **ret_directory, const struct keyfile_store **ret,
		   void *userdata)
{
	struct keyringd *self = &((struct world_site *)userdata)->keyringd;

	*ret_directory = self->directory;
	*ret = &self->store;
	return self->has_store && tag == self->store.generation;
}

/* True when no line of its file is left. */
static bool erased(uint32_t tag, uint64_t sequence, void *userdata)
{
	struct world_site *site = userdata;
	uint64_t end = ((uint64_t)keyfile_number(sequence) + 1) * KEYFILE_LINES;

	explore_trace(&site->world->course, "%s: keyringd has erased line %llu",
		      world_names[site->index], (unsigned long long)sequence);
	*ledger_line(site, tag, sequence) |= LINE_ERASED;
	for (uint64_t i = MAX(end - KEYFILE_LINES, site->world->base); i < end; i++) {
		const uint8_t *line = ledger_line(site, tag, i);

		if (!line || !(*line & LINE_ERASED))
			return false;
	}
	return true;
}

static int be_idle(struct world_site *site)
{
	static const struct keyfile_erase_handler handler = {.locate = locate, .erased = erased};
	struct keyringd *self = &site->keyringd;
	int r = look_at_store(site);

	if (r <= 0)
		return r;
	if (explore_chance(&site->world->course, 100))
		return run_ahead(site);
	if (explore_chance(&site->world->course, 150))
		return keyfile_erase_flush(self->erase, &handler, site);
	return take(site);
}

int keyringd_step(struct world_site *site)
{
	struct keyringd *self = &site->keyringd;

	switch (self->state) {
	case KEYRINGD_DOWN:
		return self->restart_usec <= site->world->course.now_usec ? start(site) : 0;
	case KEYRINGD_IDLE:
		return be_idle(site);
	case KEYRINGD_RECORDED:
		self->state = KEYRINGD_DURABLE;
		return wal_sync(self->record);
	case KEYRINGD_DURABLE:
		return hand_out(site);
	}
	return 0;
}
