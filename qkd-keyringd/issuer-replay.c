/* SPDX-License-Identifier: MIT */

/*
 * From the issue record to the stores at start, and back when the record is compacted.
 *
 * After a power cut the last records may be missing. Then a key of our half below the mark that
 * runs ahead and without a record may have been handed out: it is burnt. Nothing beyond the mark
 * was chosen. After kill -9 no record is missing, because each is with the kernel before anything
 * is answered.
 */

#include "qkd-keyringd/issuer-private.h"

static int note_absent(struct issuer *issuer, const struct uuid *uuid, uint32_t generation)
{
	struct absent_directory *larger;

	issuer->foreign_entries = true;
	for (size_t i = 0; i < issuer->absent_count; i++)
		if (issuer->absent[i].generation == generation &&
		    uuid_equal(&issuer->absent[i].store, uuid))
			return 0;
	larger = reallocarray(issuer->absent, issuer->absent_count + 1, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	issuer->absent = larger;
	larger[issuer->absent_count++] = (struct absent_directory){*uuid, generation, false};
	return 0;
}

/* *ret is NULL for one that is not here. */
static int find_directory(struct issuer *issuer, const struct uuid *uuid, uint32_t generation,
			  struct issuer_directory **ret)
{
	struct issuer_directory *directory = NULL;

	for (size_t i = 0; !directory && i < issuer->store_count; i++)
		directory = issuer_directory_find(issuer->stores[i], uuid, generation);
	*ret = directory;
	return directory ? 0 : note_absent(issuer, uuid, generation);
}

static int on_ahead(const struct issue_record_ahead *ahead, void *userdata)
{
	struct issuer_directory *directory;
	int r = find_directory(userdata, &ahead->store, ahead->generation, &directory);

	if (directory && ahead->parity == store_own_parity(directory->store->store))
		directory->ahead = directory->ahead_asked = MAX(directory->ahead, ahead->below);
	return r;
}

static int on_retire(const struct issue_record_retire *retire, void *userdata)
{
	struct issuer_directory *directory;
	int r = find_directory(userdata, &retire->store, retire->generation, &directory);

	if (directory)
		directory->retired = true;
	return r;
}

/* Its label's entry comes right after it in the record, or has come before. */
static int replay_label_of(struct reservation *reservation, const struct issue_key *key)
{
	struct issuer_store *store = reservation->store;
	struct label *label = label_find(&store->labels, key->label);
	int r;

	if (!*key->label)
		return 0;
	if (!label) {
		r = label_add(&store->labels, store, key->label, &label);
		if (r < 0)
			return r;
	}
	if (label->reservation && label->reservation != reservation)
		label->reservation->label = NULL;
	label->state = LABEL_ASSIGNED;
	label->generation = key->label_generation;
	label->reservation = reservation;
	reservation->label = label;
	return 0;
}

/* All of it may still be reserved: its parts have come before it in the record, and nothing of it
 * was erased, which proves that a later entry ended it. */
static bool is_intact(struct issuer_store *store, const struct store_place *places, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum store_key_state state = store_state(store->store, places[i]);

		if ((state != STORE_KEY_AVAILABLE && state != STORE_KEY_RESERVED) ||
		    reservation_at(store, places[i]))
			return false;
	}
	return true;
}

/* What is left of one that is over. */
static void end_rest(struct issuer_store *store, const struct store_place *places, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (store_state(store->store, places[i]) == STORE_KEY_AVAILABLE ||
		    store_state(store->store, places[i]) == STORE_KEY_RESERVED)
			store_set_state(store->store, places[i], STORE_KEY_DESTROYED);
}

/* *ret is NULL when it is over. */
static int make_reservation(struct issuer_store *store, struct store_place place,
			    const struct issue_key *key, struct reservation **ret)
{
	struct store_place places[SITE_MAX_PARTS] = {place};
	size_t count = 1 + key->part_count;

	for (size_t i = 0; i < key->part_count; i++)
		places[1 + i] = (struct store_place){place.directory, key->parts[i]};
	if (is_intact(store, places, count))
		return reservation_new(store, places, count, key->bits, ret);
	if (key->bits == 0)
		store_set_plain(store->store, place);
	else
		end_rest(store, places, count);
	*ret = NULL;
	return 0;
}

static int replay_reservation(struct issuer_directory *directory, struct store_place place,
			      const struct issue_key *key)
{
	struct issuer_store *store = directory->store;
	struct reservation *reservation = reservation_find(store, store_id(store->store, place));
	bool delivering = key->key.state == ISSUE_KEY_DELIVERING;
	int r = 0;

	if (!reservation)
		r = make_reservation(store, place, key, &reservation);
	if (r < 0 || !reservation)
		return r;
	r = reservation_set_owner(reservation, key->owner);
	if (r < 0)
		return r;
	reservation->state = delivering ? STORE_KEY_DELIVERING : STORE_KEY_RESERVED;
	/* Whether the bytes left is not known: so they have. */
	reservation->durable = reservation->handed_out = delivering;
	reservation->recorded = true;
	reservation->by_peer = key->by_peer;
	reservation->request = key->request;
	reservation->expires_usec = key->expires_usec;
	reservation_set_states(reservation, reservation->state);
	return replay_label_of(reservation, key);
}

/* Behind it comes the key that it is part of; else the record was cut off, and settle() ends it. */
static int replay_part(struct issuer_store *store, struct store_place place)
{
	if (store_state(store->store, place) == STORE_KEY_AVAILABLE)
		store_set_state(store->store, place, STORE_KEY_RESERVED);
	return 0;
}

static void replay_end(struct issuer_store *store, struct store_place place,
		       const struct issue_key *key)
{
	struct reservation *reservation = reservation_at(store, place);
	enum store_key_state state = STORE_KEY_DESTROYED;

	if (key->key.state == ISSUE_KEY_ISSUED)
		state = STORE_KEY_ISSUED;
	else if (key->key.state == ISSUE_KEY_RELEASED)
		state = STORE_KEY_AVAILABLE;
	store_set_state(store->store, place, state);
	if (!reservation)
		return;
	reservation_set_states(reservation, state);
	if (reservation->label)
		reservation->label->reservation = NULL;
	reservation_free(reservation);
}

static int on_key(const struct issue_key *key, void *userdata)
{
	struct issuer_directory *directory;
	struct store_place place = {.sequence = key->key.sequence};
	enum store_key_state state;
	int r = find_directory(userdata, &key->key.store, key->key.generation, &directory);

	if (!directory)
		return r;
	place.directory = directory->index;
	state = store_state(directory->store->store, place);
	if (state == STORE_KEY_ABSENT)
		return 0; /* its file is gone: it was erased with all others there */
	if (key->is_part)
		return replay_part(directory->store, place);
	if (key->key.state == ISSUE_KEY_RESERVED || key->key.state == ISSUE_KEY_DELIVERING)
		return replay_reservation(directory, place, key);
	replay_end(directory->store, place, key);
	return 0;
}

static int on_label(const struct issue_label *entry, void *userdata)
{
	struct issuer_store *store = issuer_find_store(userdata, entry->peer);
	struct label *label = store ? label_find(&store->labels, entry->label) : NULL;
	int r;

	if (!store) {
		((struct issuer *)userdata)->foreign_entries = true;
		return 0;
	}
	store->last_label_generation = MAX(store->last_label_generation, entry->generation);
	if (entry->ended) {
		if (!label || label->generation != entry->generation)
			return 0;
		if (label->reservation)
			label->reservation->label = NULL;
		label_remove(&store->labels, label);
		return 0;
	}
	if (!label) {
		r = label_add(&store->labels, store, entry->label, &label);
		if (r < 0)
			return r;
	}
	label->state = LABEL_ASSIGNED;
	label->durable = true;
	label->generation = entry->generation;
	label->expires_usec = entry->expires_usec;
	label->bits = entry->bits;
	label->id = entry->id;
	label->served = entry->served;
	return 0;
}

static int on_list(const struct issue_list *list, void *userdata)
{
	struct issuer_store *store = issuer_find_store(userdata, list->peer);

	if (!store) {
		((struct issuer *)userdata)->foreign_entries = true;
		return 0;
	}
	if (list->kind == ISSUE_LIST_TELL)
		return issuer_tell_replay(store, list);
	if (list->kind == ISSUE_LIST_DOOMED)
		return issuer_doom_replay(store, list);
	return issuer_lease_replay(store, list);
}

static int on_list_done(const struct uuid *request, void *userdata)
{
	struct issuer *issuer = userdata;

	for (size_t i = 0; i < issuer->store_count; i++)
		if (issuer_tell_replay_done(issuer->stores[i], request) ||
		    issuer_lease_replay_done(issuer->stores[i], request))
			break;
	return 0;
}

static int on_peer(const struct issue_peer *peer, void *userdata)
{
	struct issuer_store *store = issuer_find_store(userdata, peer->peer);

	if (!store)
		return 0;
	store->peer_log = peer->log;
	store->peer_position = store->peer_position_noted = peer->position;
	return 0;
}

struct settling {
	struct issuer_directory *directory;
	bool complete;
	struct store_place burn[ISSUE_ENTRY_MAX_KEYS]; /* a block at a time */
	size_t burn_count;
};

static void burn(struct settling *settling)
{
	struct issuer_store *store = settling->directory->store;

	for (size_t i = 0; i < settling->burn_count; i++) {
		issuer_tell_destroyed(store, settling->burn[i]);
		issuer_directory_end_key(store, settling->burn[i], STORE_KEY_DESTROYED);
		store->lost_ahead++;
	}
	settling->burn_count = 0;
}

static bool may_have_been_chosen(const struct settling *settling, const struct store_line *line)
{
	const struct issuer_directory *directory = settling->directory;

	return !settling->complete && line->state == STORE_KEY_AVAILABLE &&
	       store_is_own(directory->store->store, line->place) &&
	       (line->leased || line->place.sequence < directory->ahead);
}

/* Burns what may have been chosen, and erases what a crash has left to erase. */
static int settle_line(const struct store_line *line, void *userdata)
{
	struct settling *settling = userdata;
	struct issuer_directory *directory = settling->directory;
	struct issuer_store *store = directory->store;
	bool used = line->state == STORE_KEY_ISSUED || line->state == STORE_KEY_DESTROYED;
	bool orphan = line->state == STORE_KEY_RESERVED && !reservation_at(store, line->place);

	if (used && !line->erased)
		issuer_directory_erase_later(directory, line->place.sequence);
	/* The list that tells of it may have been cut off behind its own entry. */
	if (!settling->complete && line->state == STORE_KEY_DESTROYED)
		issuer_tell_destroyed(store, line->place);
	if (!orphan && !may_have_been_chosen(settling, line))
		return 0;
	settling->burn[settling->burn_count++] = line->place;
	if (settling->burn_count == ELEMENTSOF(settling->burn))
		burn(settling);
	return 0;
}

static int settle(struct issuer_store *store, bool complete)
{
	for (size_t i = 0; i < store->directory_count; i++) {
		struct settling settling = {.directory = store->directories[i],
					    .complete = complete};
		int r = store_foreach(store->store, (uint32_t)i, settle_line, &settling);

		if (r < 0)
			return r;
		burn(&settling);
	}
	return 0;
}

/* A label without a key was served, whatever its entry could say before the crash. */
static void settle_label(struct label *label, void *userdata)
{
	if (!label->reservation)
		label->served = true;
	if (label->expires_usec == 0)
		label->expires_usec = label->reservation ? label->reservation->expires_usec : 0;
}

int issuer_replay(struct issuer *issuer)
{
	static const struct issue_log_handler handler = {
		.on_ahead = on_ahead,
		.on_key = on_key,
		.on_retire = on_retire,
		.on_label = on_label,
		.on_list = on_list,
		.on_list_done = on_list_done,
		.on_peer = on_peer,
	};
	int r = issue_log_open(issuer->state, &issuer->boot, &handler, issuer, &issuer->log);

	for (size_t i = 0; r >= 0 && i < issuer->store_count; i++) {
		label_foreach(&issuer->stores[i]->labels, settle_label, NULL);
		issuer_retire_older(issuer->stores[i]);
		issuer_doom_settle(issuer->stores[i]);
		r = settle(issuer->stores[i], issue_log_is_complete(issuer->log));
	}
	/* Before anything is chosen: or a kill now would make available again what is burnt. */
	if (r >= 0)
		r = issue_log_settled(issuer->log);
	for (size_t i = 0; r >= 0 && i < issuer->store_count; i++)
		issuer_supply_run_ahead(issuer->stores[i]);
	if (r >= 0)
		issuer_loop_expiry(issuer, 1); /* looks at all, and finds the first to come */
	return r;
}

struct snapshot {
	struct issuer *issuer;
	struct issuer_directory *directory;
	struct issue_log *log;
	int result;
};

static int snapshot_line(const struct store_line *line, void *userdata)
{
	struct snapshot *snapshot = userdata;
	struct issuer_directory *directory = snapshot->directory;
	struct issue_key entry = {
		.key = {.store = directory->on_disk.store.uuid,
			.generation = directory->on_disk.store.generation,
			.sequence = line->place.sequence},
	};

	if (line->erased)
		return 0;
	if (line->state == STORE_KEY_ISSUED)
		entry.key.state = ISSUE_KEY_ISSUED;
	else if (line->state == STORE_KEY_DESTROYED)
		entry.key.state = ISSUE_KEY_DESTROYED;
	else
		return 0;
	return issue_log_key(snapshot->log, &entry);
}

static void snapshot_reservation(struct id_node *node, void *userdata)
{
	struct reservation *reservation = CONTAINER_OF(node, struct reservation, node);
	struct snapshot *snapshot = userdata;

	if (snapshot->result < 0 || reservation->marking)
		return;
	snapshot->result = reservation_log(reservation, true, snapshot->log);
}

static void snapshot_label(struct label *label, void *userdata)
{
	struct snapshot *snapshot = userdata;
	struct issue_label entry;

	if (snapshot->result < 0 || label->state == LABEL_NEW)
		return;
	issuer_label_entry(label, false, &entry);
	snapshot->result = issue_log_label(snapshot->log, &entry);
}

static int snapshot_directory(struct snapshot *snapshot)
{
	struct issuer_directory *directory = snapshot->directory;
	struct store *store = directory->store->store;
	struct issue_record_ahead ahead = {
		.store = directory->on_disk.store.uuid,
		.generation = directory->on_disk.store.generation,
		.parity = (uint8_t)store_own_parity(store),
		.below = MAX(directory->ahead, directory->ahead_asked),
	};
	struct issue_record_retire retire = {ahead.store, ahead.generation};
	int r = 0;

	if (directory->over)
		return 0;
	if (ahead.below > 0)
		r = issue_log_ahead(snapshot->log, &ahead);
	if (r >= 0 && directory->retired)
		r = issue_log_retire(snapshot->log, &retire);
	return r < 0 ? r : store_foreach(store, directory->index, snapshot_line, snapshot);
}

static int snapshot_peer(struct issuer_store *store, struct issue_log *log)
{
	struct issue_peer entry = {.log = store->peer_log, .position = store->peer_position};

	if (entry.position == 0)
		return 0;
	strcpy(entry.peer, store->peer_name);
	return issue_log_peer(log, &entry);
}

static int snapshot_store(struct issuer_store *store, struct issue_log *log)
{
	struct snapshot snapshot = {.issuer = store->issuer, .log = log};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < store->directory_count; i++) {
		snapshot.directory = store->directories[i];
		r = snapshot_directory(&snapshot);
	}
	if (r < 0)
		return r;
	id_table_foreach(&store->reservations, snapshot_reservation, &snapshot);
	label_foreach(&store->labels, snapshot_label, &snapshot);
	r = snapshot.result;
	if (r >= 0)
		r = snapshot_peer(store, log);
	if (r >= 0)
		r = issuer_tell_snapshot(store, log);
	if (r >= 0)
		r = issuer_doom_snapshot(store, log);
	if (r >= 0)
		r = issuer_lease_snapshot(store, log);
	return r;
}

static int write_snapshot(struct issue_log *log, void *userdata)
{
	struct issuer *issuer = userdata;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < issuer->store_count; i++)
		r = snapshot_store(issuer->stores[i], log);
	return r;
}

void issuer_replay_compact(struct issuer *issuer)
{
	int r;

	/* Entries about directories that are not here at present must outlive their absence. */
	if (issuer->foreign_entries || issuer->failed)
		return;
	if (!issuer_retire_find_over(issuer) && !issue_log_is_overgrown(issuer->log))
		return;
	r = issuer_loop_flush(issuer);
	if (r >= 0)
		r = issue_log_rewrite(issuer->log, write_snapshot, issuer);
	issuer_check_log(issuer, r);
	if (r >= 0)
		issuer_retire_remove_over(issuer);
}
