/* SPDX-License-Identifier: MIT */

/*
 * Keys that are spoken for: their owner, what for, until when, and their records. A key has a
 * reservation from the moment it is chosen or marked until it is issued or destroyed.
 */

#include "common/events.h"
#include "qkd-keyringd/issuer-private.h"

size_t reservation_key_count(const struct reservation *reservation)
{
	return 1 + reservation->part_count;
}

struct store_place reservation_place(const struct reservation *reservation, size_t i)
{
	return i == 0 ? reservation->place : reservation->parts[i - 1].place;
}

static void drop_parts(struct reservation *reservation)
{
	for (size_t i = 0; i < reservation->part_count; i++)
		id_table_remove(&reservation->store->parts, &reservation->parts[i].node);
	free(reservation->parts);
	reservation->parts = NULL;
	reservation->part_count = 0;
}

static void forget(struct reservation *reservation)
{
	drop_parts(reservation);
	free(reservation);
}

static int add_parts(struct reservation *reservation, const struct store_place *places,
		     size_t count)
{
	struct issuer_store *store = reservation->store;
	int r = 0;

	reservation->parts = count ? calloc(count, sizeof(*reservation->parts)) : NULL;
	if (count && !reservation->parts)
		return -ENOMEM;
	while (r >= 0 && reservation->part_count < count) {
		struct reservation_part *part = &reservation->parts[reservation->part_count];

		part->place = places[reservation->part_count];
		part->node.id = *store_id(store->store, part->place);
		part->whole = reservation;
		r = id_table_add(&store->parts, &part->node);
		if (r >= 0)
			reservation->part_count++;
	}
	return r;
}

void reservation_set_states(struct reservation *reservation, enum store_key_state state)
{
	for (size_t i = 0; i < reservation_key_count(reservation); i++)
		store_set_state(reservation->store->store, reservation_place(reservation, i),
				state);
}

static bool is_plain(const struct reservation *reservation)
{
	return reservation->part_count == 0 &&
	       reservation->bits ==
		       store_key_bits(reservation->store->store, reservation->place.directory);
}

int reservation_new(struct issuer_store *store, const struct store_place *places, size_t count,
		    uint32_t bits, struct reservation **ret)
{
	struct reservation *reservation = calloc(1, sizeof(*reservation));
	int r;

	if (!reservation)
		return -ENOMEM;
	reservation->node.id = *store_id(store->store, places[0]);
	reservation->store = store;
	reservation->place = places[0];
	reservation->bits = bits ?: store_key_bits(store->store, places[0].directory);
	reservation->state = STORE_KEY_RESERVED;
	reservation->owner = ISSUE_NO_OWNER;
	list_init(&reservation->waiter.link);
	list_init(&reservation->waiting);
	r = add_parts(reservation, places + 1, count - 1);
	if (r >= 0)
		r = id_table_add(&store->reservations, &reservation->node);
	if (r < 0) {
		forget(reservation);
		return r;
	}
	if (is_plain(reservation))
		store_set_plain(store->store, reservation->place);
	reservation_set_states(reservation, STORE_KEY_RESERVED);
	*ret = reservation;
	return 0;
}

struct reservation *reservation_find(const struct issuer_store *store, const struct uuid *id)
{
	struct id_node *node = id_table_find(&store->reservations, id);

	return node ? CONTAINER_OF(node, struct reservation, node) : NULL;
}

struct reservation *reservation_at(const struct issuer_store *store, struct store_place place)
{
	const struct uuid *id = store_id(store->store, place);
	struct reservation *reservation = id ? reservation_find(store, id) : NULL;
	struct id_node *node;

	if (!id || reservation)
		return reservation;
	node = id_table_find(&store->parts, id);
	return node ? CONTAINER_OF(node, struct reservation_part, node)->whole : NULL;
}

int reservation_read(const struct reservation *reservation, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *whole = NULL;
	size_t done = 0;
	int r;

	if (is_plain(reservation))
		return issuer_directory_read_key(reservation->store, reservation->place, ret);
	r = secret_new(reservation->bits / 8, &whole);
	for (size_t i = 0; r >= 0 && done < whole->size_bytes; i++) {
		_cleanup_(secret_freep) struct secret *key = NULL;
		size_t size_bytes;

		r = issuer_directory_read_key(reservation->store, reservation_place(reservation, i),
					      &key);
		if (r < 0)
			return r;
		size_bytes = MIN(key->size_bytes, whole->size_bytes - done);
		memcpy(whole->bytes + done, key->bytes, size_bytes);
		done += size_bytes;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(whole);
	return 0;
}

static void list_keys(const struct reservation *reservation, struct site_keys *keys)
{
	struct store *store = reservation->store->store;

	for (size_t i = 0; i < reservation_key_count(reservation); i++) {
		struct store_place place = reservation_place(reservation, i);

		keys->ids[keys->count] = *store_id(store, place);
		keys->sequences[keys->count++] = place.sequence;
	}
}

int reservation_list(struct reservation *const *reservations, size_t count, struct site_keys *ret)
{
	struct reservation *first = reservations[0];
	const struct keyfile_store *on_disk =
		&issuer_directory_of(first->store, first->place)->on_disk.store;
	struct site_keys keys = {on_disk->uuid, on_disk->generation};
	size_t key_count = 0;

	for (size_t i = 0; i < count; i++)
		key_count += reservation_key_count(reservations[i]);
	keys.ids = calloc(key_count, sizeof(*keys.ids));
	keys.sequences = calloc(key_count, sizeof(*keys.sequences));
	if (!keys.ids || !keys.sequences) {
		site_keys_done(&keys);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		list_keys(reservations[i], &keys);
	*ret = keys;
	return 0;
}

static struct uid_count *find_uid(struct issuer *issuer, uint32_t uid)
{
	for (size_t i = 0; i < issuer->uid_count; i++)
		if (issuer->uids[i].uid == uid)
			return &issuer->uids[i];
	return NULL;
}

int reservation_check_quota(struct issuer *issuer, uint32_t owner, size_t count)
{
	const struct uid_count *uid = find_uid(issuer, owner);

	return (uid ? uid->reserved : 0) + count > ISSUE_MAX_RESERVED_PER_UID ? -EDQUOT : 0;
}

static struct uid_count *make_uid(struct issuer *issuer, uint32_t owner)
{
	struct uid_count *larger, *uid = find_uid(issuer, owner);

	if (uid)
		return uid;
	uid = find_uid(issuer, ISSUE_NO_OWNER); /* a place that was given up */
	if (!uid) {
		larger = reallocarray(issuer->uids, issuer->uid_count + 1, sizeof(*larger));
		if (!larger)
			return NULL;
		issuer->uids = larger;
		uid = &larger[issuer->uid_count++];
	}
	*uid = (struct uid_count){.uid = owner};
	return uid;
}

static void drop_owner(struct reservation *reservation)
{
	struct uid_count *uid;

	if (reservation->owner == ISSUE_NO_OWNER)
		return;
	uid = find_uid(reservation->store->issuer, reservation->owner);
	reservation->owner = ISSUE_NO_OWNER;
	if (!uid)
		return;
	uid->reserved -= reservation_key_count(reservation);
	if (uid->reserved == 0)
		uid->uid = ISSUE_NO_OWNER;
}

int reservation_set_owner(struct reservation *reservation, uint32_t owner)
{
	struct uid_count *uid;

	if (reservation->owner == owner)
		return 0;
	drop_owner(reservation);
	if (owner == ISSUE_NO_OWNER)
		return 0;
	uid = make_uid(reservation->store->issuer, owner);
	if (!uid)
		return -ENOMEM;
	uid->reserved += reservation_key_count(reservation);
	reservation->owner = owner;
	return 0;
}

static void fill_entry(const struct reservation *reservation, struct issue_key *ret)
{
	struct issuer_directory *directory =
		issuer_directory_of(reservation->store, reservation->place);
	bool delivering = reservation->state == STORE_KEY_DELIVERING;

	*ret = (struct issue_key){
		.key = {.store = directory->on_disk.store.uuid,
			.generation = directory->on_disk.store.generation,
			.sequence = reservation->place.sequence,
			.state = delivering ? ISSUE_KEY_DELIVERING : ISSUE_KEY_RESERVED},
		.id = reservation->node.id,
		.by_peer = reservation->by_peer,
		.owner = reservation->owner,
		.request = reservation->request,
		.expires_usec = reservation->expires_usec,
	};
	if (reservation->label) {
		strcpy(ret->label, reservation->label->name);
		ret->label_generation = reservation->label->generation;
	}
	if (is_plain(reservation))
		return;
	ret->bits = reservation->bits;
	ret->part_count = reservation->part_count;
	for (size_t i = 0; i < reservation->part_count; i++)
		ret->parts[i] = reservation->parts[i].place.sequence;
}

int reservation_log(const struct reservation *reservation, bool with_parts, struct issue_log *log)
{
	struct issue_key entry, part;
	int r = 0;

	fill_entry(reservation, &entry);
	for (size_t i = 0; r >= 0 && with_parts && i < reservation->part_count; i++) {
		part = (struct issue_key){
			.key = entry.key,
			.id = reservation->parts[i].node.id,
			.owner = ISSUE_NO_OWNER,
			.request = entry.request,
			.is_part = true,
		};
		part.key.sequence = reservation->parts[i].place.sequence;
		r = issue_log_key(log, &part);
	}
	return r < 0 ? r : issue_log_key(log, &entry);
}

/* The way of each key through both sites, for whoever follows one: at debug alone, so that it costs
 * a comparison. What is issued is told always, where it is issued. */
static void trace(const struct reservation *reservation, const char *event, const char *what)
{
	if (log_max_level() < LOG_DEBUG)
		return;
	log_event(
		LOG_DEBUG, event,
		&(struct log_fields){.peer = reservation->store->peer_name,
				     .key_id = &reservation->node.id,
				     .label = reservation->label ? reservation->label->name : NULL},
		"key shared with site %s %s", reservation->store->peer_name, what);
}

void reservation_record(struct reservation *reservation, enum store_key_state state)
{
	struct issuer_store *store = reservation->store;

	if (state == STORE_KEY_RESERVED)
		reservation->durable = false;
	reservation->marking = false;
	reservation->state = state;
	reservation_set_states(reservation, state);
	issuer_check_log(store->issuer,
			 reservation_log(reservation, !reservation->recorded, store->issuer->log));
	reservation->recorded = true;
	if (!reservation->label)
		issuer_loop_expiry(store->issuer, reservation->expires_usec);
	issuer_store_changed(store);
	issuer_loop_flush_soon(store->issuer);
	if (state == STORE_KEY_RESERVED)
		trace(reservation, EVENT_KEY_RESERVED, "reserved");
}

/* Those that wait for it look at it again, and find that it is gone. */
static void unlink_reservation(struct reservation *reservation)
{
	struct issue_operation *claimant = TAKE_PTR(reservation->claimant);

	if (reservation->delivery)
		reservation->delivery->reservation = NULL;
	reservation->delivery = NULL;
	id_table_remove(&reservation->store->reservations, &reservation->node);
	list_remove(&reservation->waiter.link);
	drop_owner(reservation);
	if (claimant) {
		claimant->claim = NULL;
		issuer_operation_wait(claimant, &reservation->waiting);
	}
}

void reservation_free(struct reservation *reservation)
{
	unlink_reservation(reservation);
	forget(reservation);
}

static void wake_and_free(struct reservation *reservation)
{
	issuer_operation_wake(&reservation->waiting);
	forget(reservation);
}

void reservation_tell_destroyed(struct reservation *reservation)
{
	for (size_t i = 0; i < reservation_key_count(reservation); i++)
		issuer_tell_destroyed(reservation->store, reservation_place(reservation, i));
}

void reservation_destroy(struct reservation *reservation)
{
	reservation_tell_destroyed(reservation);
	reservation_end(reservation, STORE_KEY_DESTROYED);
}

void reservation_end(struct reservation *reservation, enum store_key_state state)
{
	struct label *label = reservation->label;

	if (state == STORE_KEY_DESTROYED)
		trace(reservation, EVENT_KEY_DESTROYED, "destroyed");
	unlink_reservation(reservation);
	/* The first one first: on record, it ends all of them. */
	for (size_t i = 0; i < reservation_key_count(reservation); i++)
		issuer_directory_end_key(reservation->store, reservation_place(reservation, i),
					 state);
	if (label) {
		label->reservation = NULL;
		reservation->label = NULL;
		if (state == STORE_KEY_ISSUED)
			label->served = true;
		issuer_label_key_ended(label);
	}
	wake_and_free(reservation);
}

void reservation_release(struct reservation *reservation)
{
	struct issuer_store *store = reservation->store;

	unlink_reservation(reservation);
	reservation_set_states(reservation, STORE_KEY_AVAILABLE);
	issuer_store_changed(store);
	wake_and_free(reservation);
	issuer_supply_wake(store);
}

bool reservation_is_busy(const struct reservation *reservation)
{
	return reservation->delivery || reservation->claimant || reservation->marking;
}

struct expiry {
	uint64_t clock_usec, next;
};

/* A label's key lives as long as the label. */
static void expire_one(struct id_node *node, void *userdata)
{
	struct reservation *reservation = CONTAINER_OF(node, struct reservation, node);
	struct expiry *expiry = userdata;

	if (reservation->label || reservation->marking)
		return;
	if (reservation->expires_usec > expiry->clock_usec || reservation_is_busy(reservation))
		return;
	reservation_destroy(reservation);
}

void reservation_expire(struct issuer_store *store, uint64_t clock_usec)
{
	struct expiry expiry = {.clock_usec = clock_usec};

	id_table_foreach(&store->reservations, expire_one, &expiry);
}

static void look_at_expiry(struct id_node *node, void *userdata)
{
	const struct reservation *reservation = CONTAINER_OF(node, struct reservation, node);
	struct expiry *expiry = userdata;

	if (!reservation->label && !reservation->marking &&
	    (expiry->next == 0 || reservation->expires_usec < expiry->next))
		expiry->next = reservation->expires_usec;
}

uint64_t reservation_next_expiry(struct issuer_store *store)
{
	struct expiry expiry = {};

	id_table_foreach(&store->reservations, look_at_expiry, &expiry);
	return expiry.next;
}
