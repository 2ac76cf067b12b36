/* SPDX-License-Identifier: MIT */

/*
 * GetNewKey: fresh keys of our own half, marked at the peer before anybody here is told their ids.
 * One round trip, and no wait for the disk: the mark that runs ahead covers the choice.
 */

#include "qkd-keyringd/issuer-private.h"

static void reserve_step(struct issue_operation *operation);

static void supply_ready(struct supply_waiter *waiter)
{
	reserve_step(CONTAINER_OF(waiter, struct issue_operation, supply));
}

/* Takes as many available keys as are wanted and fit into one mark, all of one directory. */
static void choose_keys(struct issue_operation *operation)
{
	struct issuer_store *store = operation->store;
	struct reservation *reservation;
	const uint32_t *directory = NULL;
	size_t most = operation->wanted;

	operation->count = 0;
	while (operation->count < most &&
	       issuer_supply_take(store, operation->bits, directory, &reservation)) {
		reservation->marking = true;
		reservation->request = operation->request.node.id;
		operation->keys[operation->count++] = reservation;
		directory = &operation->keys[0]->place.directory;
		most = MIN(most, SITE_MESSAGE_MAX_KEYS / reservation_key_count(reservation));
	}
	issuer_supply_run_ahead(store);
	issuer_store_changed(store);
}

static uint32_t wait_msec(const struct issue_operation *operation)
{
	uint64_t now = issuer_now(operation->issuer);
	uint64_t left = operation->deadline_usec > now ? operation->deadline_usec - now : 0;

	/* Half of what is left, so that there is time for another key. */
	return (uint32_t)MIN(left / 2 / USEC_PER_MSEC, (uint64_t)SITE_WAIT_MAX_MSEC);
}

/* The outcome of what the peer was asked to mark is unknown now. */
static void undo_reserve(struct issue_operation *operation)
{
	struct issuer_store *store = operation->store;

	if (operation->count == 0)
		return;
	site_request_cancel(store->peer, &operation->request);
	issuer_withdraw(store, TAKE_PTR(operation->keys), operation->count);
	operation->count = 0;
}

/* The key becomes the owner's. */
static int keep(struct issue_operation *operation, struct reservation *reservation)
{
	uint64_t hold_usec = operation->issuer->reservation_sec * USEC_PER_SEC;
	int r = reservation_set_owner(reservation, operation->owner);

	if (r < 0)
		return r;
	reservation->expires_usec = issuer_clock(operation->issuer) + hold_usec;
	reservation_record(reservation, STORE_KEY_RESERVED);
	operation->ids[operation->id_count++] = reservation->node.id;
	return 0;
}

/* Keys of the peer's half that it has reserved for us instead; *first is the next of them. */
static void take_alternative(struct issue_operation *operation, const struct site_keys *keys,
			     uint32_t bits, size_t *first)
{
	struct reservation *reservation;
	size_t parts;

	if (issuer_directory_reserve(operation->store, keys, *first, bits, &reservation, &parts) <
	    0) {
		*first = keys->count; /* what follows cannot be told apart */
		return;
	}
	*first += parts;
	reservation->request = operation->request.node.id;
	operation->store->alternatives++;
	if (keep(operation, reservation) < 0)
		reservation_destroy(reservation);
}

static void take_verdicts(struct issue_operation *operation, const struct site_message *answer)
{
	size_t alternative = 0, known = answer->verdicts ? strlen(answer->verdicts) : 0;
	uint32_t bits = operation->keys[0]->bits;

	for (size_t i = 0; i < operation->count; i++) {
		char verdict = i < known ? answer->verdicts[i] : SITE_VERDICT_REFUSED;

		if (verdict == SITE_VERDICT_OK) {
			if (keep(operation, operation->keys[i]) < 0)
				reservation_destroy(operation->keys[i]);
			continue;
		}
		if (verdict == SITE_VERDICT_ALTERNATIVE && alternative < answer->keys.count)
			take_alternative(operation, &answer->keys, bits, &alternative);
		reservation_destroy(operation->keys[i]);
	}
	operation->count = 0;
}

static void marked(struct site_request *request, const struct site_message *answer)
{
	struct issue_operation *operation = CONTAINER_OF(request, struct issue_operation, request);

	take_verdicts(operation, answer);
	if (operation->id_count > 0)
		issuer_operation_finish(operation, 0);
	else if (++operation->tries >= ISSUER_MAX_TRIES)
		issuer_operation_finish(operation, -ETIMEDOUT);
	else
		reserve_step(operation);
}

static int start_mark(struct issue_operation *operation)
{
	struct issuer_store *store = operation->store;
	_cleanup_(site_message_done) struct site_message message = {
		.type = SITE_MARK,
		.request = operation->keys[0]->request,
		.hold_sec = MIN(store->issuer->reservation_sec + ISSUER_MARK_MARGIN_SEC,
				SITE_HOLD_MAX_SEC),
		.wait_msec = wait_msec(operation),
		.bits = operation->keys[0]->bits,
		.parts = (uint32_t)reservation_key_count(operation->keys[0]),
	};
	int r = reservation_list(operation->keys, operation->count, &message.keys);

	return r < 0 ? r : site_peer_ask(store->peer, &operation->request, &message, marked);
}

/* What was chosen and never sent. */
static void put_back(struct issue_operation *operation)
{
	while (operation->count > 0)
		reservation_release(operation->keys[--operation->count]);
}

static void reserve_step(struct issue_operation *operation)
{
	struct issuer_store *store = operation->store;
	int r = 0;

	if (operation->finished)
		return;
	operation->request.node.id = issuer_new_request(operation->issuer);
	if (site_peer_is_connected(store->peer))
		choose_keys(operation);
	if (operation->count > 0)
		r = start_mark(operation);
	else
		issuer_supply_wait(store, &operation->supply, operation->bits);
	if (r >= 0)
		return;
	put_back(operation);
	issuer_operation_finish(operation, r);
}

static int start(struct issue_operation *operation, size_t count)
{
	struct issuer_store *store = operation->store;
	int r;

	if (!issuer_supply_has_size(store, operation->bits))
		return -EINVAL;
	r = reservation_check_quota(operation->issuer, operation->owner, count);
	if (r < 0)
		return r;
	operation->keys = calloc(count, sizeof(struct reservation *));
	operation->ids = calloc(count, sizeof(*operation->ids));
	if (!operation->keys || !operation->ids)
		return -ENOMEM;
	operation->undo = undo_reserve;
	operation->supply.ready = supply_ready;
	operation->supply.count = count;
	reserve_step(operation);
	return 0;
}

int issuer_reserve_new(struct issuer *issuer, const char *peer, uint32_t bits, size_t count,
		       uid_t owner, uint64_t deadline_usec, issue_reserved_t done, void *userdata,
		       struct issue_operation **ret)
{
	struct issue_operation *operation;
	int r;

	if (count == 0 || count > ISSUE_MAX_COUNT)
		return -EINVAL;
	r = issuer_operation_new(issuer, peer, owner, deadline_usec, reserve_step, &operation);
	if (r < 0)
		return r;
	operation->reserved = done;
	operation->userdata = userdata;
	operation->bits = bits;
	operation->wanted = count;
	if (!operation->finished) {
		r = start(operation, count);
		if (r < 0)
			issuer_operation_finish(operation, r);
	}
	*ret = operation;
	return 0;
}
