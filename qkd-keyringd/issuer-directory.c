/* SPDX-License-Identifier: MIT */

/*
 * The key directories and the index: what a directory has is put into its peer's store at start and
 * whenever linkd tells of more; what a store has used up is erased there.
 */

#include "common/events.h"
#include "common/pool.h"
#include "qkd-keyringd/issuer-private.h"
#include "qkd-keyringd/path-keyfile.h"

struct issuer_directory *issuer_directory_free(struct issuer_directory *directory)
{
	if (!directory)
		return NULL;
	path_keyfile_free(directory->writer);
	free(directory->destroyed);
	free(directory);
	return NULL;
}
DEFINE_CLEANUP(struct issuer_directory *, issuer_directory_free);

struct issuer_directory *issuer_directory_find(struct issuer_store *store, const struct uuid *uuid,
					       uint32_t generation)
{
	for (size_t i = store->directory_count; i-- > 0;) {
		struct issuer_directory *directory = store->directories[i];

		if (directory->on_disk.store.generation == generation &&
		    uuid_equal(&directory->on_disk.store.uuid, uuid))
			return directory;
	}
	return NULL;
}

struct issuer_directory *issuer_directory_of(const struct issuer_store *store,
					     struct store_place place)
{
	return store->directories[place.directory];
}

enum store_key_state issuer_directory_look_up(struct issuer_store *store, const struct uuid *uuid,
					      uint32_t generation, uint64_t sequence,
					      struct store_place *ret, bool *ret_gone)
{
	struct issuer_directory *directory = issuer_directory_find(store, uuid, generation);
	struct store_place place = {.sequence = sequence};
	enum store_key_state state = STORE_KEY_ABSENT;

	*ret_gone = false;
	if (!directory)
		return STORE_KEY_ABSENT;
	place.directory = directory->index;
	state = store_state(store->store, place);
	if (state == STORE_KEY_ABSENT)
		*ret_gone = directory->scanned != UINT64_MAX && sequence < directory->scanned;
	else
		*ret = place;
	return state;
}

/* A link's halves, or all of it the end's that has built it. */
static enum store_owner owner_of(const struct issuer_directory *directory)
{
	const char *builder = keyfile_store_builder(&directory->on_disk.store);

	if (!builder)
		return STORE_OWNER_HALVES;
	return str_equal(builder, directory->store->issuer->site) ? STORE_OWNER_OURS
								  : STORE_OWNER_PEER;
}

int issuer_directory_reserve(struct issuer_store *store, const struct site_keys *keys, size_t first,
			     uint32_t bits, struct reservation **ret, size_t *ret_parts)
{
	struct issuer_directory *directory =
		issuer_directory_find(store, &keys->store, keys->generation);
	struct store_place places[SITE_MAX_PARTS];
	size_t parts;
	int r;

	if (!directory)
		return -ENOKEY;
	parts = issuer_supply_parts(bits, directory->on_disk.store.key_bits);
	if (parts > SITE_MAX_PARTS || parts > keys->count - first)
		return -ENOKEY;
	for (size_t i = 0; i < parts; i++) {
		places[i] = (struct store_place){directory->index, keys->sequences[first + i]};
		if (store_state(store->store, places[i]) != STORE_KEY_AVAILABLE ||
		    store_is_own(store->store, places[i]) ||
		    !uuid_equal(store_id(store->store, places[i]), &keys->ids[first + i]))
			return -ENOKEY;
	}
	r = reservation_new(store, places, parts, bits, ret);
	if (r >= 0)
		*ret_parts = parts;
	return r;
}

static int add_directory(struct issuer_store *store, const struct store_directory *on_disk,
			 struct issuer_directory **ret)
{
	_cleanup_(issuer_directory_freep) struct issuer_directory *directory =
		calloc(1, sizeof(*directory));
	struct issuer_directory **larger;
	int r;

	if (!directory)
		return -ENOMEM;
	directory->store = store;
	directory->on_disk = *on_disk;
	directory->run_ahead_keys = store->issuer->run_ahead_keys;
	list_init(&directory->waiter.link);
	larger = reallocarray(store->directories, store->directory_count + 1, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	store->directories = larger;
	r = store_directory_first(store->issuer->keys, on_disk, &directory->scanned);
	if (r >= 0)
		r = store_add_directory(store->store, on_disk->store.key_bits, &directory->index);
	if (r < 0)
		return r;
	store_set_owner(store->store, directory->index, owner_of(directory));
	*ret = directory;
	store->directories[store->directory_count++] = TAKE_PTR(directory);
	return 0;
}

static struct issuer_directory *find_by_name(const struct issuer *issuer, const char *name)
{
	for (size_t i = 0; i < issuer->store_count; i++)
		for (size_t j = 0; j < issuer->stores[i]->directory_count; j++)
			if (str_equal(issuer->stores[i]->directories[j]->on_disk.name, name))
				return issuer->stores[i]->directories[j];
	return NULL;
}

/* Its keys may have been used: the record, which says so, was read before it could be. */
static bool came_too_late(struct issuer *issuer, const struct store_directory *on_disk)
{
	for (size_t i = 0; i < issuer->absent_count; i++) {
		struct absent_directory *absent = &issuer->absent[i];

		if (absent->generation != on_disk->store.generation ||
		    !uuid_equal(&absent->store, &on_disk->store.uuid))
			continue;
		if (!absent->told)
			log_event(LOG_ERR, EVENT_STORES_DIFFER,
				  &(struct log_fields){.peer = on_disk->store.peer,
						       .link = on_disk->store.link},
				  "key directory %s has come back after the start, its keys may "
				  "have been used: start qkd-keyringd again to use it",
				  on_disk->name);
		absent->told = true;
		return true;
	}
	return false;
}

static bool has_builder_among(const struct keyfile_store *store, const char *site, const char *peer)
{
	const char *builder = keyfile_store_builder(store);

	return !builder || str_equal(builder, site) || str_equal(builder, peer);
}

/* *ret is NULL for a directory that is not ours to issue from. */
int issuer_directory_open(struct issuer *issuer, const char *name, struct issuer_directory **ret)
{
	struct store_directory on_disk;
	struct issuer_store *store;
	int r;

	*ret = find_by_name(issuer, name);
	if (*ret)
		return 0;
	r = store_directory_read(issuer->keys, name, &on_disk);
	if (r < 0)
		return r;
	store = issuer_find_store(issuer, on_disk.store.peer);
	if (!store || on_disk.store.foreign_consumer || came_too_late(issuer, &on_disk) ||
	    !has_builder_among(&on_disk.store, issuer->site, store->peer_name))
		return 0;
	r = add_directory(store, &on_disk, ret);
	if (r >= 0 && !issuer->starting)
		issuer_retire_older(store);
	return r;
}

struct arrival {
	struct issuer_directory *directory;
	size_t added;
};

static enum store_key_state state_of_line(enum keyfile_line line)
{
	switch (line) {
	case KEYFILE_LINE_KEY:
		return STORE_KEY_AVAILABLE;
	case KEYFILE_LINE_ERASED:
		return STORE_KEY_ISSUED;
	case KEYFILE_LINE_DAMAGED:
		break;
	}
	return STORE_KEY_DESTROYED;
}

static uint32_t pack_tag(const struct issuer *issuer, const struct issuer_directory *directory)
{
	for (size_t i = 0; i < issuer->store_count; i++)
		if (issuer->stores[i] == directory->store)
			return (uint32_t)(i * STORE_MAX_DIRECTORIES + directory->index);
	return UINT32_MAX;
}

void issuer_directory_erase_later(const struct issuer_directory *directory, uint64_t sequence)
{
	struct issuer *issuer = directory->store->issuer;

	if (keyfile_erase_add(issuer->erase, pack_tag(issuer, directory), sequence) < 0)
		log_warning("no memory to note a key for erasure: it is erased at the next start");
	issuer_loop_chores(issuer);
}

static int on_line(uint64_t sequence, const struct uuid *id, enum keyfile_line line, void *userdata)
{
	struct arrival *arrival = userdata;
	struct issuer_store *store = arrival->directory->store;
	struct store_place place = {arrival->directory->index, sequence};
	int r = store_add_key(store->store, place, id, state_of_line(line));

	if (r == -EEXIST) {
		log_event(LOG_WARNING, EVENT_STORES_DIFFER,
			  &(struct log_fields){.peer = store->peer_name, .key_id = id},
			  "key id occurs twice; the second key, %s number %llu, is not used",
			  arrival->directory->on_disk.name, (unsigned long long)sequence);
		return 0;
	}
	if (r < 0)
		return r;
	arrival->added++;
	if (line == KEYFILE_LINE_ERASED && store_set_erased(store->store, place))
		issuer_directory_erase_later(arrival->directory, sequence); /* only to unlink it */
	return 0;
}

static void arrived(struct issuer_store *store)
{
	const struct issuer *issuer = store->issuer;

	store->want_refused = false;
	issuer_doom_settle(store);
	issuer_supply_run_ahead(store);
	issuer_serve_arrived(store);
	issuer_operation_wake(&store->seeking);
	issuer_supply_wake(store);
	issuer_store_changed(store);
	if (issuer->paths)
		issuer->paths->on_arrived(store->peer_name, issuer->paths_userdata);
}

int issuer_directory_scan(struct issuer_directory *directory)
{
	struct issuer_store *store = directory->store;
	struct arrival arrival = {.directory = directory};
	uint64_t next;
	int r;

	if (directory->scanned == UINT64_MAX)
		return 0;
	r = store_directory_scan(store->issuer->keys, &directory->on_disk, directory->scanned,
				 on_line, &arrival, &next);
	if (r < 0)
		return r;
	directory->scanned = next;
	if (arrival.added > 0 && !store->issuer->starting)
		arrived(store);
	return 0;
}

int issuer_directory_add(struct issuer_directory *directory, uint64_t first, const struct uuid *ids,
			 size_t count)
{
	struct arrival arrival = {.directory = directory};

	for (size_t i = 0; i < count; i++) {
		int r = on_line(first + i, &ids[i], KEYFILE_LINE_KEY, &arrival);

		if (r < 0)
			return r;
	}
	directory->scanned = first + count;
	arrived(directory->store);
	return 0;
}

/* Not a key directory, or not one yet. */
static bool is_none_of_ours(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -EBADMSG;
}

static int scan_entry(const char *name, void *userdata)
{
	struct issuer *issuer = userdata;
	struct issuer_directory *directory;
	int r;

	if (*name == '.')
		return 0;
	r = issuer_directory_open(issuer, name, &directory);
	if (r >= 0 && directory && directory->scanned == UINT64_MAX)
		r = store_directory_first(issuer->keys, &directory->on_disk, &directory->scanned);
	if (r >= 0 && directory)
		r = issuer_directory_scan(directory);
	if (r >= 0)
		return 0;
	/* What the issue record says of it would be lost, and its keys taken for available when
	 * it can be read later: so keyringd does not start without it. */
	if (r == -ENOMEM || (issuer->starting && !is_none_of_ours(r)))
		return r;
	log_warning("key directory %s is left alone: %s", name, strerror(-r));
	return 0;
}

int issuer_directory_scan_all(struct issuer *issuer)
{
	int r = issuer->keys->ops->list(issuer->keys, ".", scan_entry, issuer);

	return r == -ENOENT ? 0 : r;
}

/* linkd deposits keys of links only; NULL: it has none of these. */
static struct pool *pool_of(const struct issuer_directory *directory)
{
	return keyfile_store_builder(&directory->on_disk.store) ? NULL
								: directory->store->issuer->pool;
}

int issuer_directory_read_key(struct issuer_store *store, struct store_place place,
			      struct secret **ret)
{
	struct issuer_directory *directory = issuer_directory_of(store, place);
	const struct uuid *id = store_id(store->store, place);
	_cleanup_(secret_freep) struct secret *key = NULL;
	int r = -ENOKEY;

	if (pool_of(directory))
		r = pool_take(pool_of(directory), store->peer_name, id, &key);
	if (r >= 0 && key->size_bytes * 8 != directory->on_disk.store.key_bits) {
		key = secret_free(key);
		r = -ENOKEY;
	}
	if (r < 0)
		r = store_directory_read_key(store->issuer->keys, &directory->on_disk,
					     place.sequence, &key);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(key);
	return 0;
}

static struct issuer_directory *unpack_tag(const struct issuer *issuer, uint32_t tag)
{
	struct issuer_store *store = issuer->stores[tag / STORE_MAX_DIRECTORIES];

	return store->directories[tag % STORE_MAX_DIRECTORIES];
}

void issuer_directory_end_key(struct issuer_store *store, struct store_place place,
			      enum store_key_state state)
{
	struct issuer_directory *directory = issuer_directory_of(store, place);
	struct issuer *issuer = store->issuer;
	struct issue_key entry = {
		.key = {.store = directory->on_disk.store.uuid,
			.generation = directory->on_disk.store.generation,
			.sequence = place.sequence,
			.state = state == STORE_KEY_ISSUED ? ISSUE_KEY_ISSUED
							   : ISSUE_KEY_DESTROYED},
	};

	store_set_state(store->store, place, state);
	issuer_check_log(issuer, issue_log_key(issuer->log, &entry));
	issuer_directory_erase_later(directory, place.sequence);
	issuer_store_changed(store);
	issuer_loop_chores(issuer);
	issuer_loop_flush_soon(issuer);
}

static bool locate(uint32_t tag, const char **ret_directory, const struct keyfile_store **ret,
		   void *userdata)
{
	struct issuer_directory *directory = unpack_tag(userdata, tag);

	*ret_directory = directory->on_disk.name;
	*ret = &directory->on_disk.store;
	return true;
}

static bool erased(uint32_t tag, uint64_t sequence, void *userdata)
{
	struct issuer_directory *directory = unpack_tag(userdata, tag);
	struct store_place place = {directory->index, sequence};
	struct store *store = directory->store->store;
	const struct uuid *id = store_id(store, place);

	if (id && pool_of(directory))
		(void)pool_discard(pool_of(directory), directory->store->peer_name, id);
	if (!store_set_erased(store, place))
		return false;
	store_drop_file(store, directory->index, keyfile_number(sequence));
	return true;
}

int issuer_directory_erase(struct issuer *issuer)
{
	static const struct keyfile_erase_handler handler = {locate, erased};
	int r = keyfile_erase_flush(issuer->erase, &handler, issuer);

	if (r < 0)
		issuer_loop_chores(issuer);
	return r;
}
