/* SPDX-License-Identifier: MIT */

/*
 * The index of one peer's keys. It exists apart from files and network so that the rules of
 * ownership and state can be tested alone, and is compact because a site may hold millions of keys.
 */

#include "qkd-keyringd/store.h"

#include <assert.h>

#include "qkd-keyringd/id-table.h"

#define STATE_MASK     0x07u
#define FLAG_LEASED    0x08u
#define FLAG_ERASED    0x10u
#define FLAG_PLAIN     0x20u
#define SLOTS_MIN      1024
#define SEQUENCE_SHIFT 44 /* a slot is directory << 44 | sequence, plus 1 so that 0 is empty */

struct block {
	struct uuid ids[KEYFILE_LINES];
	uint8_t lines[KEYFILE_LINES]; /* state and flags */
	uint32_t erased;
};

struct directory {
	uint32_t key_bits;
	enum store_owner owner;
	struct block **blocks; /* by file number */
	size_t block_count;
	uint64_t next;   /* one above the highest */
	uint64_t cursor; /* no available key of ours is below */
	uint64_t leased; /* available keys of ours that were the other's */
	uint64_t own;    /* available keys of ours, these included */
};

struct store {
	bool leads;
	struct directory *directories;
	uint32_t directory_count;
	uint64_t *slots;
	size_t slot_count, used;
	struct store_counts counts;
};

int store_new(bool leads, struct store **ret)
{
	_cleanup_(freep) struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->leads = leads;
	store->slot_count = SLOTS_MIN;
	store->slots = calloc(store->slot_count, sizeof(*store->slots));
	if (!store->slots)
		return -ENOMEM;
	*ret = TAKE_PTR(store);
	return 0;
}

struct store *store_free(struct store *store)
{
	if (!store)
		return NULL;
	for (uint32_t i = 0; i < store->directory_count; i++) {
		for (size_t j = 0; j < store->directories[i].block_count; j++)
			free(store->directories[i].blocks[j]);
		free(store->directories[i].blocks);
	}
	free(store->directories);
	free(store->slots);
	free(store);
	return NULL;
}

int store_add_directory(struct store *store, uint32_t key_bits, uint32_t *ret_directory)
{
	struct directory *larger;

	if (store->directory_count >= STORE_MAX_DIRECTORIES)
		return -ENOSPC;
	larger = reallocarray(store->directories, store->directory_count + 1, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	store->directories = larger;
	larger[store->directory_count] = (struct directory){.key_bits = key_bits};
	*ret_directory = store->directory_count++;
	return 0;
}

void store_set_owner(struct store *store, uint32_t directory, enum store_owner owner)
{
	assert(directory < store->directory_count && store->directories[directory].next == 0);
	store->directories[directory].owner = owner;
}

uint32_t store_key_bits(const struct store *store, uint32_t directory)
{
	assert(directory < store->directory_count);
	return store->directories[directory].key_bits;
}

static struct block *find_block(const struct store *store, struct store_place place)
{
	const struct directory *directory;
	uint64_t number = place.sequence / KEYFILE_LINES;

	if (place.directory >= store->directory_count)
		return NULL;
	directory = &store->directories[place.directory];
	return number < directory->block_count ? directory->blocks[number] : NULL;
}

static int make_block(struct directory *directory, uint32_t number)
{
	if (number >= directory->block_count) {
		size_t count = MAX((size_t)number + 1, directory->block_count * 3 / 2);
		struct block **larger =
			reallocarray(directory->blocks, count, sizeof(*directory->blocks));

		if (!larger)
			return -ENOMEM;
		memset(larger + directory->block_count, 0,
		       (count - directory->block_count) * sizeof(*larger));
		directory->blocks = larger;
		directory->block_count = count;
	}
	if (!directory->blocks[number])
		directory->blocks[number] = calloc(1, sizeof(struct block));
	return directory->blocks[number] ? 0 : -ENOMEM;
}

/* A block's line, or NULL when nothing is there. */
static uint8_t *find_line(const struct store *store, struct store_place place)
{
	struct block *block = find_block(store, place);
	uint8_t *line;

	if (!block)
		return NULL;
	line = &block->lines[place.sequence % KEYFILE_LINES];
	return (*line & STATE_MASK) == STORE_KEY_ABSENT ? NULL : line;
}

static uint64_t slot_pack(struct store_place place)
{
	return ((uint64_t)place.directory << SEQUENCE_SHIFT | place.sequence) + 1;
}

static struct store_place slot_unpack(uint64_t slot)
{
	return (struct store_place){
		.directory = (uint32_t)((slot - 1) >> SEQUENCE_SHIFT),
		.sequence = (slot - 1) & ((UINT64_C(1) << SEQUENCE_SHIFT) - 1),
	};
}

static const struct uuid *slot_id(const struct store *store, uint64_t slot)
{
	struct store_place place = slot_unpack(slot);

	return &find_block(store, place)->ids[place.sequence % KEYFILE_LINES];
}

static size_t slot_home(const struct store *store, const struct uuid *id)
{
	return id_table_hash(id, id_table_seed()) & (store->slot_count - 1);
}

/* The slot that holds this id, or the empty one where it belongs. */
static size_t slot_search(const struct store *store, const struct uuid *id)
{
	size_t i = slot_home(store, id);

	while (store->slots[i] && !uuid_equal(slot_id(store, store->slots[i]), id))
		i = (i + 1) & (store->slot_count - 1);
	return i;
}

static int slots_grow(struct store *store)
{
	size_t old_count = store->slot_count;
	uint64_t *old = store->slots;
	uint64_t *larger = calloc(old_count * 2, sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	store->slots = larger;
	store->slot_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++)
		if (old[i])
			larger[slot_search(store, slot_id(store, old[i]))] = old[i];
	free(old);
	return 0;
}

/* Closes the gap, so that no search ends early at it. */
static void slot_remove(struct store *store, size_t gap)
{
	size_t mask = store->slot_count - 1;

	store->slots[gap] = 0;
	store->used--;
	for (size_t i = (gap + 1) & mask; store->slots[i]; i = (i + 1) & mask) {
		size_t home = slot_home(store, slot_id(store, store->slots[i]));

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		store->slots[gap] = store->slots[i];
		store->slots[i] = 0;
		gap = i;
	}
}

static void account(struct store *store, struct store_place place, uint8_t line, int64_t delta)
{
	enum store_key_state state = line & STATE_MASK;
	bool own = store_is_own(store, place);

	if (state == STORE_KEY_AVAILABLE && own && line & FLAG_LEASED)
		store->directories[place.directory].leased += (uint64_t)delta;
	if (state == STORE_KEY_AVAILABLE && own) {
		store->directories[place.directory].own += (uint64_t)delta;
		store->counts.available_own += (uint64_t)delta;
	}
	if (state == STORE_KEY_AVAILABLE && !own)
		store->counts.available_peer += (uint64_t)delta;
	if (state != STORE_KEY_AVAILABLE)
		store->counts.state[state] += (uint64_t)delta;
}

int store_add_key(struct store *store, struct store_place place, const struct uuid *id,
		  enum store_key_state state)
{
	struct directory *directory;
	uint32_t number = keyfile_number(place.sequence);
	size_t slot;
	int r;

	assert(place.directory < store->directory_count);
	assert(state != STORE_KEY_ABSENT);
	if (place.sequence >= STORE_MAX_SEQUENCE)
		return -ERANGE;
	if (store->used * 10 >= store->slot_count * 7) {
		r = slots_grow(store);
		if (r < 0)
			return r;
	}
	directory = &store->directories[place.directory];
	r = make_block(directory, number);
	if (r < 0)
		return r;
	slot = slot_search(store, id);
	if (find_line(store, place) || store->slots[slot])
		return -EEXIST;
	directory->blocks[number]->ids[place.sequence % KEYFILE_LINES] = *id;
	directory->blocks[number]->lines[place.sequence % KEYFILE_LINES] = (uint8_t)state;
	store->slots[slot] = slot_pack(place);
	store->used++;
	directory->next = MAX(directory->next, place.sequence + 1);
	account(store, place, (uint8_t)state, 1);
	return 0;
}

bool store_find(const struct store *store, const struct uuid *id, struct store_place *ret)
{
	size_t slot = slot_search(store, id);

	if (!store->slots[slot])
		return false;
	*ret = slot_unpack(store->slots[slot]);
	return true;
}

enum store_key_state store_state(const struct store *store, struct store_place place)
{
	const uint8_t *line = find_line(store, place);

	return line ? *line & STATE_MASK : STORE_KEY_ABSENT;
}

static void rewind_cursor(struct store *store, struct store_place place)
{
	struct directory *directory = &store->directories[place.directory];

	if (store_state(store, place) == STORE_KEY_AVAILABLE && store_is_own(store, place))
		directory->cursor = MIN(directory->cursor, place.sequence);
}

void store_set_state(struct store *store, struct store_place place, enum store_key_state state)
{
	uint8_t *line = find_line(store, place);

	assert(line && state != STORE_KEY_ABSENT);
	account(store, place, *line, -1);
	*line = (uint8_t)((*line & ~STATE_MASK) | state);
	account(store, place, *line, 1);
	rewind_cursor(store, place);
}

const struct uuid *store_id(const struct store *store, struct store_place place)
{
	if (!find_line(store, place))
		return NULL;
	return &find_block(store, place)->ids[place.sequence % KEYFILE_LINES];
}

unsigned store_own_parity(const struct store *store)
{
	return store->leads ? 0 : 1;
}

bool store_is_leased(const struct store *store, struct store_place place)
{
	const uint8_t *line = find_line(store, place);

	return line && *line & FLAG_LEASED;
}

static bool is_of_own_half(const struct store *store, struct store_place place)
{
	enum store_owner owner = place.directory < store->directory_count
					 ? store->directories[place.directory].owner
					 : STORE_OWNER_HALVES;

	switch (owner) {
	case STORE_OWNER_OURS:
		return true;
	case STORE_OWNER_PEER:
		return false;
	case STORE_OWNER_HALVES:
		break;
	}
	return (place.sequence & 1) == store_own_parity(store);
}

bool store_is_own(const struct store *store, struct store_place place)
{
	return is_of_own_half(store, place) != store_is_leased(store, place);
}

void store_lease(struct store *store, struct store_place place)
{
	uint8_t *line = find_line(store, place);

	assert(line);
	account(store, place, *line, -1);
	*line ^= FLAG_LEASED;
	account(store, place, *line, 1);
	rewind_cursor(store, place);
}

static bool is_available_own(const struct store *store, struct store_place place)
{
	return store_state(store, place) == STORE_KEY_AVAILABLE && store_is_own(store, place);
}

/* Where to look on: past a whole file when nothing of it is known. */
static uint64_t sequence_after(const struct store *store, struct store_place place)
{
	if (find_block(store, place))
		return place.sequence + 1;
	return (place.sequence / KEYFILE_LINES + 1) * KEYFILE_LINES;
}

/* The first available one of ours at or above, whatever the mark covers. */
static bool next_own_from(const struct store *store, struct store_place place,
			  struct store_place *ret)
{
	const struct directory *directory = &store->directories[place.directory];

	for (; place.sequence < directory->next; place.sequence = sequence_after(store, place))
		if (is_available_own(store, place)) {
			*ret = place;
			return true;
		}
	return false;
}

bool store_next_own(struct store *store, uint32_t number, uint64_t below, struct store_place *ret)
{
	struct directory *directory = &store->directories[number];
	struct store_place place = {.directory = number, .sequence = directory->cursor};
	bool found = next_own_from(store, place, &place);

	directory->cursor = found ? place.sequence : directory->next;
	/* What the mark does not cover yet is passed over only for the sake of leased ones. */
	while (found && place.sequence >= below && !store_is_leased(store, place)) {
		place.sequence++;
		found = directory->leased > 0 && next_own_from(store, place, &place);
	}
	if (found)
		*ret = place;
	return found;
}

uint64_t store_available_own(const struct store *store, uint32_t directory)
{
	return store->directories[directory].own;
}

uint64_t store_count_own_below(const struct store *store, uint32_t number, uint64_t below,
			       uint64_t most)
{
	const struct directory *directory = &store->directories[number];
	struct store_place place = {.directory = number, .sequence = directory->cursor};
	uint64_t found = 0;

	for (; place.sequence < MIN(below, directory->next) && found < most;
	     place.sequence = sequence_after(store, place))
		found += is_available_own(store, place);
	return found;
}

uint64_t store_next_sequence(const struct store *store, uint32_t directory)
{
	return store->directories[directory].next;
}

void store_set_plain(struct store *store, struct store_place place)
{
	uint8_t *line = find_line(store, place);

	if (line)
		*line |= FLAG_PLAIN;
}

bool store_is_plain(const struct store *store, struct store_place place)
{
	const uint8_t *line = find_line(store, place);

	return line && *line & FLAG_PLAIN;
}

bool store_set_erased(struct store *store, struct store_place place)
{
	struct block *block = find_block(store, place);
	uint8_t *line = find_line(store, place);

	if (!line)
		return false;
	if (!(*line & FLAG_ERASED)) {
		*line |= FLAG_ERASED;
		block->erased++;
	}
	return block->erased == KEYFILE_LINES;
}

void store_drop_file(struct store *store, uint32_t directory, uint32_t number)
{
	struct store_place place = {.directory = directory,
				    .sequence = (uint64_t)number * KEYFILE_LINES};
	struct block *block = find_block(store, place);

	if (!block)
		return;
	for (uint32_t i = 0; i < KEYFILE_LINES; i++)
		if (block->lines[i] & STATE_MASK)
			slot_remove(store, slot_search(store, &block->ids[i]));
	store->directories[directory].blocks[number] = NULL;
	free(block);
}

bool store_file_is_known(const struct store *store, uint32_t directory, uint32_t number)
{
	struct store_place place = {.directory = directory,
				    .sequence = (uint64_t)number * KEYFILE_LINES};

	return find_block(store, place) != NULL;
}

static int foreach_in_block(const struct block *block, struct store_place place,
			    int (*each)(const struct store_line *line, void *userdata),
			    void *userdata)
{
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < KEYFILE_LINES; i++, place.sequence++) {
		struct store_line line = {
			.place = place,
			.state = block->lines[i] & STATE_MASK,
			.leased = block->lines[i] & FLAG_LEASED,
			.erased = block->lines[i] & FLAG_ERASED,
		};

		if (line.state != STORE_KEY_ABSENT)
			r = each(&line, userdata);
	}
	return r;
}

int store_foreach(const struct store *store, uint32_t number,
		  int (*each)(const struct store_line *line, void *userdata), void *userdata)
{
	const struct directory *directory = &store->directories[number];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < directory->block_count; i++) {
		struct store_place place = {number, (uint64_t)i * KEYFILE_LINES};

		if (directory->blocks[i])
			r = foreach_in_block(directory->blocks[i], place, each, userdata);
	}
	return r;
}

const struct store_counts *store_counts(const struct store *store)
{
	return &store->counts;
}
