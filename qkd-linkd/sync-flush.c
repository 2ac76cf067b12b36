/* SPDX-License-Identifier: MIT */

/*
 * The flush: one journal sync and at most one sync of the key files for all that has gathered since
 * the last, in the order that recovery relies on.
 *
 *   1. lines whose COMMIT is durable and whose turn it is go to the key files, which are synced;
 *   2. APPLIED is appended for them; the journal is synced, with all that was appended before;
 *   3. what waited for this is told: SYN, SYN_ACK, ACK, DONE are sent, keys are deposited.
 *
 * A crash before 2 leaves lines that are decided, that nobody was told of, and that are found equal
 * when they are written again; a crash after 2 leaves nothing to do but to tell it again. A COMMIT
 * that becomes durable in 2 has its lines written by the next flush: under load they share a sync.
 */

#include "qkd-linkd/sync-internal.h"

static bool is_in_turn(const struct sync_machine *machine, const struct sync_txn *txn)
{
	if (txn->first != machine->store.next)
		return false;
	if (machine->settings.role == SYNC_FOLLOWER)
		return txn->state == SYNC_COMMITTED;
	return txn->state == SYNC_RELEASED || txn->state == SYNC_SETTLED;
}

static struct sync_txn *find_in_turn(const struct sync_machine *machine)
{
	for (size_t i = 0; i < machine->count; i++)
		if (is_in_turn(machine, machine->txns[i]))
			return machine->txns[i];
	return NULL;
}

/* Collects transactions in the order of their lines. */
static int append_lines(struct sync_machine *machine, uint64_t *numbers, size_t *ret_count)
{
	uint64_t first = machine->store.next;
	struct sync_txn *txn;
	size_t count = 0;
	int r;

	while ((txn = find_in_turn(machine))) {
		r = keyfile_append_add(machine->append, txn->first, txn->keys->ids,
				       txn->keys->keys->bytes, txn->lines, txn->is_recovered);
		if (r < 0)
			return r;
		machine->store.next += txn->lines;
		numbers[count++] = txn->number;
	}
	*ret_count = count;
	if (count == 0)
		return 0;
	sync_count(machine, SYNC_STATISTIC_APPEND, machine->store.next - first);
	return keyfile_append_sync(machine->append);
}

static int journal_applied(struct sync_machine *machine, const uint64_t *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct sync_txn *txn = sync_find(machine, numbers[i]);
		bool over = txn->state != SYNC_RELEASED;
		int r = sync_journal_applied(machine->journal, txn, txn->first + txn->lines, over);

		if (r < 0)
			return r;
	}
	return 0;
}

static int tell_synced(struct sync_machine *machine, const uint64_t *numbers, size_t count)
{
	for (size_t i = 0; i < machine->count; i++) {
		struct sync_input input = {.event = SYNC_EVENT_SYNCED,
					   .number = machine->txns[i]->number};
		int r = sync_step(machine, &input); /* none of its rows forgets a transaction */

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < count; i++) {
		struct sync_input input = {.event = SYNC_EVENT_TURN, .number = numbers[i]};
		int r = sync_step(machine, &input);

		if (r < 0)
			return r;
	}
	return 0;
}

static int sync_journal(struct sync_machine *machine, size_t applied)
{
	size_t group = applied;

	for (size_t i = 0; i < machine->count; i++)
		group += machine->txns[i]->state == SYNC_PREPARING ||
			 machine->txns[i]->state == SYNC_COMMITTING;
	sync_count(machine, SYNC_STATISTIC_GROUP, group);
	return sync_journal_sync(machine->journal);
}

int sync_flush(struct sync_machine *machine)
{
	uint64_t numbers[SYNC_MAX_OPEN];
	size_t count;
	int r;

	r = append_lines(machine, numbers, &count);
	if (r >= 0)
		r = journal_applied(machine, numbers, count);
	if (r >= 0 && sync_journal_is_dirty(machine->journal))
		r = sync_journal(machine, count);
	if (r < 0)
		return r;
	machine->needs_sync = false;
	r = tell_synced(machine, numbers, count);
	if (r < 0)
		return r;
	if (sync_journal_is_large(machine->journal)) {
		r = sync_journal_compact(machine->journal, &machine->store, machine->txns,
					 machine->count);
		if (r < 0 && r != -ENOSPC && r != -EDQUOT)
			return r;
	}
	return 0;
}
