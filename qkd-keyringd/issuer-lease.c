/* SPDX-License-Identifier: MIT */

/*
 * Leases: a site whose own half is used up asks the other for some of its keys, which belong to the
 * asking site from then on. The owner makes that durable before it tells which keys they are, and
 * tells until it is acknowledged; so no key has two owners, and none is lost to both.
 */

#include "qkd-keyringd/issuer-private.h"

/* At the owner: keys that are given away, and the other does not know it for certain. */
struct lease {
	struct list link;
	struct issuer_store *store;
	struct site_request request;
	struct issue_log_waiter waiter;
	struct issue_list entry;
};

static void granted(struct site_request *request, const struct site_message *answer)
{
	struct issuer_store *store = CONTAINER_OF(request, struct issuer_store, want);

	/* With 0 there is no more; else the keys come in a message of their own. */
	store->want_refused = answer->count == 0;
	store->lease_expected = answer->count > 0;
}

void issuer_lease_want(struct issuer_store *store, uint32_t bits)
{
	struct site_message message = {
		.type = SITE_WANT,
		.bits = bits,
		.count = ISSUER_LEASE_KEYS,
	};

	if (store->want_refused || store->lease_expected || site_request_is_pending(&store->want) ||
	    !site_peer_is_connected(store->peer) || issuer_supply_has(store, bits) ||
	    store_counts(store->store)->available_peer == 0)
		return;
	message.request = issuer_new_request(store->issuer);
	(void)site_peer_ask(store->peer, &store->want, &message, granted);
}

static void free_lease(struct lease *lease)
{
	list_remove(&lease->link);
	list_remove(&lease->waiter.link);
	site_request_cancel(lease->store->peer, &lease->request);
	free(lease);
}

static void acknowledged(struct site_request *request, const struct site_message *answer)
{
	struct lease *lease = CONTAINER_OF(request, struct lease, request);
	struct issuer *issuer = lease->store->issuer;

	issuer_check_log(issuer, issue_log_list_done(issuer->log, &lease->entry.request));
	issuer_loop_flush_soon(issuer);
	free_lease(lease);
}

static void send_lease(struct issue_log_waiter *waiter)
{
	struct lease *lease = CONTAINER_OF(waiter, struct lease, waiter);
	struct issue_list *entry = &lease->entry;
	struct site_message message = {
		.type = SITE_LEASE,
		.request = entry->request,
		.keys = {entry->store, entry->generation, entry->count, NULL, entry->sequences},
	};

	if (site_peer_ask(lease->store->peer, &lease->request, &message, acknowledged) < 0)
		log_warning("site %s is told of leased keys only after the next start",
			    lease->store->peer_name);
}

static struct lease *new_lease(struct issuer_store *store)
{
	struct lease *lease = calloc(1, sizeof(*lease));

	if (!lease)
		return NULL;
	lease->store = store;
	list_init(&lease->link);
	issue_log_waiter_init(&lease->waiter, send_lease);
	list_append(&store->leases, &lease->link);
	return lease;
}

/* Half of what we have, at least one, so that both sites can go on to the last key. */
static size_t share(const struct issuer_store *store, uint32_t wanted)
{
	uint64_t half = (store_counts(store->store)->available_own + 1) / 2;

	return (size_t)MIN(MIN(half, (uint64_t)wanted), (uint64_t)ISSUER_LEASE_KEYS);
}

static void give_away_of(struct issuer_directory *directory, size_t count, struct issue_list *entry)
{
	struct store *store = directory->store->store;
	struct store_place place;

	/* The list is a record of its own: the mark that runs ahead need not cover them. */
	while (entry->count < count &&
	       store_next_own(store, directory->index, UINT64_MAX, &place)) {
		store_lease(store, place);
		entry->sequences[entry->count++] = place.sequence;
	}
	entry->store = directory->on_disk.store.uuid;
	entry->generation = directory->on_disk.store.generation;
}

static void give_away(struct issuer_store *store, uint32_t bits, size_t count,
		      struct issue_list *entry)
{
	/* Those that need not be cut or joined first. */
	for (int exact = 1; exact >= 0; exact--)
		for (size_t i = 0; i < store->directory_count && entry->count == 0; i++)
			if ((store_key_bits(store->store, (uint32_t)i) == bits) == exact)
				give_away_of(store->directories[i], count, entry);
}

void issuer_lease_wanted(struct issuer_store *store, const struct site_message *message)
{
	struct issuer *issuer = store->issuer;
	struct site_message answer = {.type = SITE_GRANTED, .request = message->request};
	struct lease *lease = new_lease(store);

	if (lease) {
		lease->entry.kind = ISSUE_LIST_GRANTED;
		lease->entry.request = issuer_new_request(issuer);
		strcpy(lease->entry.peer, store->peer_name);
		give_away(store, message->bits, share(store, message->count), &lease->entry);
		answer.count = (uint32_t)lease->entry.count;
	}
	if (answer.count > 0) {
		issuer_check_log(issuer, issue_log_list(issuer->log, &lease->entry));
		issue_log_wait(issuer->log, &lease->waiter);
		issuer_supply_run_ahead(store);
		issuer_store_changed(store);
	} else if (lease) {
		free_lease(lease);
	}
	(void)site_peer_answer(store->peer, &answer);
}

/* What is not here cannot be taken: it stays unused at both sites. */
static void take_over(struct issuer_store *store, const struct uuid *uuid, uint32_t generation,
		      const uint64_t *sequences, size_t count)
{
	struct store_place place;
	bool gone;

	for (size_t i = 0; i < count; i++) {
		enum store_key_state state = issuer_directory_look_up(store, uuid, generation,
								      sequences[i], &place, &gone);

		if (state == STORE_KEY_AVAILABLE && !store_is_own(store->store, place))
			store_lease(store->store, place);
		else if (state == STORE_KEY_ISSUED || state == STORE_KEY_DESTROYED)
			issuer_tell_destroyed(store, place); /* its mark was lost there */
	}
}

static void taken(struct issue_log_waiter *waiter)
{
	issuer_supply_wake(CONTAINER_OF(waiter, struct issuer_store, taking));
}

void issuer_lease_init(struct issuer_store *store)
{
	issue_log_waiter_init(&store->taking, taken);
}

bool issuer_lease_is_fresh(const struct issuer_store *store, struct store_place place)
{
	return store_is_leased(store->store, place) && !list_is_empty(&store->taking.link);
}

/* A lease whose acknowledgement was lost is told again; by then some of its keys may belong to the
 * peer again, by a lease of ours. */
static bool was_taken(const struct issuer_store *store, const struct uuid *request)
{
	for (size_t i = 0; i < MIN(store->taken_count, (size_t)ISSUER_TAKEN_LEASES); i++)
		if (uuid_equal(&store->taken[i], request))
			return true;
	return false;
}

static void note_taken(struct issuer_store *store, const struct uuid *request)
{
	store->taken[store->taken_count++ % ISSUER_TAKEN_LEASES] = *request;
}

void issuer_lease_came(struct issuer_store *store, const struct site_message *message)
{
	struct issuer *issuer = store->issuer;
	const struct site_keys *keys = &message->keys;
	struct issue_list entry = {
		.kind = ISSUE_LIST_TAKEN,
		.done = true,
		.request = message->request,
		.store = keys->store,
		.generation = keys->generation,
		.count = keys->count,
	};

	store->lease_expected = false;
	if (!was_taken(store, &message->request)) {
		strcpy(entry.peer, store->peer_name);
		memcpy(entry.sequences, keys->sequences, keys->count * sizeof(*entry.sequences));
		take_over(store, &keys->store, keys->generation, keys->sequences, keys->count);
		note_taken(store, &message->request);
		issuer_check_log(issuer, issue_log_list(issuer->log, &entry));
		if (list_is_empty(&store->taking.link))
			issue_log_wait(issuer->log, &store->taking);
	}
	issuer_serve_done_synced(store, &message->request);
	issuer_store_changed(store);
}

static void give_again(struct issuer_store *store, const struct issue_list *list)
{
	struct issuer_directory *directory =
		issuer_directory_find(store, &list->store, list->generation);

	for (size_t i = 0; directory && i < list->count; i++) {
		struct store_place place = {directory->index, list->sequences[i]};

		if (store_state(store->store, place) != STORE_KEY_ABSENT &&
		    store_is_own(store->store, place))
			store_lease(store->store, place);
	}
}

static void take_again(struct issuer_store *store, const struct issue_list *list)
{
	struct issuer_directory *directory =
		issuer_directory_find(store, &list->store, list->generation);

	for (size_t i = 0; directory && i < list->count; i++) {
		struct store_place place = {directory->index, list->sequences[i]};

		if (store_state(store->store, place) != STORE_KEY_ABSENT &&
		    !store_is_own(store->store, place))
			store_lease(store->store, place);
	}
}

int issuer_lease_replay(struct issuer_store *store, const struct issue_list *list)
{
	struct lease *lease;

	if (list->kind == ISSUE_LIST_TAKEN) {
		take_again(store, list);
		note_taken(store, &list->request);
		return 0;
	}
	give_again(store, list);
	if (list->done)
		return 0;
	lease = new_lease(store);
	if (!lease)
		return -ENOMEM;
	memcpy(&lease->entry, list, sizeof(lease->entry));
	send_lease(&lease->waiter);
	return 0;
}

bool issuer_lease_replay_done(struct issuer_store *store, const struct uuid *request)
{
	LIST_FOREACH (link, &store->leases) {
		struct lease *lease = LIST_ENTRY(link, struct lease, link);

		if (uuid_equal(&lease->entry.request, request)) {
			free_lease(lease);
			return true;
		}
	}
	return false;
}

/* The turned owners of one directory, in lists of one kind. */
struct lease_snapshot {
	struct issuer_directory *directory;
	struct issue_log *log;
	struct issue_list entry;
};

static int write_list(struct lease_snapshot *snapshot)
{
	int r = 0;

	if (snapshot->entry.count > 0)
		r = issue_log_list(snapshot->log, &snapshot->entry);
	snapshot->entry.count = 0;
	return r;
}

static int snapshot_line(const struct store_line *line, void *userdata)
{
	struct lease_snapshot *snapshot = userdata;
	bool own = store_is_own(snapshot->directory->store->store, line->place);

	if (!line->leased || own != (snapshot->entry.kind == ISSUE_LIST_TAKEN))
		return 0;
	snapshot->entry.sequences[snapshot->entry.count++] = line->place.sequence;
	return snapshot->entry.count == ISSUE_ENTRY_MAX_KEYS ? write_list(snapshot) : 0;
}

static int snapshot_directory(struct issuer_directory *directory, enum issue_list_kind kind,
			      struct issue_log *log)
{
	struct lease_snapshot snapshot = {
		.directory = directory,
		.log = log,
		.entry = {.kind = kind,
			  .done = true,
			  .store = directory->on_disk.store.uuid,
			  .generation = directory->on_disk.store.generation},
	};
	int r;

	strcpy(snapshot.entry.peer, directory->store->peer_name);
	r = store_foreach(directory->store->store, directory->index, snapshot_line, &snapshot);
	return r < 0 ? r : write_list(&snapshot);
}

/* So that they are recognised after the next start, too. */
static int snapshot_taken(struct issuer_store *store, struct issue_log *log)
{
	struct issue_list entry = {.kind = ISSUE_LIST_TAKEN, .done = true};
	int r = 0;

	strcpy(entry.peer, store->peer_name);
	for (size_t i = 0; r >= 0 && i < MIN(store->taken_count, (size_t)ISSUER_TAKEN_LEASES);
	     i++) {
		entry.request = store->taken[i];
		r = issue_log_list(log, &entry);
	}
	return r;
}

int issuer_lease_snapshot(struct issuer_store *store, struct issue_log *log)
{
	int r = snapshot_taken(store, log);

	for (size_t i = 0; r >= 0 && i < store->directory_count; i++)
		r = snapshot_directory(store->directories[i], ISSUE_LIST_GRANTED, log);
	for (size_t i = 0; r >= 0 && i < store->directory_count; i++)
		r = snapshot_directory(store->directories[i], ISSUE_LIST_TAKEN, log);
	LIST_FOREACH (link, &store->leases) {
		if (r >= 0)
			r = issue_log_list(log, &LIST_ENTRY(link, struct lease, link)->entry);
	}
	return r;
}

void issuer_lease_free_all(struct issuer_store *store)
{
	while (!list_is_empty(&store->leases))
		free_lease(LIST_ENTRY(store->leases.next, struct lease, link));
}
