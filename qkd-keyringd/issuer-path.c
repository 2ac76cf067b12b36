/* SPDX-License-Identifier: MIT */

/*
 * Directories of end-to-end keys. The end that builds keys alone gives them their numbers, in a
 * directory of its own, and owns them; so the two ends agree on where a key is without negotiation.
 * When they do not have the same keys there (a power cut, a kill in between), the builder begins a
 * new generation, which ends what is left of the one before at both ends (issuer-retire.c).
 *
 * A line is on disk before any record that names it is, see issuer_path_sync(); and a key leaves
 * the daemon where it was built only when it is on the other end's disk.
 */

#include "qkd-keyringd/issuer-path.h"

#include "qkd-keyringd/issuer-private.h"
#include "qkd-keyringd/path-keyfile.h"

void issuer_set_paths(struct issuer *issuer, const struct issuer_paths *paths, void *userdata)
{
	issuer->paths = paths;
	issuer->paths_userdata = userdata;
}

static bool is_built_by(const struct issuer_directory *directory, const char *site)
{
	const char *builder = keyfile_store_builder(&directory->on_disk.store);

	return builder && str_equal(builder, site);
}

/* The newest generation of what a site has built. */
static struct issuer_directory *find_built(struct issuer_store *store, const char *builder)
{
	struct issuer_directory *newest = NULL;

	for (size_t i = 0; i < store->directory_count; i++) {
		struct issuer_directory *directory = store->directories[i];

		if (is_built_by(directory, builder) &&
		    (!newest ||
		     directory->on_disk.store.generation > newest->on_disk.store.generation))
			newest = directory;
	}
	return newest;
}

static uint64_t next_of(const struct issuer_directory *directory)
{
	return directory->scanned == UINT64_MAX ? 0 : directory->scanned;
}

static int make(struct issuer_store *store, const struct keyfile_store *on_disk,
		struct issuer_directory **ret)
{
	struct issuer *issuer = store->issuer;
	char name[KEYFILE_NAME_MAX];
	int r = path_keyfile_name(on_disk, name);

	if (r >= 0)
		r = path_keyfile_make(issuer->keys, name, on_disk);
	if (r >= 0)
		r = issuer_directory_open(issuer, name, ret);
	if (r >= 0 && !*ret)
		r = -EEXIST;
	if (r < 0)
		return r;
	(*ret)->scanned = 0;
	issuer_supply_run_ahead(store);
	return 0;
}

/* Numbered by the clock, so that one whose builder has lost its disk is newer all the same. */
static int new_generation(struct issuer_store *store, const struct issuer_directory *old,
			  uint32_t bits, struct issuer_directory **ret)
{
	uint32_t clock_sec = (uint32_t)(issuer_clock(store->issuer) / USEC_PER_SEC);
	struct keyfile_store on_disk = {.key_bits = bits, .generation = clock_sec};
	int r = uuid_new_random(&on_disk.uuid);

	if (r < 0)
		return r;
	if (old)
		on_disk.generation = MAX(clock_sec, old->on_disk.store.generation + 1);
	snprintf(on_disk.link, sizeof(on_disk.link), "%c%s", KEYFILE_PATH_MARK,
		 store->issuer->site);
	strcpy(on_disk.peer, store->peer_name);
	return make(store, &on_disk, ret);
}

/* After a power cut the last lines may be missing here, and not there; a directory whose files are
 * all used up does not tell where it ended. */
static bool can_go_on(const struct issuer_directory *directory, uint32_t bits)
{
	return !directory->stale && !directory->retired &&
	       directory->on_disk.store.key_bits == bits &&
	       (directory->writer || (directory->scanned != UINT64_MAX &&
				      issue_log_is_complete(directory->store->issuer->log)));
}

static struct issuer_path_place place_of(const struct issuer_directory *directory)
{
	return (struct issuer_path_place){
		.store = directory->on_disk.store.uuid,
		.generation = directory->on_disk.store.generation,
		.bits = directory->on_disk.store.key_bits,
		.first = next_of(directory),
	};
}

bool issuer_path_current(struct issuer *issuer, const char *peer, struct issuer_path_place *ret)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct issuer_directory *directory = store ? find_built(store, issuer->site) : NULL;

	if (!directory || !can_go_on(directory, directory->on_disk.store.key_bits))
		return false;
	*ret = place_of(directory);
	return true;
}

int issuer_path_next(struct issuer *issuer, const char *peer, uint32_t bits,
		     struct issuer_path_place *ret)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct issuer_directory *directory;
	int r = 0;

	if (!store)
		return -ENOKEY;
	directory = find_built(store, issuer->site);
	if (!directory || !can_go_on(directory, bits))
		r = new_generation(store, directory, bits, &directory);
	if (r >= 0 && !directory->writer)
		r = path_keyfile_new(issuer->keys, directory->on_disk.name,
				     &directory->on_disk.store, &directory->writer);
	if (r < 0)
		return r;
	*ret = place_of(directory);
	return 0;
}

/* What the peer builds: a generation that is not here yet is made. */
static int open_of_peer(struct issuer_store *store, const struct issuer_path_place *place,
			struct issuer_directory **ret)
{
	struct issuer_directory *newest = find_built(store, store->peer_name);
	struct keyfile_store on_disk = {
		.uuid = place->store,
		.generation = place->generation,
		.key_bits = place->bits,
	};

	if (newest && uuid_equal(&newest->on_disk.store.uuid, &place->store) &&
	    newest->on_disk.store.generation == place->generation) {
		*ret = newest;
		return newest->on_disk.store.key_bits == place->bits ? 0 : -ESTALE;
	}
	if (place->first != 0 || (newest && newest->on_disk.store.generation >= place->generation))
		return -ESTALE;
	snprintf(on_disk.link, sizeof(on_disk.link), "%c%s", KEYFILE_PATH_MARK, store->peer_name);
	strcpy(on_disk.peer, store->peer_name);
	return make(store, &on_disk, ret);
}

static int find_place(struct issuer_store *store, const struct issuer_path_place *place,
		      bool built_here, struct issuer_directory **ret)
{
	struct issuer_directory *directory;
	int r = 0;

	if (built_here)
		directory = issuer_directory_find(store, &place->store, place->generation);
	else
		r = open_of_peer(store, place, &directory);
	if (r < 0)
		return r;
	if (!directory || directory->retired || next_of(directory) != place->first)
		return -ESTALE;
	*ret = directory;
	return 0;
}

int issuer_path_append(struct issuer *issuer, const char *peer,
		       const struct issuer_path_place *place, bool built_here,
		       const struct uuid *ids, const struct secret *bytes, size_t count)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct issuer_directory *directory;
	int r = store ? find_place(store, place, built_here, &directory) : -ENOKEY;

	if (r >= 0 && !directory->writer)
		r = path_keyfile_new(issuer->keys, directory->on_disk.name,
				     &directory->on_disk.store, &directory->writer);
	if (r < 0 || count == 0)
		return r;
	r = path_keyfile_append(directory->writer, place->first, ids, bytes->bytes, count);
	if (r < 0)
		return r;
	return issuer_directory_add(directory, place->first, ids, count);
}

bool issuer_path_has(struct issuer *issuer, const char *peer, const struct issuer_path_place *place,
		     const struct uuid *ids, size_t count)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct issuer_directory *directory =
		store ? issuer_directory_find(store, &place->store, place->generation) : NULL;

	if (!directory || count == 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct uuid *id = store_id(
			store->store, (struct store_place){directory->index, place->first + i});

		if (!id || !uuid_equal(id, &ids[i]))
			return false;
	}
	return true;
}

static void step_claimant(struct id_node *node, void *userdata)
{
	struct reservation *reservation = CONTAINER_OF(node, struct reservation, node);
	struct issuer_directory *directory = userdata;

	if (reservation->claimant && reservation->durable &&
	    issuer_directory_of(reservation->store, reservation->place) == directory)
		reservation->claimant->step(reservation->claimant);
}

bool issuer_path_is_settled(const struct issuer_store *store, struct store_place place)
{
	const struct issuer_directory *directory = issuer_directory_of(store, place);
	const struct issuer *issuer = store->issuer;

	if (!is_built_by(directory, issuer->site) || place.sequence < directory->settled)
		return true;
	if (issuer->paths)
		issuer->paths->on_unsettled(store->peer_name, issuer->paths_userdata);
	return false;
}

void issuer_path_settled(struct issuer *issuer, const char *peer,
			 const struct issuer_path_place *place, size_t count)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct issuer_directory *directory =
		store ? issuer_directory_find(store, &place->store, place->generation) : NULL;

	if (!directory)
		return;
	directory->settled = MAX(directory->settled, place->first + count);
	id_table_foreach(&store->reservations, step_claimant, directory);
}

void issuer_path_stale(struct issuer *issuer, const char *peer,
		       const struct issuer_path_place *place)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct issuer_directory *directory =
		store ? issuer_directory_find(store, &place->store, place->generation) : NULL;

	if (!directory || directory->stale)
		return;
	directory->stale = true;
	issuer_retire(directory);
}

static int sync_all(struct issuer_store *store)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < store->directory_count; i++)
		if (store->directories[i]->writer)
			r = path_keyfile_sync(store->directories[i]->writer);
	return r;
}

int issuer_path_sync(struct issuer *issuer)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < issuer->store_count; i++)
		r = sync_all(issuer->stores[i]);
	return r;
}

void issuer_path_on_disk(struct issuer *issuer, struct issue_log_waiter *waiter)
{
	issue_log_wait(issuer->log, waiter);
	issuer_loop_flush_soon(issuer);
}

void issuer_path_sync_soon(struct issuer *issuer)
{
	if (issuer->lines_due_usec == 0)
		issuer->lines_due_usec = issuer_now(issuer) + ISSUER_LINES_USEC;
	issuer_loop_flush_soon(issuer);
}

void issuer_path_synced(struct issuer *issuer)
{
	issuer->lines_due_usec = 0;
	if (issuer->paths)
		issuer->paths->on_synced(issuer->paths_userdata);
}

size_t issuer_path_waiting(struct issuer *issuer, const char *peer)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	const struct issuer_directory *directory = store ? find_built(store, issuer->site) : NULL;
	size_t count = 0;

	if (!store)
		return 0;
	LIST_FOREACH (link, &store->supply) {
		const struct supply_waiter *waiter = LIST_ENTRY(link, struct supply_waiter, link);
		size_t keys = MIN(MAX(waiter->count, (size_t)1), (size_t)ISSUER_PATH_BATCH);

		count += keys * (directory ? issuer_supply_parts(waiter->bits,
								 directory->on_disk.store.key_bits)
					   : 1);
	}
	return count;
}

uint64_t issuer_path_available(struct issuer *issuer, const char *peer)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);

	return store ? store_counts(store->store)->available_own : 0;
}

int issuer_path_ask(struct issuer *issuer, const char *peer, struct site_request *request,
		    json_t *body, size_t size_bytes,
		    void (*answered)(struct site_request *request,
				     const struct site_message *answer))
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct site_message message = {
		.type = SITE_PATH,
		.request = issuer_new_request(issuer),
		.body = body,
		.body_bytes = size_bytes,
	};

	return store ? site_peer_ask(store->peer, request, &message, answered) : -ENOKEY;
}

void issuer_path_cancel(struct issuer *issuer, const char *peer, struct site_request *request)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);

	if (store)
		site_request_cancel(store->peer, request);
}

static int answer(struct issuer_store *store, const struct site_message *message, bool hurry)
{
	if (!message->body)
		return -ENOMEM;
	if (hurry)
		return site_peer_answer(store->peer, message);
	store->issuer->has_unhurried = true;
	issuer_loop_flush_soon(store->issuer);
	return site_peer_answer_unhurried(store->peer, message);
}

void issuer_path_answer(struct issuer *issuer, const char *peer, const struct uuid *request,
			json_t *body, bool hurry)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct site_message message = {.type = SITE_PATH_ANSWER, .request = *request, .body = body};

	if (store && answer(store, &message, hurry) < 0)
		site_peer_lost(store->peer, "out of memory");
	json_decref(body);
}

bool issuer_path_is_connected(struct issuer *issuer, const char *peer)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);

	return store && site_peer_is_connected(store->peer);
}

struct uuid issuer_path_new_id(struct issuer *issuer)
{
	return issuer_new_request(issuer);
}

uint64_t issuer_path_now(const struct issuer *issuer)
{
	return issuer_now(issuer);
}
