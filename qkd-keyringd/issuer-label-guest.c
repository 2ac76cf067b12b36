/* SPDX-License-Identifier: MIT */

/*
 * Labels at the site that is not their home: always ask the home, and hand out what it has chosen,
 * once it says that the choice is on its disk. The home's mark comes first; whoever waits here
 * claims the key then already, so that both sites write their records at the same time.
 */

#include "common/events.h"
#include "qkd-keyringd/issuer-private.h"

/* What a home may refuse with; anything else is its own affair. */
static int home_error(uint32_t error)
{
	if (error == EINVAL || error == EKEYEXPIRED || error == EACCES || error == ENOKEY)
		return -(int)error;
	return -ETIMEDOUT;
}

static void assign(struct label *label, const struct site_message *message,
		   struct reservation *reservation);

static bool is_current(const struct label *label, const struct issue_operation *operation)
{
	return label->state == LABEL_ASSIGNED && label->generation == operation->label_generation;
}

/*
 * The home's mark comes before its answer, and is not repeated. So where the answer names a key
 * that lies here unused, a power cut has taken the mark, and the answer stands for it. What had
 * been handed out here before the cut is on record, and not unused. A key of several parts is not
 * found in this way: nobody gets it here.
 */
static bool make_lost_mark(struct label *label, const struct site_message *answer)
{
	struct issuer_store *store = label->store;
	struct reservation *reservation;
	struct store_place place;

	if (label->state != LABEL_NEW || !store_find(store->store, &answer->id, &place) ||
	    store_state(store->store, place) != STORE_KEY_AVAILABLE ||
	    store_is_own(store->store, place) ||
	    store_key_bits(store->store, place.directory) != answer->bits ||
	    reservation_new(store, &place, 1, answer->bits, &reservation) < 0)
		return false;
	assign(label, answer, reservation);
	return true;
}

static void labelled(struct site_request *request, const struct site_message *answer)
{
	struct issue_operation *operation = CONTAINER_OF(request, struct issue_operation, request);
	struct label *label = label_find(&operation->store->labels, operation->label);

	if (answer->error) {
		issuer_operation_finish(operation, home_error(answer->error));
		return;
	}
	operation->confirmed = true;
	operation->label_generation = answer->label_generation;
	if (!label || !make_lost_mark(label, answer)) /* it wakes all that wait */
		operation->step(operation);
}

static int ask_home(struct issue_operation *operation)
{
	struct issuer *issuer = operation->issuer;
	uint64_t now = issuer_now(issuer);
	uint64_t left = operation->deadline_usec > now ? operation->deadline_usec - now : 0;
	struct site_message message = {
		.type = SITE_LABEL,
		.request = issuer_new_request(issuer),
		.bits = operation->bits,
		.ttl_sec = operation->ttl_sec,
		.wait_msec = (uint32_t)MIN(left / USEC_PER_MSEC, (uint64_t)SITE_WAIT_MAX_MSEC),
	};

	strcpy(message.label, operation->label);
	operation->asked = true;
	return site_peer_ask(operation->store->peer, &operation->request, &message, labelled);
}

/* The home has answered for this very choice. */
static void serve(struct label *label, struct issue_operation *operation)
{
	int r;

	if (!label->reservation) {
		issuer_operation_finish(operation, -EKEYEXPIRED);
		return;
	}
	label->confirmed = true;
	r = issuer_delivery_claim(operation, label->reservation);
	if (r < 0)
		issuer_operation_finish(operation, r);
	else if (r == 0)
		issuer_delivery_hand_out(operation);
}

/* Before the home's answer: the first to wait claims the key that the home's mark names. */
static void claim_early(struct label *label, struct issue_operation *operation)
{
	if (label->state == LABEL_ASSIGNED && label->reservation &&
	    !reservation_is_busy(label->reservation) && label->reservation->owner == ISSUE_NO_OWNER)
		(void)issuer_delivery_claim(operation, label->reservation);
}

void issuer_label_guest_operation(struct issue_operation *operation)
{
	struct issuer_store *store = operation->store;
	struct label *label = label_find(&store->labels, operation->label);

	if (!label && label_add(&store->labels, store, operation->label, &label) < 0) {
		issuer_operation_finish(operation, -ENOMEM);
		return;
	}
	issuer_operation_wait(operation, &label->waiting);
	if (operation->confirmed && is_current(label, operation)) {
		list_remove(&operation->wait_link);
		serve(label, operation);
		return;
	}
	/* The home has chosen anew since it answered. */
	if (operation->confirmed && label->state == LABEL_ASSIGNED) {
		operation->confirmed = operation->asked = false;
	}
	claim_early(label, operation);
	if (!operation->asked && ask_home(operation) < 0)
		issuer_operation_finish(operation, -ETIMEDOUT);
}

/* Replaces what the label stood for; false when that was handed out. */
static bool let_go(struct label *label)
{
	struct reservation *reservation = label->reservation;

	if (label->state == LABEL_NEW)
		return true;
	if (label->served || !reservation || reservation->handed_out || reservation->delivery)
		return false;
	label->state = LABEL_NEW;
	label->reservation = NULL;
	reservation->label = NULL;
	reservation_destroy(reservation);
	return true;
}

static void assign(struct label *label, const struct site_message *message,
		   struct reservation *reservation)
{
	struct issuer *issuer = label->store->issuer;

	label->state = LABEL_ASSIGNED;
	label->generation = message->label_generation;
	label->expires_usec = message->expires_usec;
	label->bits = message->bits;
	label->id = reservation->node.id;
	label->reservation = reservation;
	label->served = label->confirmed = false;
	reservation->label = label;
	reservation->by_peer = true;
	reservation->request = message->request;
	reservation->expires_usec = message->expires_usec;
	if (list_is_empty(&label->waiting))
		reservation_record(reservation, STORE_KEY_RESERVED);
	issuer_label_record(label, false);
	issuer_operation_wake(&label->waiting);
	issuer_loop_notice(issuer, label->store->peer_name, label->name, &label->id);
}

enum site_verdict issuer_label_guest_mark(struct issuer_store *store,
					  const struct site_message *message,
					  const struct store_place *places)
{
	struct label *label = label_find(&store->labels, message->label);
	struct reservation *reservation;

	if (label && !let_go(label)) {
		log_event(LOG_WARNING, EVENT_STORES_DIFFER,
			  &(struct log_fields){.peer = store->peer_name, .label = label->name},
			  "site %s chose a key for label %s, which stands for another one here; "
			  "was it restored from an old disk?",
			  store->peer_name, label->name);
		return SITE_VERDICT_LABEL;
	}
	/* Waking what waited for the old key may have dropped the label. */
	label = label_find(&store->labels, message->label);
	if (!label && label_add(&store->labels, store, message->label, &label) < 0)
		return SITE_VERDICT_REFUSED;
	if (reservation_new(store, places, message->parts, message->bits, &reservation) < 0) {
		issuer_label_drop_idle(label);
		return SITE_VERDICT_REFUSED;
	}
	assign(label, message, reservation);
	return SITE_VERDICT_OK;
}

/* What is being delivered now is delivered to its end. */
static void end(struct label *label)
{
	struct reservation *reservation = TAKE_PTR(label->reservation);
	struct issuer_store *store = label->store;
	char name[LABEL_MAX_CHARS + 1];

	strcpy(name, label->name);
	issuer_label_record(label, true);
	label->state = LABEL_NEW;
	label->served = false;
	if (reservation) {
		reservation->label = NULL;
		reservation->expires_usec = issuer_clock(store->issuer);
	}
	if (reservation && !reservation->delivery)
		reservation_end(reservation, STORE_KEY_DESTROYED);
	label = label_find(&store->labels, name);
	if (label)
		issuer_label_drop_idle(label);
}
void issuer_label_guest_end(struct issuer_store *store, const struct site_message *message)
{
	struct label *label = label_find(&store->labels, message->label);

	if (label && label->state == LABEL_ASSIGNED &&
	    label->generation == message->label_generation)
		end(label);
	issuer_serve_done_synced(store, &message->request);
}

/* After a power cut its home may not know that it has chosen; nobody can have had the key there. */
void issuer_label_guest_forgotten(struct label *label)
{
	const struct reservation *reservation = label->reservation;

	if (label->store->leads || label->state != LABEL_ASSIGNED || label->served ||
	    !reservation || reservation->handed_out || reservation_is_busy(reservation))
		return;
	end(label);
}
