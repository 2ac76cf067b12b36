/* SPDX-License-Identifier: MIT */

/*
 * Generations that are over. When a link begins a new generation (a site has lost its disk, or came
 * back with an old one), nobody can prove any more which keys of the older ones the other site has:
 * whatever of them was not promised to anybody is destroyed here. The other site does the same,
 * because its linkd begins the same generation, so there is nothing to negotiate.
 *
 * One record stands for all keys of a generation; their lines are erased as others are.
 *
 * The directories of links are linkd's. Those of keys over paths are ours: one that is not the
 * newest of its builder, and whose lines are all erased here, is removed. First the record is
 * written anew without it, or its entries would wait for a directory that never comes back.
 */

#include "common/events.h"
#include "qkd-keyringd/issuer-private.h"
#include "qkd-keyringd/path-keyfile.h"

static bool is_older(const struct issuer_directory *directory, const struct issuer_directory *than)
{
	return str_equal(directory->on_disk.store.link, than->on_disk.store.link) &&
	       directory->on_disk.store.generation < than->on_disk.store.generation;
}

static bool has_newer(const struct issuer_directory *directory)
{
	struct issuer_store *store = directory->store;

	for (size_t i = 0; i < store->directory_count; i++)
		if (is_older(directory, store->directories[i]))
			return true;
	return false;
}

struct retiring {
	struct issuer_directory *directory;
	uint64_t count;
};

static int destroy_line(const struct store_line *line, void *userdata)
{
	struct retiring *retiring = userdata;
	struct issuer_store *store = retiring->directory->store;

	if (line->state != STORE_KEY_AVAILABLE)
		return 0;
	store_set_state(store->store, line->place, STORE_KEY_DESTROYED);
	issuer_directory_erase_later(retiring->directory, line->place.sequence);
	retiring->count++;
	return 0;
}

static void record(struct issuer_directory *directory)
{
	struct issuer *issuer = directory->store->issuer;
	const struct issue_record_retire retire = {
		.store = directory->on_disk.store.uuid,
		.generation = directory->on_disk.store.generation,
	};

	directory->retired = true;
	issuer_check_log(issuer, issue_log_retire(issuer->log, &retire));
	issuer_loop_flush_soon(issuer);
}

void issuer_retire(struct issuer_directory *directory)
{
	struct issuer_store *store = directory->store;
	struct retiring retiring = {.directory = directory};

	if (!directory->retired)
		record(directory);
	(void)store_foreach(store->store, directory->index, destroy_line, &retiring);
	if (retiring.count == 0)
		return;
	log_event(LOG_NOTICE, EVENT_STORE_CHANGED,
		  &(struct log_fields){.peer = store->peer_name,
				       .link = directory->on_disk.store.link},
		  "%llu unissued keys in %s are dropped, the link has begun a new generation",
		  (unsigned long long)retiring.count, directory->on_disk.name);
	issuer_store_changed(store);
}

void issuer_retire_older(struct issuer_store *store)
{
	for (size_t i = 0; i < store->directory_count; i++)
		if (has_newer(store->directories[i]))
			issuer_retire(store->directories[i]);
}

static int is_erased(const struct store_line *line, void *userdata)
{
	return line->erased ? 0 : -EBUSY;
}

/* Nobody here or there has to be told anything of it either. */
static bool is_over(const struct issuer_directory *directory)
{
	const struct issuer_store *store = directory->store;

	return !directory->over && directory->retired &&
	       keyfile_store_builder(&directory->on_disk.store) && has_newer(directory) &&
	       directory->destroyed_count == 0 && list_is_empty(&store->told) &&
	       store_foreach(store->store, directory->index, is_erased, NULL) >= 0;
}

bool issuer_retire_find_over(struct issuer *issuer)
{
	bool found = false;

	for (size_t i = 0; i < issuer->store_count; i++)
		for (size_t j = 0; j < issuer->stores[i]->directory_count; j++) {
			struct issuer_directory *directory = issuer->stores[i]->directories[j];

			if (!is_over(directory))
				continue;
			directory->over = found = true;
			directory->writer = path_keyfile_free(directory->writer);
		}
	return found;
}

void issuer_retire_remove_over(struct issuer *issuer)
{
	for (size_t i = 0; i < issuer->store_count; i++)
		for (size_t j = 0; j < issuer->stores[i]->directory_count; j++) {
			struct issuer_directory *directory = issuer->stores[i]->directories[j];
			int r;

			if (!directory->over || directory->removed)
				continue;
			directory->removed = true;
			r = path_keyfile_remove(issuer->keys, directory->on_disk.name);
			if (r < 0)
				log_warning("key directory %s, of which nothing is left, cannot be "
					    "removed: %s",
					    directory->on_disk.name, strerror(-r));
		}
}
