/* SPDX-License-Identifier: MIT */

/*
 * Answering the peer: marking its keys, withdrawing a mark, saying what has become of a key of
 * ours. Everything here is idempotent by the request's id, because a peer asks again after every
 * new connection.
 */

#include "common/events.h"
#include "qkd-keyringd/issuer-private.h"

/* A mark of keys that have not arrived: looked at again when keys come, answered at its deadline.
 */
struct held_mark {
	struct list link;
	struct site_message message;
	uint64_t deadline_usec;
};

static void free_held(struct issuer_store *store, struct held_mark *held)
{
	list_remove(&held->link);
	store->held_count--;
	site_message_done(&held->message);
	free(held);
}

static void answer(struct issuer_store *store, const struct site_message *message)
{
	if (site_peer_answer(store->peer, message) < 0)
		site_peer_lost(store->peer, "out of memory");
}

void issuer_serve_done(struct issuer_store *store, const struct uuid *request)
{
	answer(store, &(struct site_message){.type = SITE_DONE, .request = *request});
}

struct late_done {
	struct list link;
	struct issuer_store *store;
	struct issue_log_waiter waiter;
	struct uuid request;
};

static void free_late(struct late_done *late)
{
	list_remove(&late->link);
	list_remove(&late->waiter.link);
	free(late);
}

static void late_synced(struct issue_log_waiter *waiter)
{
	struct late_done *late = CONTAINER_OF(waiter, struct late_done, waiter);
	struct issuer_store *store = late->store;

	issuer_serve_done(store, &late->request);
	free_late(late);
	issuer_supply_wake(store);
}

void issuer_serve_done_synced(struct issuer_store *store, const struct uuid *request)
{
	struct late_done *late;

	if (!issue_log_is_dirty(store->issuer->log)) {
		issuer_serve_done(store, request);
		return;
	}
	late = calloc(1, sizeof(*late));
	if (!late)
		return;
	late->store = store;
	late->request = *request;
	list_init(&late->link);
	list_append(&store->late, &late->link);
	issue_log_waiter_init(&late->waiter, late_synced);
	issue_log_wait(store->issuer->log, &late->waiter);
	issuer_loop_flush_soon(store->issuer);
}

void issuer_serve_drop_late(struct issuer_store *store)
{
	while (!list_is_empty(&store->late))
		free_late(LIST_ENTRY(store->late.next, struct late_done, link));
}

static void log_difference(struct issuer_store *store, const struct uuid *id)
{
	unsigned suppressed;

	if (log_ratelimit_pass(&store->differ_limit, &suppressed))
		log_event(LOG_WARNING, EVENT_STORES_DIFFER,
			  &(struct log_fields){.peer = store->peer_name, .key_id = id},
			  "site %s has another key under this number, or it was used here before; "
			  "it is not handed out (%u more)",
			  store->peer_name, suppressed);
}

static void keep_for_peer(struct reservation *reservation, const struct site_message *message)
{
	struct issuer *issuer = reservation->store->issuer;

	reservation->by_peer = true;
	reservation->request = message->request;
	reservation->expires_usec = issuer_clock(issuer) + message->hold_sec * USEC_PER_SEC;
	reservation_record(reservation, STORE_KEY_RESERVED);
}

/* The peer's key, available here: it is reserved for whoever asks for it by its id. */
static enum site_verdict mark_available(struct issuer_store *store,
					const struct site_message *message,
					const struct store_place *places)
{
	struct reservation *reservation;

	if (*message->label)
		return issuer_label_guest_mark(store, message, places);
	if (reservation_new(store, places, message->parts, message->bits, &reservation) < 0)
		return SITE_VERDICT_REFUSED;
	keep_for_peer(reservation, message);
	return SITE_VERDICT_OK;
}

/* The same mark again. A label's key may even be spent here already. */
static bool is_marked_for(const struct issuer_store *store, const struct site_message *message,
			  const struct uuid *id)
{
	const struct reservation *reservation = reservation_find(store, id);
	const struct label *label = label_find(&store->labels, message->label);

	if (*message->label)
		return label && label->state == LABEL_ASSIGNED &&
		       label->generation == message->label_generation && uuid_equal(&label->id, id);
	return reservation && uuid_equal(&reservation->request, &message->request) &&
	       reservation->bits == message->bits;
}

/* One key of those that make up what is to be marked. SITE_VERDICT_UNKNOWN: it is not here, and may
 * still come. */
static enum site_verdict look_at(struct issuer_store *store, const struct site_message *message,
				 size_t i, struct store_place *ret)
{
	const struct site_keys *keys = &message->keys;
	bool gone;
	enum store_key_state state = issuer_directory_look_up(store, &keys->store, keys->generation,
							      keys->sequences[i], ret, &gone);

	if (state == STORE_KEY_ABSENT)
		return gone ? SITE_VERDICT_REFUSED : SITE_VERDICT_UNKNOWN;
	if (issuer_supply_parts(message->bits, store_key_bits(store->store, ret->directory)) ==
		    message->parts &&
	    uuid_equal(store_id(store->store, *ret), &keys->ids[i])) {
		if (state == STORE_KEY_AVAILABLE && !store_is_own(store->store, *ret))
			return SITE_VERDICT_OK;
	}
	log_difference(store, &keys->ids[i]);
	return SITE_VERDICT_REFUSED;
}

/* The i-th of what is to be marked: all of it or nothing. */
static enum site_verdict mark_one(struct issuer_store *store, const struct site_message *message,
				  size_t i)
{
	struct store_place places[SITE_MAX_PARTS];
	size_t first = i * message->parts;
	bool missing = false;

	if (is_marked_for(store, message, &message->keys.ids[first]))
		return SITE_VERDICT_OK;
	for (size_t j = 0; j < message->parts; j++) {
		enum site_verdict verdict = look_at(store, message, first + j, &places[j]);

		if (verdict == SITE_VERDICT_REFUSED)
			return verdict;
		missing |= verdict == SITE_VERDICT_UNKNOWN;
	}
	return missing ? SITE_VERDICT_UNKNOWN : mark_available(store, message, places);
}

/* A key of our half, reserved for the peer's request in place of one that it cannot have. All
 * alternatives of one answer are of one directory. */
static bool add_alternative(struct issuer_store *store, const struct site_message *message,
			    struct site_keys *keys)
{
	struct issuer_directory *directory =
		keys->count ? issuer_directory_find(store, &keys->store, keys->generation) : NULL;
	struct reservation *reservation;

	if (!issuer_supply_take(store, message->bits, directory ? &directory->index : NULL,
				&reservation))
		return false;
	issuer_supply_run_ahead(store);
	if (keys->count + reservation_key_count(reservation) > SITE_MESSAGE_MAX_KEYS) {
		reservation_release(reservation);
		return false;
	}
	directory = issuer_directory_of(store, reservation->place);
	keys->store = directory->on_disk.store.uuid;
	keys->generation = directory->on_disk.store.generation;
	for (size_t i = 0; i < reservation_key_count(reservation); i++) {
		struct store_place place = reservation_place(reservation, i);

		keys->ids[keys->count] = *store_id(store->store, place);
		keys->sequences[keys->count++] = place.sequence;
	}
	keep_for_peer(reservation, message);
	store->alternatives++;
	return true;
}

/* What did not come in time is refused; the peer destroys it, and says so (issuer-doom.c). */
static int finish_verdicts(struct issuer_store *store, const struct site_message *message,
			   struct site_message *reply)
{
	reply->keys.ids = calloc(SITE_MESSAGE_MAX_KEYS, sizeof(struct uuid));
	reply->keys.sequences = calloc(SITE_MESSAGE_MAX_KEYS, sizeof(uint64_t));
	if (!reply->keys.ids || !reply->keys.sequences)
		return -ENOMEM;
	for (char *verdict = reply->verdicts; *verdict; verdict++) {
		if (*verdict == SITE_VERDICT_UNKNOWN)
			*verdict = SITE_VERDICT_REFUSED;
		if (*verdict == SITE_VERDICT_REFUSED && !*message->label &&
		    add_alternative(store, message, &reply->keys))
			*verdict = SITE_VERDICT_ALTERNATIVE;
	}
	return 0;
}

/* False: some keys may still come, and there is time. Marking twice is harmless. */
static bool try_mark(struct issuer_store *store, const struct site_message *message, bool last)
{
	_cleanup_(site_message_done) struct site_message reply = {
		.type = SITE_MARKED,
		.request = message->request,
	};
	size_t count = message->keys.count / message->parts;
	bool all_ok = true;

	reply.verdicts = calloc(count + 1, 1);
	for (size_t i = 0; reply.verdicts && i < count; i++) {
		enum site_verdict verdict = mark_one(store, message, i);

		if (verdict == SITE_VERDICT_UNKNOWN && !last)
			return false;
		reply.verdicts[i] = (char)verdict;
		all_ok &= verdict == SITE_VERDICT_OK;
	}
	if (!reply.verdicts || (!all_ok && finish_verdicts(store, message, &reply) < 0))
		site_peer_lost(store->peer, "out of memory");
	else
		answer(store, &reply);
	issuer_operation_wake(&store->seeking);
	return true;
}

static int copy_mark(const struct site_message *message, struct site_message *ret)
{
	size_t count = message->keys.count;
	struct site_message copy = *message;

	copy.verdicts = NULL;
	copy.keys.ids = calloc(count, sizeof(struct uuid));
	copy.keys.sequences = calloc(count, sizeof(uint64_t));
	if (!copy.keys.ids || !copy.keys.sequences) {
		site_message_done(&copy);
		return -ENOMEM;
	}
	memcpy(copy.keys.ids, message->keys.ids, count * sizeof(struct uuid));
	memcpy(copy.keys.sequences, message->keys.sequences, count * sizeof(uint64_t));
	*ret = copy;
	return 0;
}

static int hold_mark(struct issuer_store *store, const struct site_message *message)
{
	struct held_mark *held;

	if (store->held_count >= ISSUER_MAX_HELD || message->wait_msec == 0)
		return -ENOBUFS;
	held = calloc(1, sizeof(*held));
	if (!held)
		return -ENOMEM;
	if (copy_mark(message, &held->message) < 0) {
		free(held);
		return -ENOMEM;
	}
	held->deadline_usec = issuer_now(store->issuer) + message->wait_msec * USEC_PER_MSEC;
	list_init(&held->link);
	list_append(&store->held, &held->link);
	store->held_count++;
	issuer_loop_deadline(store->issuer, held->deadline_usec);
	return 0;
}

/* A label only from its home, and for one key; parts that make up whole ones. */
static bool mark_is_proper(const struct issuer_store *store, const struct site_message *message)
{
	size_t count = message->keys.count;

	if (message->bits == 0 || message->parts == 0 || count % message->parts != 0)
		return false;
	return !*message->label || (!store->leads && count == message->parts);
}

static void serve_mark(struct issuer_store *store, const struct site_message *message)
{
	if (!mark_is_proper(store, message)) {
		site_peer_lost(
			store->peer,
			"a mark of parts that fit nothing, or of a label by a site that is not its home");
		return;
	}
	if (!try_mark(store, message, false) && hold_mark(store, message) < 0)
		(void)try_mark(store, message, true);
}

/* A mark that is being looked at is in no list: answering may end the connection, and with it
 * everything that is held. */
static void look_again(struct issuer_store *store, struct held_mark *held, bool last)
{
	list_remove(&held->link);
	if (try_mark(store, &held->message, last))
		free_held(store, held);
	else
		list_append(&store->held, &held->link);
}

void issuer_serve_arrived(struct issuer_store *store)
{
	struct list all;

	list_init(&all);
	list_move_all(&all, &store->held);
	while (!list_is_empty(&all))
		look_again(store, LIST_ENTRY(all.next, struct held_mark, link), false);
}

uint64_t issuer_serve_time_out(struct issuer_store *store, uint64_t now_usec)
{
	struct list all;
	uint64_t next = 0;

	list_init(&all);
	list_move_all(&all, &store->held);
	while (!list_is_empty(&all)) {
		struct held_mark *held = LIST_ENTRY(all.next, struct held_mark, link);

		if (held->deadline_usec > now_usec && (next == 0 || held->deadline_usec < next))
			next = held->deadline_usec;
		if (held->deadline_usec > now_usec) {
			list_remove(&held->link);
			list_append(&store->held, &held->link);
		} else {
			look_again(store, held, true);
		}
	}
	return next;
}

void issuer_serve_drop_held(struct issuer_store *store)
{
	while (!list_is_empty(&store->held))
		free_held(store, LIST_ENTRY(store->held.next, struct held_mark, link));
}

static void drop_held_of(struct issuer_store *store, const struct uuid *request)
{
	LIST_FOREACH (link, &store->held) {
		struct held_mark *held = LIST_ENTRY(link, struct held_mark, link);

		if (uuid_equal(&held->message.request, request))
			free_held(store, held);
	}
}

static enum site_verdict withdraw_one(struct issuer_store *store,
				      const struct site_message *message, size_t i)
{
	const struct site_keys *keys = &message->keys;
	struct reservation *reservation = NULL;
	struct store_place place;
	bool gone;
	enum store_key_state state = issuer_directory_look_up(store, &keys->store, keys->generation,
							      keys->sequences[i], &place, &gone);

	if (state == STORE_KEY_AVAILABLE || (state == STORE_KEY_ABSENT && !gone))
		return SITE_VERDICT_NEVER;
	if (state != STORE_KEY_ABSENT)
		reservation = reservation_at(store, place);
	if (reservation && uuid_equal(&reservation->request, &message->id) &&
	    !reservation_is_busy(reservation))
		reservation_end(reservation, STORE_KEY_DESTROYED);
	return SITE_VERDICT_DESTROYED;
}

static void serve_withdraw(struct issuer_store *store, const struct site_message *message)
{
	_cleanup_(site_message_done) struct site_message reply = {
		.type = SITE_WITHDRAWN,
		.request = message->request,
		.verdicts = calloc(message->keys.count + 1, 1),
	};

	drop_held_of(store, &message->id);
	if (!reply.verdicts) {
		site_peer_lost(store->peer, "out of memory");
		return;
	}
	for (size_t i = 0; i < message->keys.count; i++)
		reply.verdicts[i] = (char)withdraw_one(store, message, i);
	answer(store, &reply);
}

struct label_search {
	const struct uuid *id;
	bool found;
};

static void compare_id(struct label *label, void *userdata)
{
	struct label_search *search = userdata;

	search->found |= uuid_equal(&label->id, search->id);
}

/* Seldom asked: only for an id that the peer has lost the mark of. */
static bool is_labels(struct issuer_store *store, const struct uuid *id)
{
	struct label_search search = {.id = id};

	label_foreach(&store->labels, compare_id, &search);
	return search.found;
}

/* A label's key is had by its label only. */
static enum site_verdict state_of(struct issuer_store *store, const struct uuid *id)
{
	const struct reservation *reservation = reservation_find(store, id);
	struct store_place place;

	if (!store_find(store->store, id, &place))
		return SITE_VERDICT_UNKNOWN;
	/* Asked to be marked: nobody's yet, and it may be withdrawn. */
	if (reservation && reservation->marking)
		return SITE_VERDICT_AVAILABLE;
	switch (store_state(store->store, place)) {
	case STORE_KEY_ABSENT:
	case STORE_KEY_STATE_COUNT_:
		return SITE_VERDICT_UNKNOWN;
	case STORE_KEY_AVAILABLE:
		return SITE_VERDICT_AVAILABLE;
	case STORE_KEY_RESERVED:
	case STORE_KEY_DELIVERING:
		return is_labels(store, id) ? SITE_VERDICT_REFUSED : SITE_VERDICT_RESERVED;
	case STORE_KEY_ISSUED:
		if (is_labels(store, id))
			return SITE_VERDICT_REFUSED;
		/* What it was part of is forgotten, so the other site cannot have the same. */
		if (store_is_plain(store->store, place))
			return SITE_VERDICT_ISSUED;
		break;
	case STORE_KEY_DESTROYED:
		break;
	}
	return SITE_VERDICT_DESTROYED;
}

static void serve_query(struct issuer_store *store, const struct site_message *message)
{
	char verdicts[2] = {(char)state_of(store, &message->id)};
	struct reservation *reservation = reservation_find(store, &message->id);
	struct site_message reply = {
		.type = SITE_STATES,
		.request = message->request,
		.verdicts = verdicts,
	};

	if (*verdicts == SITE_VERDICT_RESERVED && reservation) {
		if (reservation_list(&reservation, 1, &reply.keys) < 0)
			*verdicts = SITE_VERDICT_AVAILABLE; /* may be asked again */
		reply.bits = reservation->bits;
	}
	answer(store, &reply);
	site_keys_done(&reply.keys);
}

static void serve_path(struct issuer_store *store, const struct site_message *message)
{
	const struct issuer *issuer = store->issuer;

	if (issuer->paths)
		issuer->paths->on_message(store->peer_name, message, issuer->paths_userdata);
	else
		site_peer_lost(store->peer, "a message about a path, and we have none");
}

void issuer_serve_request(struct issuer_store *store, const struct site_message *message)
{
	switch (message->type) {
	case SITE_MARK:
		return serve_mark(store, message);
	case SITE_WITHDRAW:
		return serve_withdraw(store, message);
	case SITE_LABEL:
		return issuer_label_home_ask(store, message);
	case SITE_LABEL_END:
		return issuer_label_guest_end(store, message);
	case SITE_QUERY:
		return serve_query(store, message);
	case SITE_WANT:
		return issuer_lease_wanted(store, message);
	case SITE_LEASE:
		return issuer_lease_came(store, message);
	case SITE_DESTROYED:
		return issuer_tell_heard(store, message);
	case SITE_SUMMARY:
		return issuer_reconcile_summary(store, message);
	case SITE_DIFFER:
		return issuer_reconcile_differ(store, message);
	case SITE_PATH:
		return serve_path(store, message);
	case SITE_HELLO:
	case SITE_PATH_ANSWER:
	case SITE_MARKED:
	case SITE_WITHDRAWN:
	case SITE_LABELLED:
	case SITE_STATES:
	case SITE_GRANTED:
	case SITE_COMPARED:
	case SITE_DIFFERENCE:
	case SITE_DONE:
	case SITE_MESSAGE_TYPE_COUNT_:
		break; /* answers: site-peer.c has taken them */
	}
}
