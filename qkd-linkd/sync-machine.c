/* SPDX-License-Identifier: MIT */

/*
 * The sync machine as its owner sees it: what comes in from the network, the device and the clock
 * is turned into events for sync-step.c.
 */

#include "qkd-linkd/sync-machine.h"

#include "qkd-linkd/keyfile-directory.h"
#include "qkd-linkd/sync-confirm.h"
#include "qkd-linkd/sync-internal.h"

struct sync_txn *sync_find(const struct sync_machine *machine, uint64_t number)
{
	for (size_t i = 0; i < machine->count; i++)
		if (machine->txns[i]->number == number)
			return machine->txns[i];
	return NULL;
}

int sync_random64(struct sync_machine *machine, uint64_t *ret)
{
	return machine->ops->random(ret, sizeof(*ret), machine->userdata);
}

uint64_t sync_pending_lines(const struct sync_machine *machine)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < machine->count; i++)
		if (machine->txns[i]->state != SYNC_APPLIED)
			lines += machine->txns[i]->lines;
	return lines;
}

void sync_want_flush(struct sync_machine *machine)
{
	if (machine->needs_sync)
		return;
	machine->needs_sync = true;
	machine->ops->want_flush(machine->userdata);
}

void sync_end_connection(struct sync_machine *machine, const char *reason)
{
	sync_machine_disconnected(machine);
	machine->ops->disconnect(reason, machine->userdata);
}

bool sync_store_is_full(struct sync_machine *machine, uint64_t count)
{
	uint64_t now, wanted = sync_pending_lines(machine) + count;

	if (!machine->append)
		return true;
	if (machine->stock + machine->store.next - machine->stock_next + wanted <=
	    machine->settings.store_limit)
		return false;
	now = sync_now(machine);
	if (now - machine->stock_checked_usec < SYNC_STOCK_CHECK_USEC)
		return true;
	machine->stock_checked_usec = now;
	if (keyfile_append_stock(machine->append, &machine->stock) < 0)
		return true;
	machine->stock_next = machine->store.next;
	return machine->stock + wanted > machine->settings.store_limit;
}

/* Time */

static uint64_t next_deadline(const struct sync_machine *machine)
{
	bool is_up = machine->link == SYNC_LINK_UP;
	uint64_t deadline = UINT64_MAX;

	for (size_t i = 0; i < machine->count; i++) {
		deadline = MIN(deadline, machine->txns[i]->limit_usec);
		if (is_up)
			deadline = MIN(deadline, machine->txns[i]->retry_usec);
	}
	if (machine->link == SYNC_LINK_RESUMING) {
		deadline = MIN(deadline, machine->resume_retry_usec);
		deadline = MIN(deadline, machine->resume_limit_usec);
	}
	if (is_up && machine->settings.role == SYNC_LEADER &&
	    machine->pause_until_usec > sync_now(machine))
		deadline = MIN(deadline, machine->pause_until_usec);
	return deadline;
}

void sync_rearm(struct sync_machine *machine)
{
	machine->ops->want_wake(next_deadline(machine), machine->userdata);
}

static int finish(struct sync_machine *machine, int r)
{
	if (r >= 0)
		sync_rearm(machine);
	return r;
}

static enum sync_event limit_event(const struct sync_txn *txn)
{
	return txn->state == SYNC_COMMITTED ? SYNC_EVENT_HOLD : SYNC_EVENT_LIMIT;
}

static int check_limit(struct sync_machine *machine, struct sync_txn *txn, uint64_t now)
{
	struct sync_input input = {
		.event = limit_event(txn), .number = txn->number, .reason = SYNC_REASON_DEVICE};

	if (now < txn->limit_usec)
		return 0;
	txn->limit_usec = UINT64_MAX;
	return sync_step(machine, &input);
}

static int check_retry(struct sync_machine *machine, struct sync_txn *txn, uint64_t now)
{
	struct sync_input input = {.event = SYNC_EVENT_RETRY, .number = txn->number};

	if (machine->link != SYNC_LINK_UP || now < txn->retry_usec)
		return 0;
	txn->backoff_usec = MIN(2 * txn->backoff_usec, SYNC_RETRY_MAX_USEC);
	txn->retry_usec = now + txn->backoff_usec;
	sync_count(machine, SYNC_STATISTIC_REPEATED, 1);
	return sync_step(machine, &input);
}

static int check_transactions(struct sync_machine *machine, uint64_t now)
{
	for (size_t i = machine->count; i > 0; i--) { /* either may forget the i-th */
		uint64_t number = machine->txns[i - 1]->number;
		int r = check_limit(machine, machine->txns[i - 1], now);

		if (r >= 0 && i <= machine->count && machine->txns[i - 1]->number == number)
			r = check_retry(machine, machine->txns[i - 1], now);
		if (r < 0)
			return r;
	}
	return 0;
}

int sync_machine_timer(struct sync_machine *machine)
{
	uint64_t now = sync_now(machine);
	int r = check_transactions(machine, now);

	if (r >= 0 && machine->link == SYNC_LINK_RESUMING) {
		if (now >= machine->resume_limit_usec)
			sync_end_connection(machine, "no RESUME in time");
		else if (now >= machine->resume_retry_usec)
			r = sync_session_repeat(machine);
	}
	return finish(machine, r);
}

/* Beginning */

static int take_over(struct sync_machine *machine, struct sync_txn *txn)
{
	struct sync_input input = {.event = SYNC_EVENT_LIMIT, .number = txn->number};
	bool is_leader = machine->settings.role == SYNC_LEADER;

	if (txn->state < SYNC_APPLIED && !txn->keys)
		return -EBADMSG;
	if (txn->keys && txn->keys->key_bytes != machine->store.key_bits / 8)
		return -EBADMSG;
	if (is_leader && txn->state == SYNC_PREPARED)
		return sync_step(machine, &input); /* presumed abort */
	if (is_leader && txn->state == SYNC_COMMITTED)
		txn->limit_usec = sync_now(machine) + machine->settings.hold_usec;
	if (is_leader || txn->state == SYNC_PREPARED)
		txn->retry_usec = 0; /* at once when the peer is there */
	if (txn->state == SYNC_PREPARED && machine->settings.confirm)
		return sync_confirm_tag(txn, txn->tag);
	return 0;
}

static int take_over_all(struct sync_machine *machine)
{
	for (size_t i = machine->count; i > 0; i--) {
		int r = take_over(machine, machine->txns[i - 1]);

		if (r < 0)
			return r;
	}
	sync_want_flush(machine);
	return 0;
}

/* A store of another key size, or whose directory another link took before it was made, is over:
 * what it has open is forgotten, and RESUME calls it new. */
static int drop_store(struct sync_machine *machine)
{
	uint32_t lowest;
	int r = keyfile_directory_lowest(machine->keys, machine->settings.link, &lowest);

	if (r < 0)
		return r;
	if (!uuid_is_null(&machine->store.uuid))
		lowest = MAX(lowest, machine->store.generation + 1);
	while (machine->count > 0)
		sync_forget(machine, machine->txns[machine->count - 1]);
	machine->store = (struct sync_store){.generation = lowest, .next_txn = 1};
	return 0;
}

static int recover(struct sync_machine *machine, struct storage *journal, uint64_t *ret_torn_bytes)
{
	struct sync_recovered recovered;
	int r;

	r = sync_journal_open(journal, SYNC_JOURNAL_FILE, &recovered, &machine->journal);
	if (r < 0)
		return r;
	*ret_torn_bytes = recovered.torn_bytes;
	machine->store = recovered.store;
	memcpy(machine->txns, recovered.txns, sizeof(machine->txns));
	machine->count = recovered.count;
	if (uuid_is_null(&machine->store.uuid) ||
	    machine->store.key_bits != machine->settings.key_bits)
		return drop_store(machine);
	r = sync_session_open_store(machine);
	if (r == -EEXIST && machine->store.next == 0)
		return drop_store(machine);
	return r < 0 ? r : take_over_all(machine);
}

int sync_machine_new(const struct sync_settings *settings, const struct sync_ops *ops,
		     void *userdata, struct storage *journal, struct storage *keys,
		     struct storage *state, uint64_t *ret_torn_bytes, struct sync_machine **ret)
{
	_cleanup_(sync_machine_freep) struct sync_machine *machine = calloc(1, sizeof(*machine));
	int r;

	if (!machine)
		return -ENOMEM;
	machine->settings = *settings;
	machine->settings.window = MIN(settings->window, (unsigned)SYNC_MAX_OPEN);
	machine->ops = ops;
	machine->userdata = userdata;
	machine->keys = keys;
	machine->state = state;
	machine->resume_retry_usec = machine->resume_limit_usec = UINT64_MAX;
	r = recover(machine, journal, ret_torn_bytes);
	if (r < 0)
		return r;
	sync_rearm(machine);
	*ret = TAKE_PTR(machine);
	return 0;
}

struct sync_machine *sync_machine_free(struct sync_machine *machine)
{
	if (!machine)
		return NULL;
	while (machine->count > 0)
		sync_forget(machine, machine->txns[machine->count - 1]);
	keyfile_append_free(machine->append);
	sync_journal_free(machine->journal);
	free(machine);
	return NULL;
}

/* Network */

int sync_machine_connect(struct sync_machine *machine)
{
	return finish(machine, sync_session_begin(machine));
}

void sync_machine_disconnected(struct sync_machine *machine)
{
	machine->link = SYNC_LINK_DOWN;
	machine->resume_retry_usec = machine->resume_limit_usec = UINT64_MAX;
	sync_rearm(machine);
}

int sync_machine_receive(struct sync_machine *machine, const struct sync_message *message)
{
	if (machine->link == SYNC_LINK_DOWN)
		return 0;
	if (message->kind == SYNC_RESUME)
		return finish(machine, sync_session_receive(machine, &message->resume));
	if (machine->link != SYNC_LINK_UP)
		return 0; /* of before RESUME; it will be repeated */
	return finish(machine, sync_step_message(machine, message));
}

/* Device */

/* Tells of it. */
static bool is_disk_full(struct sync_machine *machine, int r)
{
	if (r != -ENOSPC && r != -EDQUOT)
		return false;
	if (machine->ops->disk_full)
		machine->ops->disk_full(machine->userdata);
	return true;
}

int sync_machine_keys(struct sync_machine *machine, struct key_batch *keys)
{
	_cleanup_(key_batch_freep) struct key_batch *owned = keys;
	struct sync_input input = {.event = SYNC_EVENT_KEYS, .number = machine->store.next_txn};
	int r;

	if (sync_machine_room(machine) == 0 || keys->count <= machine->settings.confirm ||
	    keys->count > SYNC_MAX_KEYS || sync_store_is_full(machine, keys->count) ||
	    keys->key_bytes != machine->settings.key_bits / 8)
		return 0; /* room has gone since they were asked for */
	r = keyfile_append_reserve(machine->append, sync_pending_lines(machine) + keys->count);
	if (is_disk_full(machine, r)) {
		machine->pause_until_usec = sync_now(machine) + SYNC_PAUSE_MAX_USEC;
		return finish(machine, 0);
	}
	if (r < 0)
		return r;
	input.keys = TAKE_PTR(owned);
	r = sync_step(machine, &input);
	key_batch_free(input.keys);
	return finish(machine, r);
}

int sync_machine_fetched(struct sync_machine *machine, uint64_t txn, int result,
			 struct key_batch *keys)
{
	_cleanup_(key_batch_freep) struct key_batch *owned = keys;
	struct sync_txn *waiting = sync_find(machine, txn);
	struct sync_input input = {.event = SYNC_EVENT_FETCHED,
				   .guard = SYNC_GOOD,
				   .number = txn,
				   .reason = SYNC_REASON_FULL};
	int r;

	if (!waiting || waiting->state != SYNC_FETCHING)
		return 0; /* given up meanwhile */
	if (result < 0 || keys->count != waiting->count ||
	    keys->key_bytes != machine->settings.key_bits / 8) {
		input.event = SYNC_EVENT_FAILED;
		input.guard = SYNC_ANY;
		input.reason = result == -ENOKEY ? SYNC_REASON_NO_KEY : SYNC_REASON_DEVICE;
		return finish(machine, sync_step(machine, &input));
	}
	r = keyfile_append_reserve(machine->append, sync_pending_lines(machine));
	if (is_disk_full(machine, r))
		input.guard = SYNC_FULL;
	else if (r < 0)
		return r;
	input.keys = TAKE_PTR(owned);
	r = sync_step(machine, &input);
	key_batch_free(input.keys);
	return finish(machine, r);
}

int sync_machine_flush(struct sync_machine *machine)
{
	return finish(machine, sync_flush(machine));
}

/* What the owner asks */

unsigned sync_machine_room(struct sync_machine *machine)
{
	uint64_t now = sync_now(machine);

	if (machine->settings.role != SYNC_LEADER || machine->link != SYNC_LINK_UP ||
	    now < machine->pause_until_usec || machine->count >= machine->settings.window)
		return 0;
	if (sync_store_is_full(machine, MAX(machine->settings.keys_per_transaction, 1u))) {
		machine->pause_until_usec = now + SYNC_STOCK_CHECK_USEC;
		sync_rearm(machine);
		return 0;
	}
	return machine->settings.window - (unsigned)machine->count;
}

void sync_machine_reconfigure(struct sync_machine *machine, const struct sync_changes *changes)
{
	if (changes->store_limit > machine->settings.store_limit)
		machine->pause_until_usec = 0; /* looks at once whether there is room now */
	machine->settings.hold_usec = changes->hold_usec;
	machine->settings.store_limit = changes->store_limit;
	machine->settings.keys_per_transaction = changes->keys_per_transaction;
	machine->settings.window = MIN(changes->window, (unsigned)SYNC_MAX_OPEN);
}

bool sync_machine_is_connected(const struct sync_machine *machine)
{
	return machine->link == SYNC_LINK_UP;
}

unsigned sync_machine_open(const struct sync_machine *machine)
{
	return (unsigned)machine->count;
}

uint64_t sync_machine_next(const struct sync_machine *machine)
{
	return machine->store.next;
}

uint64_t sync_machine_stock(struct sync_machine *machine)
{
	uint64_t lines = 0;

	if (machine->append)
		(void)keyfile_append_stock(machine->append, &lines);
	return lines;
}

const char *sync_machine_directory(const struct sync_machine *machine)
{
	return machine->store.directory;
}

struct statistic *sync_machine_statistics(struct sync_machine *machine)
{
	return machine->statistics;
}
