/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "qkd-linkd/sync-table.h"

/* What a side can receive, and the states that it has. */
static const struct {
	enum sync_role role;
	unsigned messages, states;
} sides[] = {
	{SYNC_LEADER, 1 << SYNC_EVENT_SYN_ACK | 1 << SYNC_EVENT_NAK | 1 << SYNC_EVENT_DONE,
	 1 << SYNC_IDLE | 1 << SYNC_PREPARING | 1 << SYNC_PREPARED | 1 << SYNC_COMMITTING |
		 1 << SYNC_COMMITTED | 1 << SYNC_RELEASED | 1 << SYNC_SETTLED | 1 << SYNC_APPLIED},
	{SYNC_FOLLOWER, 1 << SYNC_EVENT_SYN | 1 << SYNC_EVENT_ACK | 1 << SYNC_EVENT_ABORT,
	 1 << SYNC_IDLE | 1 << SYNC_FETCHING | 1 << SYNC_PREPARING | 1 << SYNC_PREPARED |
		 1 << SYNC_COMMITTING | 1 << SYNC_COMMITTED},
};

static bool has_row(enum sync_role role, enum sync_state state, enum sync_event event)
{
	for (size_t i = 0; i < sync_table_count; i++)
		if (sync_table[i].role == role && sync_table[i].state == state &&
		    sync_table[i].event == event)
			return true;
	return false;
}

Test(sync_table, every_message_has_a_row_in_every_state_of_its_receiver)
{
	for (size_t side = 0; side < ELEMENTSOF(sides); side++)
		for (unsigned state = 0; state < SYNC_STATE_COUNT_; state++)
			for (unsigned event = 0; event < SYNC_EVENT_MESSAGES_; event++)
				cr_expect_eq(has_row(sides[side].role, state, event),
					     (sides[side].messages >> event & 1) &&
						     (sides[side].states >> state & 1),
					     "%s %s %s", sync_role_name(sides[side].role),
					     sync_state_name(state), sync_event_name(event));
}

Test(sync_table, no_row_stands_twice_or_behind_one_that_hides_it)
{
	for (size_t i = 0; i < sync_table_count; i++) {
		const struct sync_transition *row = &sync_table[i];

		cr_expect_eq(sync_table_find(row->role, row->state, row->event, row->guard), row);
	}
}

Test(sync_table, every_state_but_idle_has_an_exit)
{
	for (size_t side = 0; side < ELEMENTSOF(sides); side++)
		for (unsigned state = SYNC_IDLE + 1; state < SYNC_STATE_COUNT_; state++) {
			bool leaves = false;

			for (size_t i = 0; i < sync_table_count; i++)
				leaves |= sync_table[i].role == sides[side].role &&
					  sync_table[i].state == state &&
					  sync_table[i].next != state;
			cr_expect_eq(leaves, sides[side].states >> state & 1);
		}
}

Test(sync_table, nothing_decided_is_ever_aborted_or_dropped)
{
	for (size_t i = 0; i < sync_table_count; i++) {
		const struct sync_transition *row = &sync_table[i];

		if (row->state < SYNC_COMMITTING)
			continue;
		cr_expect(row->action != SYNC_DO_ABORT && row->action != SYNC_DO_DROP);
		cr_expect(row->reply != SYNC_REPLY_ABORT && row->reply != SYNC_REPLY_NAK);
		cr_expect(row->next >= row->state || row->next == SYNC_IDLE);
		if (row->next == SYNC_IDLE)
			cr_expect(row->action == SYNC_DO_DELIVER || row->action == SYNC_DO_FINISH);
	}
}

Test(sync_table, a_follower_that_has_prepared_leaves_only_on_the_leaders_word)
{
	for (size_t i = 0; i < sync_table_count; i++) {
		const struct sync_transition *row = &sync_table[i];

		if (row->role == SYNC_FOLLOWER && row->state == SYNC_PREPARED &&
		    row->next != SYNC_PREPARED)
			cr_expect(row->event == SYNC_EVENT_ACK || row->event == SYNC_EVENT_ABORT);
	}
}

Test(sync_table, what_promises_is_answered_only_once_it_is_durable)
{
	for (size_t i = 0; i < sync_table_count; i++) {
		const struct sync_transition *row = &sync_table[i];
		bool appends = row->action == SYNC_DO_PREPARE || row->action == SYNC_DO_COMMIT;

		cr_expect(!appends || row->reply == SYNC_REPLY_NONE);
	}
}

Test(sync_table, a_wrong_proof_changes_nothing)
{
	for (size_t i = 0; i < sync_table_count; i++) {
		const struct sync_transition *row = &sync_table[i];

		if (row->guard != SYNC_BAD && row->guard != SYNC_UNUSED)
			continue;
		cr_expect_eq(row->next, row->state);
		cr_expect_eq(row->action, SYNC_DO_DISTRUST);
		cr_expect_eq(row->reply, SYNC_REPLY_NONE);
	}
}

Test(sync_table, everything_has_a_name)
{
	for (unsigned i = 0; i < SYNC_STATE_COUNT_; i++)
		cr_expect_not_null(sync_state_name(i));
	for (unsigned i = 0; i < SYNC_EVENT_COUNT_; i++)
		cr_expect(i == SYNC_EVENT_MESSAGES_ || sync_event_name(i), "%u", i);
	for (unsigned i = 0; i < SYNC_GUARD_COUNT_; i++)
		cr_expect_not_null(sync_guard_name(i));
	for (unsigned i = 0; i < SYNC_ACTION_COUNT_; i++)
		cr_expect_not_null(sync_action_name(i));
	for (unsigned i = 0; i < SYNC_REPLY_COUNT_; i++)
		cr_expect_not_null(sync_reply_name(i));
	cr_expect_null(sync_state_name(SYNC_STATE_COUNT_));
}
