/* SPDX-License-Identifier: MIT */

/*
 * Keys asked for by their id: GetExistingKey reserves what the peer made new, an upcall collects
 * what is reserved; and DestroyKey. An id that has not arrived, or that the peer has not marked
 * yet, is waited for.
 */

#include "qkd-keyringd/issuer-private.h"

/* What it is made of, the peer tells while it has it reserved, too. */
static void mark_again(struct issue_operation *operation, struct store_place place,
		       const struct site_message *answer)
{
	struct issuer_store *store = operation->store;
	struct reservation *reservation;
	size_t parts;
	int r;

	if (answer->verdicts[0] == SITE_VERDICT_ISSUED)
		r = reservation_new(store, &place, 1, 0, &reservation);
	else if (answer->keys.count == 0 || !uuid_equal(&answer->keys.ids[0], &operation->id))
		return;
	else
		r = issuer_directory_reserve(store, &answer->keys, 0, answer->bits, &reservation,
					     &parts);
	if (r < 0)
		return;
	reservation->by_peer = true;
	reservation->expires_usec =
		issuer_clock(store->issuer) + store->issuer->reservation_sec * USEC_PER_SEC;
	reservation_record(reservation, STORE_KEY_RESERVED);
}

/* The mark was lost here (a power cut), so the peer is asked what has become of its key. */
static void queried(struct site_request *request, const struct site_message *answer)
{
	struct issue_operation *operation = CONTAINER_OF(request, struct issue_operation, request);
	struct issuer_store *store = operation->store;
	struct store_place place;
	char verdict = answer->verdicts[0];

	if (!store_find(store->store, &operation->id, &place) ||
	    store_state(store->store, place) != STORE_KEY_AVAILABLE) {
		operation->step(operation);
		return;
	}
	if (verdict == SITE_VERDICT_DESTROYED)
		issuer_directory_end_key(store, place, STORE_KEY_DESTROYED);
	else if (verdict == SITE_VERDICT_RESERVED || verdict == SITE_VERDICT_ISSUED)
		mark_again(operation, place, answer);
	operation->step(operation);
}

static void query(struct issue_operation *operation)
{
	struct site_message message = {
		.type = SITE_QUERY,
		.request = issuer_new_request(operation->issuer),
		.id = operation->id,
	};

	if (operation->asked)
		return;
	operation->asked = true;
	if (site_peer_ask(operation->store->peer, &operation->request, &message, queried) < 0)
		operation->asked = false;
}

/* Answers a reservation, or finishes the operation, or leaves it waiting. */
static struct reservation *find_reservation(struct issue_operation *operation)
{
	struct issuer_store *store = operation->store;
	struct reservation *reservation = reservation_find(store, &operation->id);
	struct store_place place;

	if (reservation && !reservation->marking && !reservation->label)
		return reservation;
	if (reservation && reservation->label) {
		issuer_operation_finish(operation, -EACCES);
		return NULL;
	}
	if (!reservation && store_find(store->store, &operation->id, &place)) {
		if (store_state(store->store, place) != STORE_KEY_AVAILABLE) {
			issuer_operation_finish(operation, -EKEYEXPIRED);
			return NULL;
		}
		if (store_is_own(store->store, place)) {
			issuer_operation_finish(operation, -EACCES);
			return NULL;
		}
		query(operation);
	}
	issuer_operation_wait(operation, &store->seeking);
	return NULL;
}

static void existing_step(struct issue_operation *operation)
{
	struct reservation *reservation = find_reservation(operation);
	int r = 0;

	if (!reservation)
		return;
	if (reservation->owner != ISSUE_NO_OWNER && reservation->owner != operation->owner) {
		issuer_operation_finish(operation, -EACCES);
		return;
	}
	if (reservation->owner == ISSUE_NO_OWNER) {
		r = reservation_check_quota(operation->issuer, operation->owner,
					    reservation_key_count(reservation));
		if (r >= 0)
			r = reservation_set_owner(reservation, operation->owner);
		if (r >= 0)
			reservation_record(reservation, STORE_KEY_RESERVED);
	}
	if (r >= 0) {
		operation->ids[0] = operation->id;
		operation->id_count = 1;
	}
	issuer_operation_finish(operation, r);
}

static void deliver_step(struct issue_operation *operation)
{
	struct reservation *reservation = find_reservation(operation);
	int r;

	if (!reservation)
		return;
	if (operation->bits && operation->bits != reservation->bits) {
		issuer_operation_finish(operation, -EINVAL);
		return;
	}
	r = issuer_delivery_claim(operation, reservation);
	if (r < 0)
		issuer_operation_finish(operation, r);
	else if (r == 0)
		issuer_delivery_hand_out(operation);
}

int issuer_reserve_existing(struct issuer *issuer, const char *peer, const struct uuid *id,
			    uid_t owner, uint64_t deadline_usec, issue_reserved_t done,
			    void *userdata, struct issue_operation **ret)
{
	struct issue_operation *operation;
	int r = issuer_operation_new(issuer, peer, owner, deadline_usec, existing_step, &operation);

	if (r < 0)
		return r;
	operation->reserved = done;
	operation->userdata = userdata;
	operation->id = *id;
	operation->ids = calloc(1, sizeof(*operation->ids));
	if (!operation->ids)
		issuer_operation_finish(operation, -ENOMEM);
	if (!operation->finished)
		existing_step(operation);
	*ret = operation;
	return 0;
}

int issuer_deliver_id(struct issuer *issuer, const char *peer, const struct uuid *id, uint32_t bits,
		      uid_t owner, uint64_t deadline_usec, issue_delivered_t done, void *userdata,
		      struct issue_operation **ret)
{
	struct issue_operation *operation;
	int r = issuer_operation_new(issuer, peer, owner, deadline_usec, deliver_step, &operation);

	if (r < 0)
		return r;
	operation->delivered = done;
	operation->userdata = userdata;
	operation->id = *id;
	operation->bits = bits;
	if (!operation->finished)
		deliver_step(operation);
	*ret = operation;
	return 0;
}

int issuer_destroy(struct issuer *issuer, const char *peer, const struct uuid *id, uid_t owner)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct reservation *reservation;
	struct store_place place;

	if (!store || !store_find(store->store, id, &place))
		return -ENOKEY;
	reservation = reservation_find(store, id);
	if (!reservation)
		return store_state(store->store, place) == STORE_KEY_AVAILABLE ? -EACCES
									       : -EKEYEXPIRED;
	if (reservation->label || (reservation->owner != owner && owner != 0))
		return -EACCES;
	if (reservation_is_busy(reservation))
		return -EBUSY;
	reservation_destroy(reservation);
	return 0;
}
