/* SPDX-License-Identifier: MIT */

/*
 * Handing key bytes out: only after a record on disk says to whom and for what, and for good only
 * when the helper has reported. Until then the same key is there for the same owner, and for nobody
 * else.
 */

#include "common/events.h"
#include "qkd-keyringd/issuer-private.h"

/* The record is on disk. Whoever made the claim may have gone meanwhile. */
static void claim_synced(struct issue_log_waiter *waiter)
{
	struct reservation *reservation = CONTAINER_OF(waiter, struct reservation, waiter);

	reservation->durable = reservation->state == STORE_KEY_DELIVERING;
	if (reservation->claimant)
		reservation->claimant->step(reservation->claimant);
}

static int record_claim(struct reservation *reservation, uint32_t owner)
{
	struct issuer *issuer = reservation->store->issuer;
	int r = reservation_set_owner(reservation, owner);

	if (r < 0)
		return r;
	reservation_record(reservation, STORE_KEY_DELIVERING);
	/* It may wait already, for a claim that was given up. */
	reservation->waiter.synced = claim_synced;
	issue_log_wait(issuer->log, &reservation->waiter);
	return 0;
}

static bool is_settled(const struct reservation *reservation)
{
	for (size_t i = 0; i < reservation_key_count(reservation); i++)
		if (!issuer_path_is_settled(reservation->store, reservation_place(reservation, i)))
			return false;
	return true;
}

int issuer_delivery_claim(struct issue_operation *operation, struct reservation *reservation)
{
	int r;

	if (reservation->claimant != operation && reservation_is_busy(reservation)) {
		issuer_operation_wait(operation, &reservation->waiting);
		return 1;
	}
	if (reservation->owner != ISSUE_NO_OWNER && reservation->owner != operation->owner)
		return -EACCES;
	if (reservation->claimant != operation) {
		reservation->claimant = operation;
		operation->claim = reservation;
		if (!reservation->durable) {
			r = record_claim(reservation, operation->owner);
			if (r < 0)
				return r;
		}
	}
	return reservation->durable && is_settled(reservation) ? 0 : 1;
}

void issuer_delivery_unclaim(struct issue_operation *operation)
{
	struct reservation *reservation = TAKE_PTR(operation->claim);

	reservation->claimant = NULL;
	/* Never handed out: a label's key is free again for whoever asks next. */
	if (!reservation->handed_out && reservation->label) {
		(void)reservation_set_owner(reservation, ISSUE_NO_OWNER);
		reservation_record(reservation, STORE_KEY_RESERVED);
	}
	issuer_operation_wake(&reservation->waiting);
}

static int new_delivery(struct reservation *reservation, struct delivery **ret)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));
	int r;

	if (!delivery)
		return -ENOMEM;
	r = reservation_read(reservation, &delivery->key);
	if (r < 0) {
		free(delivery);
		return r;
	}
	list_init(&delivery->link);
	delivery->issuer = reservation->store->issuer;
	delivery->reservation = reservation;
	*ret = delivery;
	return 0;
}

/* The bytes are not there, though the index says so. */
static void lose_key(struct reservation *reservation, int result)
{
	struct issuer_store *store = reservation->store;

	log_event(LOG_ERR, EVENT_STORES_DIFFER,
		  &(struct log_fields){.peer = store->peer_name,
				       .key_id = &reservation->node.id,
				       .error = -result},
		  "a key for site %s cannot be read and is destroyed: %s", store->peer_name,
		  strerror(-result));
	reservation_destroy(reservation);
}

void issuer_delivery_hand_out(struct issue_operation *operation)
{
	struct reservation *reservation = TAKE_PTR(operation->claim);
	struct delivery *delivery;
	int r = new_delivery(reservation, &delivery);

	reservation->claimant = NULL;
	if (r == -ENOKEY || r == -EBADMSG) {
		lose_key(reservation, r);
		issuer_operation_finish(operation, -EKEYEXPIRED);
		return;
	}
	if (r < 0) {
		/* The disk or memory may be better next time. */
		log_warning("a key for site %s cannot be read: %s", operation->store->peer_name,
			    strerror(-r));
		issuer_operation_finish(operation, -ETIMEDOUT);
		issuer_operation_wake(&reservation->waiting);
		return;
	}
	reservation->handed_out = true;
	reservation->delivery = delivery;
	list_append(&operation->issuer->deliveries, &delivery->link);
	operation->delivery = delivery;
	issuer_operation_finish(operation, 0);
}

static uint32_t expires_sec(const struct reservation *reservation)
{
	const struct issuer *issuer = reservation->store->issuer;
	uint64_t clock = issuer_clock(issuer);

	if (!reservation->label)
		return issuer->label_ttl_sec;
	if (reservation->label->expires_usec <= clock)
		return 1;
	return (uint32_t)((reservation->label->expires_usec - clock) / USEC_PER_SEC) ?: 1;
}

void issuer_delivery_fill(const struct delivery *delivery, struct issued_key *ret)
{
	const struct reservation *reservation = delivery->reservation;

	*ret = (struct issued_key){
		.key = delivery->key,
		.key_bits = (uint32_t)(delivery->key->size_bytes * 8),
		.delivery = (struct delivery *)delivery,
	};
	if (reservation) {
		ret->id = reservation->node.id;
		ret->expires_sec = expires_sec(reservation);
	}
}

static struct reservation *end_delivery(struct delivery *delivery)
{
	struct reservation *reservation = delivery->reservation;

	list_remove(&delivery->link);
	secret_free(delivery->key);
	free(delivery);
	if (reservation)
		reservation->delivery = NULL;
	return reservation;
}

void delivery_report(struct delivery *delivery, bool delivered)
{
	struct reservation *reservation;

	if (!delivered) {
		delivery_abandon(delivery);
		return;
	}
	reservation = end_delivery(delivery);
	if (!reservation)
		return;
	log_event(
		LOG_INFO, EVENT_KEY_ISSUED,
		&(struct log_fields){.peer = reservation->store->peer_name,
				     .key_id = &reservation->node.id,
				     .label = reservation->label ? reservation->label->name : NULL},
		"key shared with site %s issued to uid %u", reservation->store->peer_name,
		reservation->owner);
	reservation_end(reservation, STORE_KEY_ISSUED);
}

void delivery_abandon(struct delivery *delivery)
{
	struct reservation *reservation;

	if (!delivery)
		return;
	reservation = end_delivery(delivery);
	if (!reservation)
		return;
	issuer_loop_expiry(reservation->store->issuer, reservation->expires_usec);
	issuer_operation_wake(&reservation->waiting);
}
