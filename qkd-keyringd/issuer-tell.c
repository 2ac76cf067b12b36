/* SPDX-License-Identifier: MIT */

/*
 * What is destroyed here without having been issued (expired, burnt, refused, destroyed by its
 * owner) is of no use to the peer either. It is told in lists, which are kept in the issue record
 * until the peer has acknowledged them.
 */

#include "qkd-keyringd/issuer-private.h"

#define TELL_LIST_KEYS 256

struct told_list {
	struct list link;
	struct issuer_store *store;
	struct site_request request;
	struct issue_list *entry;
};

static void free_told(struct told_list *told)
{
	list_remove(&told->link);
	site_request_cancel(told->store->peer, &told->request);
	free(told->entry);
	free(told);
}

static void acknowledged(struct site_request *request, const struct site_message *answer)
{
	struct told_list *told = CONTAINER_OF(request, struct told_list, request);
	struct issuer *issuer = told->store->issuer;

	issuer_check_log(issuer, issue_log_list_done(issuer->log, &told->entry->request));
	issuer_loop_flush_soon(issuer);
	free_told(told);
	issuer_loop_chores(issuer); /* a generation may be over now */
}

static int ask(struct told_list *told)
{
	struct issue_list *entry = told->entry;
	struct site_message message = {
		.type = SITE_DESTROYED,
		.request = entry->request,
		.keys = {entry->store, entry->generation, entry->count, NULL, entry->sequences},
	};

	return site_peer_ask(told->store->peer, &told->request, &message, acknowledged);
}

static int add_told(struct issuer_store *store, const struct issue_list *entry)
{
	size_t size_bytes =
		offsetof(struct issue_list, sequences) + entry->count * sizeof(*entry->sequences);
	struct told_list *told = calloc(1, sizeof(*told));
	struct issue_list *copy = malloc(size_bytes); /* as much of it as there is */

	if (!told || !copy) {
		free(told);
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, entry, size_bytes);
	told->store = store;
	told->entry = copy;
	list_init(&told->link);
	list_append(&store->told, &told->link);
	return ask(told);
}

static void tell(struct issuer_directory *directory, size_t first, size_t count)
{
	struct issuer_store *store = directory->store;
	struct issuer *issuer = store->issuer;
	struct issue_list entry = {
		.kind = ISSUE_LIST_TELL,
		.request = issuer_new_request(issuer),
		.store = directory->on_disk.store.uuid,
		.generation = directory->on_disk.store.generation,
		.count = count,
	};

	strcpy(entry.peer, store->peer_name);
	memcpy(entry.sequences, directory->destroyed + first, count * sizeof(*entry.sequences));
	issuer_check_log(issuer, issue_log_list(issuer->log, &entry));
	if (add_told(store, &entry) < 0)
		log_warning("site %s is told of destroyed keys only after the next start",
			    store->peer_name);
	issuer_loop_flush_soon(issuer);
}

void issuer_tell_destroyed(struct issuer_store *store, struct store_place place)
{
	struct issuer_directory *directory = issuer_directory_of(store, place);
	size_t count = directory->destroyed_count;

	if (count % TELL_LIST_KEYS == 0) {
		uint64_t *larger =
			reallocarray(directory->destroyed, count + TELL_LIST_KEYS, sizeof(*larger));

		if (!larger)
			return; /* the peer's own time limit does the same, later */
		directory->destroyed = larger;
	}
	directory->destroyed[directory->destroyed_count++] = place.sequence;
	issuer_loop_chores(store->issuer);
}

void issuer_tell_flush(struct issuer_store *store)
{
	for (size_t i = 0; i < store->directory_count; i++) {
		struct issuer_directory *directory = store->directories[i];
		size_t first = 0;

		for (; first < directory->destroyed_count; first += TELL_LIST_KEYS)
			tell(directory, first,
			     MIN(directory->destroyed_count - first, (size_t)TELL_LIST_KEYS));
		directory->destroyed_count = 0;
		free(directory->destroyed);
		directory->destroyed = NULL;
	}
}

int issuer_tell_replay(struct issuer_store *store, const struct issue_list *list)
{
	return list->done ? 0 : add_told(store, list);
}

bool issuer_tell_replay_done(struct issuer_store *store, const struct uuid *request)
{
	LIST_FOREACH (link, &store->told) {
		struct told_list *told = LIST_ENTRY(link, struct told_list, link);

		if (uuid_equal(&told->entry->request, request)) {
			free_told(told);
			return true;
		}
	}
	return false;
}

int issuer_tell_snapshot(struct issuer_store *store, struct issue_log *log)
{
	int r = 0;

	LIST_FOREACH (link, &store->told) {
		if (r >= 0)
			r = issue_log_list(log, LIST_ENTRY(link, struct told_list, link)->entry);
	}
	return r;
}

void issuer_tell_obey(struct issuer_store *store, struct store_place place)
{
	struct reservation *reservation = reservation_at(store, place);

	if (reservation && reservation->label)
		issuer_label_guest_forgotten(reservation->label);
	reservation = reservation_at(store, place);
	if (reservation && (reservation->label || reservation_is_busy(reservation)))
		return;
	/* The peer may have joined the parts in another way, before it was killed and forgot. */
	if (reservation && reservation->part_count > 0)
		reservation_destroy(reservation);
	else if (reservation)
		reservation_end(reservation, STORE_KEY_DESTROYED);
	else if (store_state(store->store, place) == STORE_KEY_AVAILABLE &&
		 !store_is_own(store->store, place))
		issuer_directory_end_key(store, place, STORE_KEY_DESTROYED);
}

void issuer_tell_heard(struct issuer_store *store, const struct site_message *message)
{
	const struct site_keys *keys = &message->keys;
	struct store_place place;
	bool gone;

	for (size_t i = 0; i < keys->count; i++)
		if (issuer_directory_look_up(store, &keys->store, keys->generation,
					     keys->sequences[i], &place, &gone) != STORE_KEY_ABSENT)
			issuer_tell_obey(store, place);
	if (issuer_doom_absent(store, keys) >= 0)
		issuer_serve_done_synced(store, &message->request);
}

void issuer_tell_free_all(struct issuer_store *store)
{
	while (!list_is_empty(&store->told))
		free_told(LIST_ENTRY(store->told.next, struct told_list, link));
}
