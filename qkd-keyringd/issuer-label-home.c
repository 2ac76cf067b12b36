/* SPDX-License-Identifier: MIT */

/*
 * Labels at their home, the smaller site name: it alone chooses which key a label stands for, and
 * when that is over. The choice is on disk before anybody is told, here or there; the peer marks
 * the key meanwhile, so that the wait for the disk and the round trip go on at the same time.
 */

#include "qkd-keyringd/issuer-private.h"

static void enter(struct label *label);
static void leave(struct label *label);

/* The question is let go of first: answering may end the connection, and with it all others. */
static void answer_ask(struct label *label, struct label_ask *ask, uint32_t error)
{
	struct issuer_store *store = label->store;
	struct site_message message = {
		.type = SITE_LABELLED,
		.request = ask->request,
		.error = error,
		.label_generation = label->generation,
		.id = label->id,
		.expires_usec = label->expires_usec,
		.bits = label->bits,
	};

	list_remove(&ask->link);
	store->held_count--;
	free(ask);
	if (site_peer_answer(store->peer, &message) < 0)
		site_peer_lost(store->peer, "out of memory");
}

static struct label_ask *first_ask(const struct label *label)
{
	if (list_is_empty(&label->asks))
		return NULL;
	return LIST_ENTRY(label->asks.next, struct label_ask, link);
}

static void answer_asks(struct label *label)
{
	for (struct label_ask *ask; (ask = first_ask(label));)
		answer_ask(label, ask, ask->bits == 0 || ask->bits == label->bits ? 0 : EINVAL);
}

static void refuse_all(struct label *label, int error)
{
	struct list waiting;

	for (struct label_ask *ask; (ask = first_ask(label));)
		answer_ask(label, ask, (uint32_t)error);
	list_init(&waiting);
	list_move_all(&waiting, &label->waiting);
	while (!list_is_empty(&waiting)) {
		struct issue_operation *operation =
			LIST_ENTRY(waiting.next, struct issue_operation, wait_link);

		issuer_operation_finish(operation, -error);
	}
}

static void choice_synced(struct issue_log_waiter *waiter)
{
	struct label *label = CONTAINER_OF(waiter, struct label, waiter);

	enter(label);
	label->durable = label->state == LABEL_ASSIGNED;
	leave(label);
}

/* The peer refused this key: nothing was handed out, so another may stand for the label. */
static void choose_again(struct label *label)
{
	struct reservation *reservation = label->reservation;

	issuer_label_record(label, true);
	label->state = LABEL_NEW;
	label->durable = label->confirmed = false;
	list_remove(&label->waiter.link);
	reservation_destroy(reservation);
	if (++label->tries >= ISSUER_MAX_TRIES) {
		label->tries = 0;
		refuse_all(label, ETIMEDOUT);
	}
}

/* The peer knows this label for another key: it is spent there, and so it is here. */
static void adopt_spent(struct label *label)
{
	if (label->reservation)
		reservation_destroy(label->reservation);
	label->confirmed = true;
}

static void marked(struct site_request *request, const struct site_message *answer)
{
	struct label *label = CONTAINER_OF(request, struct label, request);

	if (label->state != LABEL_ASSIGNED)
		return;
	enter(label);
	if (answer->verdicts[0] == SITE_VERDICT_OK)
		label->confirmed = true;
	else if (answer->verdicts[0] == SITE_VERDICT_LABEL)
		adopt_spent(label);
	else if (label->reservation && !label->reservation->handed_out)
		choose_again(label);
	leave(label);
}

static int ask_mark(struct label *label)
{
	struct issuer_store *store = label->store;
	_cleanup_(site_message_done) struct site_message message = {
		.type = SITE_MARK,
		.request = label->reservation->request,
		.hold_sec = SITE_HOLD_MAX_SEC,
		.wait_msec = 2000,
		.label_generation = label->generation,
		.expires_usec = label->expires_usec,
		.bits = label->bits,
		.parts = (uint32_t)reservation_key_count(label->reservation),
	};
	int r = reservation_list(&label->reservation, 1, &message.keys);

	strcpy(message.label, label->name);
	return r < 0 ? r : site_peer_ask(store->peer, &label->request, &message, marked);
}

static uint64_t next_generation(struct issuer_store *store)
{
	uint64_t clock = issuer_clock(store->issuer);

	store->last_label_generation = MAX(store->last_label_generation + 1, clock);
	return store->last_label_generation;
}

static struct issue_operation *first_waiting(const struct label *label)
{
	if (list_is_empty(&label->waiting))
		return NULL;
	return LIST_ENTRY(label->waiting.next, struct issue_operation, wait_link);
}

static void assign(struct label *label, struct reservation *reservation)
{
	struct issuer_store *store = label->store;
	struct issuer *issuer = store->issuer;
	uint64_t ttl_sec = label->ttl_sec ?: issuer->label_ttl_sec;

	label->state = LABEL_ASSIGNED;
	label->generation = next_generation(store);
	label->expires_usec = issuer_clock(issuer) + ttl_sec * USEC_PER_SEC;
	label->bits = reservation->bits;
	label->id = reservation->node.id;
	label->reservation = reservation;
	label->served = label->durable = label->confirmed = false;
	reservation->label = label;
	reservation->request = issuer_new_request(issuer);
	/* A claim of somebody who waits makes one record of the two. */
	if (!first_waiting(label) || issuer_delivery_claim(first_waiting(label), reservation) < 0)
		reservation_record(reservation, STORE_KEY_RESERVED);
	issuer_label_record(label, false);
	label->waiter.synced = choice_synced;
	issue_log_wait(issuer->log, &label->waiter);
	issuer_loop_expiry(issuer, label->expires_usec);
}

static void supply_ready(struct supply_waiter *waiter)
{
	issuer_label_home_step(CONTAINER_OF(waiter, struct label, supply));
}

static void choose(struct label *label)
{
	struct issuer_store *store = label->store;
	struct reservation *reservation;

	if (!issuer_supply_has_size(store, label->want_bits)) {
		refuse_all(label, EINVAL);
		return;
	}
	if (!site_peer_is_connected(store->peer) ||
	    !issuer_supply_take(store, label->want_bits, NULL, &reservation)) {
		label->supply.ready = supply_ready;
		issuer_supply_wait(store, &label->supply, label->want_bits);
		return;
	}
	issuer_supply_run_ahead(store);
	assign(label, reservation);
}

/* One operation for an assigned label. */
static void serve(struct label *label, struct issue_operation *operation)
{
	int r;

	if (operation->bits && operation->bits != label->bits) {
		issuer_operation_finish(operation, -EINVAL);
		return;
	}
	if (!label->reservation) {
		issuer_operation_finish(operation, -EKEYEXPIRED);
		return;
	}
	/* 1 with a claim of its own: stepped when that is on disk. Without: when the other's is
	 * over. */
	r = issuer_delivery_claim(operation, label->reservation);
	if (r < 0)
		issuer_operation_finish(operation, r);
	else if (r == 0 && label->durable && label->confirmed)
		issuer_delivery_hand_out(operation);
	else if (r == 0)
		issuer_operation_wait(operation, &label->waiting);
}

static void serve_all(struct label *label)
{
	struct list waiting;

	list_init(&waiting);
	list_move_all(&waiting, &label->waiting);
	while (!list_is_empty(&waiting)) {
		struct issue_operation *operation =
			LIST_ENTRY(waiting.next, struct issue_operation, wait_link);

		list_remove(&operation->wait_link);
		serve(label, operation);
	}
}

static void ended(struct site_request *request, const struct site_message *answer)
{
	struct label *label = CONTAINER_OF(request, struct label, request);

	enter(label);
	issuer_label_record(label, true);
	label->state = LABEL_NEW;
	label->served = false;
	label->tries = 0;
	leave(label);
}

static void begin_end(struct label *label)
{
	struct issuer_store *store = label->store;
	struct reservation *reservation = label->reservation;
	struct store_place place;
	struct site_message message = {
		.type = SITE_LABEL_END,
		.request = issuer_new_request(store->issuer),
		.label_generation = label->generation,
	};

	site_request_cancel(store->peer, &label->request);
	list_remove(&label->waiter.link);
	label->state = LABEL_ENDING;
	label->reservation = NULL;
	/* Told in any case: the peer's mark may never have been made, or be lost. */
	if (reservation)
		reservation_tell_destroyed(reservation);
	else if (store_find(store->store, &label->id, &place))
		issuer_tell_destroyed(store, place);
	if (reservation) {
		reservation->label = NULL;
		/* What is being delivered now is delivered to its end. */
		reservation->expires_usec = label->expires_usec;
		if (!reservation->delivery)
			reservation_end(reservation, STORE_KEY_DESTROYED);
	}
	strcpy(message.label, label->name);
	if (site_peer_ask(store->peer, &label->request, &message, ended) < 0)
		label->state = LABEL_ASSIGNED; /* tried again when somebody asks */
}

static void step_once(struct label *label)
{
	struct issuer *issuer = label->store->issuer;

	if (label->state == LABEL_ASSIGNED && label->expires_usec <= issuer_clock(issuer))
		begin_end(label);
	if (label->state == LABEL_NEW &&
	    (!list_is_empty(&label->waiting) || !list_is_empty(&label->asks)))
		choose(label);
	if (label->state != LABEL_ASSIGNED)
		return;
	/* A mark that was never answered before a restart is made again. */
	if (!label->confirmed && label->reservation && !site_request_is_pending(&label->request) &&
	    ask_mark(label) < 0)
		return;
	if (label->durable)
		answer_asks(label);
	serve_all(label);
}

/*
 * What a step does may wake operations that want the same label to be stepped: they only note it,
 * and the outermost one goes round again. It alone may forget the label.
 */
static void enter(struct label *label)
{
	label->busy = true;
}

static void leave(struct label *label)
{
	do {
		label->again = false;
		step_once(label);
	} while (label->again);
	label->busy = false;
	issuer_label_drop_idle(label);
}

void issuer_label_home_step(struct label *label)
{
	if (label->busy) {
		label->again = true;
		return;
	}
	enter(label);
	leave(label);
}

static struct label *find_or_add(struct issuer_store *store, const char *name, uint32_t bits,
				 uint32_t ttl_sec)
{
	struct label *label = label_find(&store->labels, name);

	if (!label && label_add(&store->labels, store, name, &label) < 0)
		return NULL;
	if (label->state == LABEL_NEW && list_is_empty(&label->waiting) &&
	    list_is_empty(&label->asks)) {
		label->want_bits = bits;
		label->ttl_sec = ttl_sec;
	}
	return label;
}

void issuer_label_home_operation(struct issue_operation *operation)
{
	struct label *label = find_or_add(operation->store, operation->label, operation->bits,
					  operation->ttl_sec);

	if (!label) {
		issuer_operation_finish(operation, -ENOMEM);
		return;
	}
	issuer_operation_wait(operation, &label->waiting);
	issuer_label_home_step(label);
}

static bool is_asked(const struct label *label, const struct uuid *request)
{
	LIST_FOREACH (link, &label->asks)
		if (uuid_equal(&LIST_ENTRY(link, struct label_ask, link)->request, request))
			return true;
	return false;
}

void issuer_label_home_ask(struct issuer_store *store, const struct site_message *message)
{
	struct label *label = NULL;
	struct label_ask *ask = NULL;

	if (!store->leads) {
		site_peer_lost(store->peer, "a label asked for at a site that is not its home");
		return;
	}
	if (store->held_count < ISSUER_MAX_HELD)
		label = find_or_add(store, message->label, message->bits, message->ttl_sec);
	if (label && is_asked(label, &message->request))
		return;
	ask = label ? calloc(1, sizeof(*ask)) : NULL;
	if (!ask) {
		if (label)
			issuer_label_drop_idle(label);
		return; /* the peer's own deadline tells its requester */
	}
	ask->request = message->request;
	ask->bits = message->bits;
	ask->deadline_usec = issuer_now(store->issuer) + message->wait_msec * USEC_PER_MSEC;
	list_init(&ask->link);
	list_append(&label->asks, &ask->link);
	store->held_count++;
	issuer_loop_deadline(store->issuer, ask->deadline_usec);
	issuer_label_home_step(label);
}

struct ask_limit {
	uint64_t now_usec; /* UINT64_MAX: all of them */
	uint64_t next;
};

static void drop_late_asks(struct label *label, void *userdata)
{
	struct ask_limit *limit = userdata;

	LIST_FOREACH (link, &label->asks) {
		struct label_ask *ask = LIST_ENTRY(link, struct label_ask, link);

		if (ask->deadline_usec <= limit->now_usec) {
			list_remove(link);
			label->store->held_count--;
			free(ask);
		} else if (limit->next == 0 || ask->deadline_usec < limit->next) {
			limit->next = ask->deadline_usec;
		}
	}
	issuer_label_drop_idle(label);
}

void issuer_label_home_lost(struct issuer_store *store)
{
	struct ask_limit limit = {.now_usec = UINT64_MAX};

	if (store->leads)
		label_foreach(&store->labels, drop_late_asks, &limit);
}

uint64_t issuer_label_home_time_out(struct issuer_store *store, uint64_t now_usec)
{
	struct ask_limit limit = {.now_usec = now_usec};

	/* With no question held there is nothing to look for among possibly many labels. */
	if (store->leads)
		label_foreach(&store->labels, drop_late_asks, &limit);
	return limit.next;
}

static void expire_one(struct label *label, void *userdata)
{
	const uint64_t *clock_usec = userdata;

	if (label->state == LABEL_ASSIGNED && label->expires_usec <= *clock_usec)
		issuer_label_home_step(label);
}

void issuer_label_home_expire(struct issuer_store *store, uint64_t clock_usec)
{
	if (store->leads)
		label_foreach(&store->labels, expire_one, &clock_usec);
}

static void look_at_expiry(struct label *label, void *userdata)
{
	uint64_t *next = userdata;

	if (label->state == LABEL_ASSIGNED && (*next == 0 || label->expires_usec < *next))
		*next = label->expires_usec;
}

uint64_t issuer_label_home_next_expiry(struct issuer_store *store)
{
	uint64_t next = 0;

	if (store->leads)
		label_foreach(&store->labels, look_at_expiry, &next);
	return next;
}
