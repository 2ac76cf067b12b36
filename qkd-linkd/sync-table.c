/* SPDX-License-Identifier: MIT */

/*
 * The rows themselves. Read them by role and state; a row with guard ANY matches whatever guard the
 * event has, and comes after the rows that say more.
 */

#include "qkd-linkd/sync-table.h"

#define L(state, event, guard, next, action, reply)                                       \
	{                                                                                 \
		SYNC_LEADER, SYNC_##state, SYNC_EVENT_##event, SYNC_##guard, SYNC_##next, \
			SYNC_DO_##action, SYNC_REPLY_##reply                              \
	}
#define F(state, event, guard, next, action, reply)                                         \
	{                                                                                   \
		SYNC_FOLLOWER, SYNC_##state, SYNC_EVENT_##event, SYNC_##guard, SYNC_##next, \
			SYNC_DO_##action, SYNC_REPLY_##reply                                \
	}

/* clang-format off */
const struct sync_transition sync_table[] = {
	/* state       event    guard         next        action    reply */

	/* Presumed abort: no COMMIT record, so the answer is ABORT, for ever. */
	L(IDLE,       KEYS,    ANY,          PREPARING,  PREPARE,  NONE),
	L(IDLE,       SYN_ACK, OLD,          IDLE,       NOTHING,  ABORT),
	L(IDLE,       SYN_ACK, UNUSED,       IDLE,       DISTRUST, NONE),
	L(IDLE,       NAK,     OLD,          IDLE,       NOTHING,  NONE),
	L(IDLE,       NAK,     UNUSED,       IDLE,       DISTRUST, NONE),
	L(IDLE,       DONE,    OLD,          IDLE,       NOTHING,  NONE),
	L(IDLE,       DONE,    UNUSED,       IDLE,       DISTRUST, NONE),

	/* Not sent before it is durable. */
	L(PREPARING,  SYNCED,  ANY,          PREPARED,   NOTHING,  SYN),
	L(PREPARING,  SYN_ACK, ANY,          PREPARING,  DISTRUST, NONE),
	L(PREPARING,  NAK,     ANY,          PREPARING,  DISTRUST, NONE),
	L(PREPARING,  DONE,    ANY,          PREPARING,  DISTRUST, NONE),

	L(PREPARED,   SYN_ACK, GOOD,         COMMITTING, COMMIT,   NONE),
	L(PREPARED,   SYN_ACK, BAD,          PREPARED,   DISTRUST, NONE),
	L(PREPARED,   SYN_ACK, UNEQUAL,      IDLE,       ABORT,    ABORT),
	L(PREPARED,   NAK,     ANY,          IDLE,       ABORT,    NONE),
	L(PREPARED,   DONE,    ANY,          PREPARED,   DISTRUST, NONE),
	L(PREPARED,   RETRY,   ANY,          PREPARED,   NOTHING,  SYN),
	L(PREPARED,   LIMIT,   ANY,          IDLE,       ABORT,    ABORT),

	L(COMMITTING, SYNCED,  ANY,          COMMITTED,  NOTHING,  ACK),
	L(COMMITTING, SYN_ACK, GOOD,         COMMITTING, NOTHING,  NONE),
	L(COMMITTING, SYN_ACK, BAD,          COMMITTING, DISTRUST, NONE),
	L(COMMITTING, NAK,     ANY,          COMMITTING, DISTRUST, NONE),
	L(COMMITTING, DONE,    ANY,          COMMITTING, DISTRUST, NONE),

	/* Decided: from here there is only ACK, until DONE, however long. */
	L(COMMITTED,  SYN_ACK, GOOD,         COMMITTED,  NOTHING,  ACK),
	L(COMMITTED,  SYN_ACK, BAD,          COMMITTED,  DISTRUST, NONE),
	L(COMMITTED,  NAK,     ANY,          COMMITTED,  DISTRUST, NONE),
	L(COMMITTED,  DONE,    ANY,          SETTLED,    NOTHING,  NONE),
	L(COMMITTED,  RETRY,   ANY,          COMMITTED,  NOTHING,  ACK),
	L(COMMITTED,  HOLD,    ANY,          RELEASED,   NOTHING,  NONE),

	L(RELEASED,   SYN_ACK, GOOD,         RELEASED,   NOTHING,  ACK),
	L(RELEASED,   SYN_ACK, BAD,          RELEASED,   DISTRUST, NONE),
	L(RELEASED,   NAK,     ANY,          RELEASED,   DISTRUST, NONE),
	L(RELEASED,   DONE,    ANY,          SETTLED,    NOTHING,  NONE),
	L(RELEASED,   RETRY,   ANY,          RELEASED,   NOTHING,  ACK),
	L(RELEASED,   TURN,    ANY,          APPLIED,    DELIVER,  NONE),

	L(SETTLED,    SYN_ACK, GOOD,         SETTLED,    NOTHING,  NONE),
	L(SETTLED,    SYN_ACK, BAD,          SETTLED,    DISTRUST, NONE),
	L(SETTLED,    NAK,     ANY,          SETTLED,    DISTRUST, NONE),
	L(SETTLED,    DONE,    ANY,          SETTLED,    NOTHING,  NONE),
	L(SETTLED,    TURN,    ANY,          IDLE,       DELIVER,  NONE),

	L(APPLIED,    SYN_ACK, GOOD,         APPLIED,    NOTHING,  ACK),
	L(APPLIED,    SYN_ACK, BAD,          APPLIED,    DISTRUST, NONE),
	L(APPLIED,    NAK,     ANY,          APPLIED,    DISTRUST, NONE),
	L(APPLIED,    DONE,    ANY,          IDLE,       FINISH,   NONE),
	L(APPLIED,    RETRY,   ANY,          APPLIED,    NOTHING,  ACK),

	/* ACK for lines that are in the key file: DONE was lost, say it again. */
	F(IDLE,       SYN,     FRESH,        FETCHING,   FETCH,    NONE),
	F(IDLE,       SYN,     FULL,         IDLE,       NOTHING,  NAK),
	F(IDLE,       SYN,     OLD,          IDLE,       NOTHING,  NAK),
	F(IDLE,       ACK,     OLD,          IDLE,       NOTHING,  DONE),
	F(IDLE,       ACK,     INCONSISTENT, IDLE,       REFUSE,   NONE),
	F(IDLE,       ABORT,   ANY,          IDLE,       NOTHING,  NONE),

	F(FETCHING,   SYN,     GOOD,         FETCHING,   NOTHING,  NONE),
	F(FETCHING,   SYN,     BAD,          FETCHING,   DISTRUST, NONE),
	F(FETCHING,   ACK,     ANY,          FETCHING,   DISTRUST, NONE),
	F(FETCHING,   ABORT,   ANY,          IDLE,       DROP,     NONE),
	F(FETCHING,   FETCHED, GOOD,         PREPARING,  PREPARE,  NONE),
	F(FETCHING,   FETCHED, FULL,         IDLE,       DROP,     NAK),
	F(FETCHING,   FAILED,  ANY,          IDLE,       DROP,     NAK),
	F(FETCHING,   LIMIT,   ANY,          IDLE,       DROP,     NAK),

	F(PREPARING,  SYNCED,  ANY,          PREPARED,   NOTHING,  SYN_ACK),
	F(PREPARING,  SYN,     GOOD,         PREPARING,  NOTHING,  NONE),
	F(PREPARING,  SYN,     BAD,          PREPARING,  DISTRUST, NONE),
	F(PREPARING,  ACK,     ANY,          PREPARING,  DISTRUST, NONE),
	F(PREPARING,  ABORT,   ANY,          IDLE,       ABORT,    NONE),

	/* Never decides alone. */
	F(PREPARED,   SYN,     GOOD,         PREPARED,   NOTHING,  SYN_ACK),
	F(PREPARED,   SYN,     BAD,          PREPARED,   DISTRUST, NONE),
	F(PREPARED,   ACK,     GOOD,         COMMITTING, COMMIT,   NONE),
	F(PREPARED,   ACK,     BAD,          PREPARED,   DISTRUST, NONE),
	F(PREPARED,   ACK,     INCONSISTENT, PREPARED,   REFUSE,   NONE),
	F(PREPARED,   ABORT,   ANY,          IDLE,       ABORT,    NONE),
	F(PREPARED,   RETRY,   ANY,          PREPARED,   NOTHING,  SYN_ACK),

	/* No line is written before its COMMIT is durable: what stands in a key file is decided here. */
	F(COMMITTING, SYNCED,  ANY,          COMMITTED,  NOTHING,  NONE),
	F(COMMITTING, SYN,     GOOD,         COMMITTING, NOTHING,  NONE),
	F(COMMITTING, SYN,     BAD,          COMMITTING, DISTRUST, NONE),
	F(COMMITTING, ACK,     GOOD,         COMMITTING, NOTHING,  NONE),
	F(COMMITTING, ACK,     BAD,          COMMITTING, DISTRUST, NONE),
	F(COMMITTING, ACK,     INCONSISTENT, COMMITTING, REFUSE,   NONE),
	F(COMMITTING, ABORT,   ANY,          COMMITTING, DISTRUST, NONE),

	F(COMMITTED,  SYN,     GOOD,         COMMITTED,  NOTHING,  NONE),
	F(COMMITTED,  SYN,     BAD,          COMMITTED,  DISTRUST, NONE),
	F(COMMITTED,  ACK,     GOOD,         COMMITTED,  NOTHING,  NONE),
	F(COMMITTED,  ACK,     BAD,          COMMITTED,  DISTRUST, NONE),
	F(COMMITTED,  ACK,     INCONSISTENT, COMMITTED,  REFUSE,   NONE),
	F(COMMITTED,  ABORT,   ANY,          COMMITTED,  DISTRUST, NONE),
	F(COMMITTED,  TURN,    ANY,          IDLE,       DELIVER,  DONE),
};
/* clang-format on */

const size_t sync_table_count = ELEMENTSOF(sync_table);

const struct sync_transition *sync_table_find(enum sync_role role, enum sync_state state,
					      enum sync_event event, enum sync_guard guard)
{
	for (const struct sync_transition *row = sync_table; row < sync_table + sync_table_count;
	     row++) {
		if (row->role != role || row->state != state || row->event != event)
			continue;
		if (row->guard == SYNC_ANY || row->guard == guard)
			return row;
	}
	return NULL;
}

const char *sync_role_name(enum sync_role role)
{
	static const char *const names[SYNC_ROLE_COUNT_] = {"LEADER", "FOLLOWER"};

	return (unsigned)role < ELEMENTSOF(names) ? names[role] : NULL;
}

const char *sync_state_name(enum sync_state state)
{
	static const char *const names[SYNC_STATE_COUNT_] = {
		[SYNC_IDLE] = "IDLE",
		[SYNC_FETCHING] = "FETCHING",
		[SYNC_PREPARING] = "PREPARING",
		[SYNC_PREPARED] = "PREPARED",
		[SYNC_COMMITTING] = "COMMITTING",
		[SYNC_COMMITTED] = "COMMITTED",
		[SYNC_RELEASED] = "RELEASED",
		[SYNC_SETTLED] = "SETTLED",
		[SYNC_APPLIED] = "APPLIED",
	};

	return (unsigned)state < ELEMENTSOF(names) ? names[state] : NULL;
}

const char *sync_event_name(enum sync_event event)
{
	static const char *const names[SYNC_EVENT_COUNT_] = {
		[SYNC_EVENT_SYN] = "SYN",       [SYNC_EVENT_SYN_ACK] = "SYN_ACK",
		[SYNC_EVENT_NAK] = "NAK",       [SYNC_EVENT_ACK] = "ACK",
		[SYNC_EVENT_DONE] = "DONE",     [SYNC_EVENT_ABORT] = "ABORT",
		[SYNC_EVENT_KEYS] = "KEYS",     [SYNC_EVENT_FETCHED] = "FETCHED",
		[SYNC_EVENT_FAILED] = "FAILED", [SYNC_EVENT_SYNCED] = "SYNCED",
		[SYNC_EVENT_TURN] = "TURN",     [SYNC_EVENT_HOLD] = "HOLD",
		[SYNC_EVENT_RETRY] = "RETRY",   [SYNC_EVENT_LIMIT] = "LIMIT",
	};

	return (unsigned)event < ELEMENTSOF(names) ? names[event] : NULL;
}

const char *sync_guard_name(enum sync_guard guard)
{
	static const char *const names[SYNC_GUARD_COUNT_] = {
		[SYNC_ANY] = "ANY",
		[SYNC_GOOD] = "GOOD",
		[SYNC_BAD] = "BAD",
		[SYNC_FRESH] = "FRESH",
		[SYNC_OLD] = "OLD",
		[SYNC_UNUSED] = "UNUSED",
		[SYNC_FULL] = "FULL",
		[SYNC_UNEQUAL] = "UNEQUAL",
		[SYNC_INCONSISTENT] = "INCONSISTENT",
	};

	return (unsigned)guard < ELEMENTSOF(names) ? names[guard] : NULL;
}

const char *sync_action_name(enum sync_action action)
{
	static const char *const names[SYNC_ACTION_COUNT_] = {
		[SYNC_DO_NOTHING] = "NOTHING",   [SYNC_DO_FETCH] = "FETCH",
		[SYNC_DO_PREPARE] = "PREPARE",   [SYNC_DO_COMMIT] = "COMMIT",
		[SYNC_DO_ABORT] = "ABORT",       [SYNC_DO_DROP] = "DROP",
		[SYNC_DO_DELIVER] = "DELIVER",   [SYNC_DO_FINISH] = "FINISH",
		[SYNC_DO_DISTRUST] = "DISTRUST", [SYNC_DO_REFUSE] = "REFUSE",
	};

	return (unsigned)action < ELEMENTSOF(names) ? names[action] : NULL;
}

const char *sync_reply_name(enum sync_reply reply)
{
	static const char *const names[SYNC_REPLY_COUNT_] = {
		[SYNC_REPLY_NONE] = "NONE",       [SYNC_REPLY_SYN] = "SYN",
		[SYNC_REPLY_SYN_ACK] = "SYN_ACK", [SYNC_REPLY_NAK] = "NAK",
		[SYNC_REPLY_ACK] = "ACK",         [SYNC_REPLY_DONE] = "DONE",
		[SYNC_REPLY_ABORT] = "ABORT",
	};

	return (unsigned)reply < ELEMENTSOF(names) ? names[reply] : NULL;
}
