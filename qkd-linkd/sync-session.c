/* SPDX-License-Identifier: MIT */

/*
 * The beginning of a connection: RESUME from the leader, RESUME from the follower, the leader's
 * judgement, and the new generation when one side has lost its memory.
 *
 * The leader begins a generation by making it durable and sending RESUME again, with the new one
 * and nothing in it; the follower adopts whatever is above its own. Each step can be lost and
 * repeated.
 */

#include "qkd-linkd/sync-internal.h"

#include "qkd-linkd/keyfile-directory.h"

static bool is_leader(const struct sync_machine *machine)
{
	return machine->settings.role == SYNC_LEADER;
}

static void note_open(const struct sync_machine *machine, const struct sync_txn *txn,
		      struct sync_resume *resume)
{
	bool is_decided = sync_txn_is_decided(txn);

	if (txn->state < SYNC_PREPARED || (is_leader(machine) && !is_decided))
		return;
	resume->open[resume->open_count++] = (struct sync_open){
		.txn = txn->number,
		.count = txn->lines,
		.committed = is_decided,
		.first = is_decided ? txn->first : 0,
	};
}

static void describe_us(const struct sync_machine *machine, struct sync_resume *ret)
{
	*ret = (struct sync_resume){
		.session = machine->session,
		.store = machine->store.uuid,
		.generation = machine->store.generation,
		.next = is_leader(machine) ? machine->store.decided : machine->store.next,
		.next_txn = machine->store.next_txn,
		.key_bits = machine->settings.key_bits,
		.confirm = machine->settings.confirm,
	};
	for (size_t i = 0; i < machine->count; i++)
		note_open(machine, machine->txns[i], ret);
}

static void send_resume(struct sync_machine *machine)
{
	struct sync_message message = {.kind = SYNC_RESUME};

	describe_us(machine, &message.resume);
	machine->ops->send(&message, machine->userdata);
}

/* The leader's question; a new number, so that answers to older ones are known as such. */
static int ask(struct sync_machine *machine)
{
	int r = sync_random64(machine, &machine->session);

	if (r < 0)
		return r;
	machine->resume_backoff_usec = SYNC_RETRY_MIN_USEC;
	machine->resume_retry_usec = sync_now(machine) + machine->resume_backoff_usec;
	send_resume(machine);
	return 0;
}

int sync_session_begin(struct sync_machine *machine)
{
	int r = sync_flush(machine); /* what RESUME tells has to be durable */

	if (r < 0)
		return r;
	machine->link = SYNC_LINK_RESUMING;
	machine->resume_retry_usec = UINT64_MAX;
	machine->resume_limit_usec = sync_now(machine) + SYNC_RESUME_LIMIT_USEC;
	return is_leader(machine) ? ask(machine) : 0;
}

int sync_session_repeat(struct sync_machine *machine)
{
	machine->resume_backoff_usec = MIN(2 * machine->resume_backoff_usec, SYNC_RETRY_MAX_USEC);
	machine->resume_retry_usec = sync_now(machine) + machine->resume_backoff_usec;
	send_resume(machine);
	return 0;
}

static int session_is_settled(struct sync_machine *machine)
{
	int r;

	machine->link = SYNC_LINK_UP;
	machine->resume_retry_usec = machine->resume_limit_usec = UINT64_MAX;
	r = sync_step_repeat_all(machine);
	if (r >= 0)
		machine->ops->connected(machine->userdata);
	return r;
}

/* Generations */

static uint64_t forget_all(struct sync_machine *machine)
{
	uint64_t dropped = sync_pending_lines(machine);

	while (machine->count > 0)
		sync_forget(machine, machine->txns[machine->count - 1]);
	return dropped;
}

static int open_directory(struct sync_machine *machine)
{
	struct keyfile_store store = {
		.uuid = machine->store.uuid,
		.generation = machine->store.generation,
		.key_bits = machine->store.key_bits,
		.foreign_consumer = machine->settings.foreign_consumer,
	};

	snprintf(store.link, sizeof(store.link), "%s", machine->settings.link);
	snprintf(store.peer, sizeof(store.peer), "%s", machine->settings.peer);
	machine->append = keyfile_append_free(machine->append);
	return keyfile_append_open(machine->keys, machine->state, machine->store.directory, &store,
				   machine->store.next, &machine->append);
}

/* Durable when it returns: journal first, the directory can be made again from it. */
static int place_generation(struct sync_machine *machine, struct sync_store *store,
			    uint64_t *ret_dropped)
{
	int r = keyfile_directory_choose(machine->keys, machine->settings.link,
					 machine->settings.peer, store->generation,
					 store->directory);

	if (r < 0)
		return r;
	r = sync_journal_compact(machine->journal, store, NULL, 0);
	if (r < 0)
		return r;
	*ret_dropped = forget_all(machine);
	machine->store = *store;
	machine->stock = machine->stock_next = machine->stock_checked_usec = 0;
	return open_directory(machine);
}

/* Two links to the same peer may begin at the same time, each in a process of its own. */
static int place_alone(struct sync_machine *machine, struct sync_store *store,
		       uint64_t *ret_dropped)
{
	struct storage *keys = machine->keys;
	int lock = keys->ops->lock ? keys->ops->lock(keys) : 0, r;

	if (lock < 0)
		return lock;
	r = place_generation(machine, store, ret_dropped);
	if (keys->ops->lock)
		keys->ops->close(keys, lock);
	return r;
}

static int begin_generation(struct sync_machine *machine, const struct uuid *uuid,
			    uint32_t generation, uint64_t next_txn, const char *why)
{
	struct sync_store store = {
		.uuid = *uuid,
		.generation = generation,
		.key_bits = machine->settings.key_bits,
		.next_txn = next_txn,
	};
	struct sync_generation told = {.store = *uuid, .generation = generation};
	uint64_t dropped = 0;
	int r = place_alone(machine, &store, &dropped);

	if (r < 0)
		return r;
	sync_count(machine, SYNC_STATISTIC_GENERATIONS, 1);
	told.directory = machine->store.directory;
	machine->ops->began(&told, why, dropped, machine->userdata);
	return 0;
}

int sync_session_open_store(struct sync_machine *machine)
{
	return open_directory(machine);
}

/* The leader */

static int retire(struct sync_machine *machine, const struct sync_resume *ours,
		  const struct sync_resume *theirs, const char *why)
{
	uint32_t generation;
	struct uuid uuid;
	int r;

	sync_resume_next_generation(ours, theirs, &uuid, &generation);
	if (uuid_is_null(&uuid)) {
		r = machine->ops->random(&uuid, sizeof(uuid), machine->userdata);
		if (r < 0)
			return r;
		uuid.bytes[6] = (uuid.bytes[6] & 0x0f) | 0x40; /* RFC 4122, version 4 */
		uuid.bytes[8] = (uuid.bytes[8] & 0x3f) | 0x80;
	}
	r = begin_generation(machine, &uuid, generation, machine->store.next_txn, why);
	return r < 0 ? r : ask(machine);
}

/* What the follower holds and we do not know is not decided: ABORT, as to its SYN_ACK. */
static int answer_open(struct sync_machine *machine, const struct sync_resume *theirs)
{
	for (size_t i = 0; i < theirs->open_count; i++) {
		struct sync_input input = {.event = SYNC_EVENT_SYN_ACK,
					   .guard = SYNC_OLD,
					   .number = theirs->open[i].txn};
		int r;

		if (sync_find(machine, input.number))
			continue;
		r = sync_step(machine, &input);
		if (r < 0)
			return r;
	}
	return 0;
}

static int receive_as_leader(struct sync_machine *machine, const struct sync_resume *theirs)
{
	struct sync_resume ours;
	const char *what;
	int r;

	if (machine->link != SYNC_LINK_RESUMING || theirs->session != machine->session)
		return 0; /* a second answer, or one to an older question */
	describe_us(machine, &ours);
	switch (sync_resume_judge(&ours, theirs, &what)) {
	case SYNC_RESUME_RETIRE:
		return retire(machine, &ours, theirs, what);
	case SYNC_RESUME_REFUSE:
		machine->ops->refused(what, machine->userdata);
		sync_end_connection(machine, what);
		return 0;
	case SYNC_RESUME_CONTINUE:
		break;
	}
	r = session_is_settled(machine);
	return r < 0 ? r : answer_open(machine, theirs);
}

/* The follower */

/* ACKs whose DONE was lost. */
static int answer_applied(struct sync_machine *machine, const struct sync_resume *theirs)
{
	for (size_t i = 0; i < theirs->open_count; i++) {
		const struct sync_open *open = &theirs->open[i];
		struct sync_input input = {
			.event = SYNC_EVENT_ACK, .guard = SYNC_OLD, .number = open->txn};
		int r;

		if (!open->committed || open->first + open->count > machine->store.next ||
		    sync_find(machine, open->txn))
			continue;
		r = sync_step(machine, &input);
		if (r < 0)
			return r;
	}
	return 0;
}

static int receive_as_follower(struct sync_machine *machine, const struct sync_resume *theirs)
{
	struct sync_resume ours;
	const char *what = "the leader begins a new generation";
	int r;

	describe_us(machine, &ours);
	if (sync_resume_begins(theirs, &ours)) {
		r = begin_generation(machine, &theirs->store, theirs->generation, theirs->next_txn,
				     what);
		if (r < 0)
			return r;
		describe_us(machine, &ours);
	}
	machine->session = theirs->session;
	send_resume(machine);
	switch (sync_resume_judge(theirs, &ours, &what)) {
	case SYNC_RESUME_RETIRE:
		return 0; /* a new generation comes */
	case SYNC_RESUME_REFUSE:
		machine->ops->refused(what, machine->userdata);
		return 0;
	case SYNC_RESUME_CONTINUE:
		break;
	}
	if (machine->link != SYNC_LINK_UP) {
		r = session_is_settled(machine);
		if (r < 0)
			return r;
	}
	return answer_applied(machine, theirs);
}

int sync_session_receive(struct sync_machine *machine, const struct sync_resume *theirs)
{
	return is_leader(machine) ? receive_as_leader(machine, theirs)
				  : receive_as_follower(machine, theirs);
}
