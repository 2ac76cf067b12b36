/* SPDX-License-Identifier: MIT */

/*
 * One step of the protocol: an event meets a transaction, the table says what happens, this does
 * it. There is no decision here that the table does not make; only the guards are computed here.
 */

#include "qkd-linkd/sync-internal.h"

#include <assert.h>

#include "qkd-linkd/sync-confirm.h"

/* Guards */

static bool ids_are_ours(const struct sync_txn *txn, const struct sync_message *message)
{
	const struct uuid *ids = txn->keys ? txn->keys->ids : txn->ids;

	return message->syn.alpha == txn->alpha && message->syn.count == txn->count &&
	       memcmp(message->syn.ids, ids, txn->count * sizeof(*ids)) == 0;
}

static enum sync_guard guard_syn(struct sync_machine *machine, const struct sync_txn *txn,
				 const struct sync_message *message)
{
	if (txn)
		return ids_are_ours(txn, message) ? SYNC_GOOD : SYNC_BAD;
	if (message->txn < machine->store.next_txn)
		return SYNC_OLD;
	if (machine->count == SYNC_MAX_OPEN || message->syn.count <= machine->settings.confirm ||
	    sync_store_is_full(machine, message->syn.count))
		return SYNC_FULL;
	return SYNC_FRESH;
}

static enum sync_guard guard_unknown(const struct sync_machine *machine, uint64_t number)
{
	return number < machine->store.next_txn ? SYNC_OLD : SYNC_UNUSED;
}

static enum sync_guard guard_syn_ack(const struct sync_machine *machine, const struct sync_txn *txn,
				     const struct sync_message *message)
{
	if (!txn)
		return guard_unknown(machine, message->txn);
	if (message->syn_ack.alpha_plus_one != txn->alpha + 1)
		return SYNC_BAD;
	if (sync_txn_is_decided(txn))
		return message->syn_ack.beta == txn->beta ? SYNC_GOOD : SYNC_BAD;
	if (!machine->settings.confirm)
		return SYNC_GOOD;
	if (!message->syn_ack.has_tag)
		return SYNC_BAD;
	return sync_confirm_equal(message->syn_ack.tag, txn->tag) ? SYNC_GOOD : SYNC_UNEQUAL;
}

/* A first number is possible when the gap before it can be filled by what else is open here, and
 * nothing else has been given these numbers. */
static bool first_is_possible(const struct sync_machine *machine, const struct sync_txn *txn,
			      uint64_t first)
{
	uint64_t others = 0;

	for (size_t i = 0; i < machine->count; i++) {
		const struct sync_txn *other = machine->txns[i];

		if (other == txn || other->state < SYNC_PREPARED)
			continue;
		if (sync_txn_is_decided(other) && first < other->first + other->lines &&
		    other->first < first + txn->lines)
			return false;
		others += other->lines;
	}
	return first >= machine->store.next && first - machine->store.next <= others;
}

static enum sync_guard guard_ack(const struct sync_machine *machine, const struct sync_txn *txn,
				 const struct sync_message *message)
{
	uint64_t first = message->ack.first;

	if (!txn)
		return message->txn < machine->store.next_txn &&
				       first + message->ack.count <= machine->store.next
			       ? SYNC_OLD
			       : SYNC_INCONSISTENT;
	if (message->ack.beta_plus_one != txn->beta + 1 || message->ack.count != txn->lines)
		return SYNC_BAD;
	if (sync_txn_is_decided(txn))
		return first == txn->first ? SYNC_GOOD : SYNC_INCONSISTENT;
	return first_is_possible(machine, txn, first) ? SYNC_GOOD : SYNC_INCONSISTENT;
}

/* Actions */

static int act_fetch(struct sync_machine *machine, const struct sync_input *input,
		     struct sync_txn **txn)
{
	const struct sync_message *message = input->message;
	_cleanup_(sync_txn_freep) struct sync_txn *new = NULL;
	int r;

	r = sync_txn_new(input->number, &new);
	if (r < 0)
		return r;
	new->alpha = message->syn.alpha;
	new->count = (uint32_t)message->syn.count;
	new->lines = new->count - machine->settings.confirm;
	new->begun_usec = sync_now(machine);
	new->ids = malloc(new->count * sizeof(*new->ids));
	if (!new->ids)
		return -ENOMEM;
	memcpy(new->ids, message->syn.ids, new->count * sizeof(*new->ids));
	machine->store.next_txn = new->number + 1;
	*txn = machine->txns[machine->count++] = TAKE_PTR(new);
	return 0;
}

static int act_begin(struct sync_machine *machine, const struct sync_input *input,
		     struct sync_txn **txn)
{
	_cleanup_(sync_txn_freep) struct sync_txn *new = NULL;
	int r;

	r = sync_txn_new(input->number, &new);
	if (r < 0)
		return r;
	r = sync_random64(machine, &new->alpha);
	if (r < 0)
		return r;
	new->count = (uint32_t)input->keys->count;
	new->lines = new->count - machine->settings.confirm;
	new->begun_usec = sync_now(machine);
	machine->store.next_txn = new->number + 1;
	*txn = machine->txns[machine->count++] = TAKE_PTR(new);
	return 0;
}

static int act_prepare(struct sync_machine *machine, struct sync_input *input,
		       struct sync_txn **txn)
{
	bool is_leader = machine->settings.role == SYNC_LEADER;
	int r;

	r = is_leader ? act_begin(machine, input, txn) : sync_random64(machine, &(*txn)->beta);
	if (r < 0)
		return r;
	(*txn)->keys = TAKE_PTR(input->keys);
	free(TAKE_PTR((*txn)->ids));
	if (machine->settings.confirm) {
		r = sync_confirm_tag(*txn, (*txn)->tag);
		if (r < 0)
			return r;
	}
	sync_want_flush(machine);
	return sync_journal_prepared(machine->journal, *txn);
}

static int act_commit(struct sync_machine *machine, const struct sync_input *input,
		      struct sync_txn *txn)
{
	if (machine->settings.role == SYNC_LEADER) {
		txn->beta = input->message->syn_ack.beta;
		txn->first = machine->store.decided;
	} else {
		txn->first = input->message->ack.first;
	}
	machine->store.decided = MAX(machine->store.decided, txn->first + txn->lines);
	sync_want_flush(machine);
	return sync_journal_commit(machine->journal, txn);
}

/* A whole window that is refused counts once. */
static void pause_asking(struct sync_machine *machine)
{
	uint64_t now = sync_now(machine);

	if (now < machine->pause_until_usec)
		return;
	machine->pause_usec =
		MIN(MAX(2 * machine->pause_usec, SYNC_PAUSE_MIN_USEC), SYNC_PAUSE_MAX_USEC);
	machine->pause_until_usec = now + machine->pause_usec;
}

static int act_abort(struct sync_machine *machine, const struct sync_input *input,
		     struct sync_txn *txn)
{
	sync_count(machine, SYNC_STATISTIC_ABORTED, 1);
	if (input->event == SYNC_EVENT_NAK) {
		sync_count(machine, SYNC_STATISTIC_NAKS, 1);
		pause_asking(machine);
	}
	if (input->guard == SYNC_UNEQUAL) {
		sync_count(machine, SYNC_STATISTIC_UNEQUAL, 1);
		machine->ops->distrust(txn->number, "the devices gave different keys",
				       machine->userdata);
	}
	sync_want_flush(machine);
	return sync_journal_abort(machine->journal, txn);
}

/* One that was recovered began before this process did. */
static void count_delivered(struct sync_machine *machine, const struct sync_txn *txn)
{
	sync_count(machine, SYNC_STATISTIC_TRANSACTIONS, 1);
	sync_count(machine, SYNC_STATISTIC_KEYS, txn->lines);
	if (!txn->is_recovered)
		sync_count(machine, SYNC_STATISTIC_LATENCY, sync_now(machine) - txn->begun_usec);
}

static int act_deliver(struct sync_machine *machine, struct sync_txn *txn)
{
	count_delivered(machine, txn);
	machine->pause_usec = 0;
	machine->ops->agreed(txn->first, txn->keys->ids, txn->keys->keys->bytes, txn->lines,
			     machine->userdata);
	txn->keys = key_batch_free(txn->keys);
	txn->place = (struct wal_place){};
	return 0;
}

static const char *describe(const struct sync_input *input)
{
	if (input->event == SYNC_EVENT_SYN)
		return "SYN with other contents for an open transaction";
	if (input->event == SYNC_EVENT_SYN_ACK && input->guard == SYNC_BAD)
		return "SYN_ACK with a wrong alpha or beta";
	if (input->event == SYNC_EVENT_ACK && input->guard == SYNC_BAD)
		return "ACK with a wrong beta";
	if (input->guard == SYNC_INCONSISTENT)
		return "ACK with an impossible sequence number";
	return "message out of order";
}

static void distrust(struct sync_machine *machine, const struct sync_input *input)
{
	sync_count(machine, SYNC_STATISTIC_DISTRUSTED, 1);
	machine->ops->distrust(input->number, describe(input), machine->userdata);
}

static int act(struct sync_machine *machine, enum sync_action action, struct sync_input *input,
	       struct sync_txn **txn)
{
	switch (action) {
	case SYNC_DO_NOTHING:
	case SYNC_DO_DROP:
	case SYNC_ACTION_COUNT_:
		return 0;
	case SYNC_DO_FETCH:
		return act_fetch(machine, input, txn);
	case SYNC_DO_PREPARE:
		return act_prepare(machine, input, txn);
	case SYNC_DO_COMMIT:
		return act_commit(machine, input, *txn);
	case SYNC_DO_ABORT:
		return act_abort(machine, input, *txn);
	case SYNC_DO_DELIVER:
		return act_deliver(machine, *txn);
	case SYNC_DO_FINISH:
		sync_want_flush(machine);
		return sync_journal_done(machine->journal, *txn);
	case SYNC_DO_DISTRUST:
		distrust(machine, input);
		return 0;
	case SYNC_DO_REFUSE:
		distrust(machine, input);
		sync_end_connection(machine, "the peer's sequence numbers contradict ours");
		return 0;
	}
	return 0;
}

/* States */

static void start_retry(struct sync_machine *machine, struct sync_txn *txn)
{
	txn->backoff_usec = SYNC_RETRY_MIN_USEC;
	txn->retry_usec = sync_now(machine) + txn->backoff_usec;
}

static void enter(struct sync_machine *machine, struct sync_txn *txn, enum sync_state next)
{
	bool is_leader = machine->settings.role == SYNC_LEADER;

	if (txn->state == next)
		return;
	txn->state = next;
	txn->limit_usec = UINT64_MAX;
	switch (next) {
	case SYNC_FETCHING:
		txn->limit_usec = sync_now(machine) + SYNC_FETCH_LIMIT_USEC;
		break;
	case SYNC_PREPARED:
		start_retry(machine, txn);
		if (is_leader)
			txn->limit_usec = sync_now(machine) + SYNC_SYN_LIMIT_USEC;
		break;
	case SYNC_COMMITTED:
		if (!is_leader) {
			sync_want_flush(machine); /* its lines, in their turn */
			break;
		}
		start_retry(machine, txn);
		txn->limit_usec = sync_now(machine) + machine->settings.hold_usec;
		break;
	case SYNC_RELEASED:
		sync_want_flush(machine);
		break;
	case SYNC_SETTLED:
		txn->retry_usec = UINT64_MAX;
		sync_want_flush(machine);
		break;
	case SYNC_COMMITTING:
		txn->retry_usec = UINT64_MAX;
		break;
	case SYNC_IDLE:
	case SYNC_PREPARING:
	case SYNC_APPLIED:
	case SYNC_STATE_COUNT_:
		break;
	}
}

/* Replies */

static void fill_syn_ack(const struct sync_machine *machine, const struct sync_txn *txn,
			 struct sync_message *message)
{
	message->syn_ack.alpha_plus_one = txn->alpha + 1;
	message->syn_ack.beta = txn->beta;
	message->syn_ack.has_tag = machine->settings.confirm;
	memcpy(message->syn_ack.tag, txn->tag, sizeof(txn->tag));
}

static void reply(struct sync_machine *machine, enum sync_reply kind,
		  const struct sync_input *input, const struct sync_txn *txn)
{
	static const enum sync_kind kinds[SYNC_REPLY_COUNT_] = {
		[SYNC_REPLY_SYN] = SYNC_SYN,   [SYNC_REPLY_SYN_ACK] = SYNC_SYN_ACK,
		[SYNC_REPLY_NAK] = SYNC_NAK,   [SYNC_REPLY_ACK] = SYNC_ACK,
		[SYNC_REPLY_DONE] = SYNC_DONE, [SYNC_REPLY_ABORT] = SYNC_ABORT,
	};
	struct sync_message message = {.kind = kinds[kind], .txn = input->number};

	if (kind == SYNC_REPLY_NONE || machine->link != SYNC_LINK_UP)
		return;
	if (kind == SYNC_REPLY_SYN) {
		message.syn.alpha = txn->alpha;
		message.syn.count = txn->count;
		message.syn.ids = txn->keys->ids;
	} else if (kind == SYNC_REPLY_SYN_ACK) {
		fill_syn_ack(machine, txn, &message);
	} else if (kind == SYNC_REPLY_ACK) {
		message.ack.beta_plus_one = txn->beta + 1;
		message.ack.first = txn->first;
		message.ack.count = txn->lines;
	} else if (kind == SYNC_REPLY_NAK) {
		message.nak.reason = input->reason;
	}
	machine->ops->send(&message, machine->userdata);
}

void sync_forget(struct sync_machine *machine, struct sync_txn *txn)
{
	size_t i = 0;

	while (machine->txns[i] != txn)
		i++;
	machine->count--;
	memmove(&machine->txns[i], &machine->txns[i + 1],
		(machine->count - i) * sizeof(machine->txns[0]));
	sync_txn_free(txn);
}

static int ask_device(struct sync_machine *machine, const struct sync_txn *txn)
{
	struct sync_input input = {
		.event = SYNC_EVENT_FAILED, .number = txn->number, .reason = SYNC_REASON_DEVICE};

	if (machine->ops->fetch(txn->number, txn->ids, txn->count, machine->userdata) >= 0)
		return 0;
	return sync_step(machine, &input);
}

int sync_step(struct sync_machine *machine, struct sync_input *input)
{
	struct sync_txn *txn = sync_find(machine, input->number);
	const struct sync_transition *row = sync_table_find(
		machine->settings.role, txn ? txn->state : SYNC_IDLE, input->event, input->guard);
	int r;

	if (!row) {
		if (input->event < SYNC_EVENT_MESSAGES_)
			distrust(machine, input);
		return 0;
	}
	r = act(machine, row->action, input, &txn);
	if (r < 0)
		return r;
	if (txn)
		enter(machine, txn, row->next);
	reply(machine, row->reply, input, txn);
	if (txn && row->next == SYNC_IDLE)
		sync_forget(machine, txn);
	return row->action == SYNC_DO_FETCH ? ask_device(machine, txn) : 0;
}

int sync_step_message(struct sync_machine *machine, const struct sync_message *message)
{
	static const enum sync_event events[SYNC_KIND_COUNT_] = {
		[SYNC_SYN] = SYNC_EVENT_SYN,   [SYNC_SYN_ACK] = SYNC_EVENT_SYN_ACK,
		[SYNC_NAK] = SYNC_EVENT_NAK,   [SYNC_ACK] = SYNC_EVENT_ACK,
		[SYNC_DONE] = SYNC_EVENT_DONE, [SYNC_ABORT] = SYNC_EVENT_ABORT,
	};
	const struct sync_txn *txn = sync_find(machine, message->txn);
	struct sync_input input = {
		.event = events[message->kind], .number = message->txn, .message = message};

	assert(message->kind != SYNC_RESUME);
	if (message->kind == SYNC_SYN)
		input.guard = guard_syn(machine, txn, message);
	else if (message->kind == SYNC_SYN_ACK)
		input.guard = guard_syn_ack(machine, txn, message);
	else if (message->kind == SYNC_ACK)
		input.guard = guard_ack(machine, txn, message);
	else if (!txn)
		input.guard = guard_unknown(machine, message->txn);
	input.reason = input.guard == SYNC_OLD ? SYNC_REASON_STALE : SYNC_REASON_FULL;
	return sync_step(machine, &input);
}

int sync_step_repeat_all(struct sync_machine *machine)
{
	for (size_t i = 0; i < machine->count; i++) {
		struct sync_txn *txn = machine->txns[i];
		struct sync_input input = {.event = SYNC_EVENT_RETRY, .number = txn->number};
		int r;

		if (txn->retry_usec != UINT64_MAX)
			start_retry(machine, txn);
		if (machine->settings.role == SYNC_FOLLOWER)
			continue; /* RESUME has asked already */
		r = sync_step(machine, &input);
		if (r < 0)
			return r;
	}
	return 0;
}
