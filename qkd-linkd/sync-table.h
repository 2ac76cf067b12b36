/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The transition table of the sync protocol, one place, as data: what each side does with each
 * message and each event of its own, in each state of a transaction. The machine (sync-machine.h)
 * executes it; a test compares it row by row with the Promela model; docs/sync-protocol.md explains
 * it. There is no transition outside it.
 */

#include "common/macros.h"

enum sync_role {
	SYNC_LEADER,
	SYNC_FOLLOWER,
	SYNC_ROLE_COUNT_,
};

/* Of one transaction. IDLE: not begun, or over; nothing is kept but what the journal's high-water
 * marks say. */
enum sync_state {
	SYNC_IDLE,
	SYNC_FETCHING,   /* follower: the device looks the ids up */
	SYNC_PREPARING,  /* PREPARED is appended, not yet durable */
	SYNC_PREPARED,   /* durable; waits for the other side */
	SYNC_COMMITTING, /* COMMIT is appended, not yet durable */
	SYNC_COMMITTED,  /* decided; leader: waits for DONE or hold; follower: for its turn */
	SYNC_RELEASED,   /* leader: hold is over, waits for its turn */
	SYNC_SETTLED,    /* leader: DONE is here, waits for its turn */
	SYNC_APPLIED,    /* leader: in the key file, DONE still to come */
	SYNC_STATE_COUNT_,
};

enum sync_event {
	/* messages */
	SYNC_EVENT_SYN,
	SYNC_EVENT_SYN_ACK,
	SYNC_EVENT_NAK,
	SYNC_EVENT_ACK,
	SYNC_EVENT_DONE,
	SYNC_EVENT_ABORT,
	SYNC_EVENT_MESSAGES_, /* those above come from the peer */
	/* our own */
	SYNC_EVENT_KEYS,    /* leader: the device gave keys */
	SYNC_EVENT_FETCHED, /* follower: the device gave these keys */
	SYNC_EVENT_FAILED,  /* follower: it did not */
	SYNC_EVENT_SYNCED,  /* what was appended to the journal is durable */
	SYNC_EVENT_TURN,    /* its first sequence number is next, lines and APPLIED are durable */
	SYNC_EVENT_HOLD,    /* hold is over */
	SYNC_EVENT_RETRY,   /* no answer yet */
	SYNC_EVENT_LIMIT,   /* no answer for too long */
	SYNC_EVENT_COUNT_,
};

/* What is true of the event, given the transaction. */
enum sync_guard {
	SYNC_ANY,          /* in the table: whatever it is; of an event: there is nothing to tell */
	SYNC_GOOD,         /* the proof (alpha + 1, beta + 1, same ids) is right */
	SYNC_BAD,          /* the proof is wrong */
	SYNC_FRESH,        /* SYN with a number above all that were seen */
	SYNC_OLD,          /* a number that was used; ACK: of lines that are in the key file */
	SYNC_UNUSED,       /* a number that the leader has not used yet */
	SYNC_FULL,         /* no room: window, store limit or disk */
	SYNC_UNEQUAL,      /* the proof is right, the tag over the keys is not (confirm) */
	SYNC_INCONSISTENT, /* ACK: a first sequence number that cannot be */
	SYNC_GUARD_COUNT_,
};

enum sync_action {
	SYNC_DO_NOTHING,
	SYNC_DO_FETCH,    /* ask the device for these ids */
	SYNC_DO_PREPARE,  /* append PREPARED */
	SYNC_DO_COMMIT,   /* append COMMIT; the leader gives the sequence numbers here */
	SYNC_DO_ABORT,    /* append ABORT, wipe the keys, forget */
	SYNC_DO_DROP,     /* forget; nothing is in the journal yet */
	SYNC_DO_DELIVER,  /* the lines are durable: deposit, signal; the keys are wiped */
	SYNC_DO_FINISH,   /* append DONE, forget */
	SYNC_DO_DISTRUST, /* log and count; nothing changes */
	SYNC_DO_REFUSE,   /* log and count; end the connection, so that RESUME settles it */
	SYNC_ACTION_COUNT_,
};

enum sync_reply {
	SYNC_REPLY_NONE,
	SYNC_REPLY_SYN,
	SYNC_REPLY_SYN_ACK,
	SYNC_REPLY_NAK,
	SYNC_REPLY_ACK,
	SYNC_REPLY_DONE,
	SYNC_REPLY_ABORT,
	SYNC_REPLY_COUNT_,
};

struct sync_transition {
	enum sync_role role;
	enum sync_state state;
	enum sync_event event;
	enum sync_guard guard;
	enum sync_state next;
	enum sync_action action;
	enum sync_reply reply;
};

extern const struct sync_transition sync_table[];
extern const size_t sync_table_count;

/* The row for this event, or NULL: then it cannot be, and is distrusted when it is a message. */
const struct sync_transition *sync_table_find(enum sync_role role, enum sync_state state,
					      enum sync_event event, enum sync_guard guard) _pure_;

const char *sync_role_name(enum sync_role role);
const char *sync_state_name(enum sync_state state);
const char *sync_event_name(enum sync_event event);
const char *sync_guard_name(enum sync_guard guard);
const char *sync_action_name(enum sync_action action);
const char *sync_reply_name(enum sync_reply reply);
