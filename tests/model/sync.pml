/* SPDX-License-Identifier: MIT */

/*
 * The sync protocol of one link (docs/sync-protocol.md) as Spin sees it: a leader, a follower, the
 * network between them, and everything that can go wrong with each.
 *
 * The rows L(...) and F(...) below are the transition table of qkd-linkd/sync-table.c, in the same
 * words; tests/unit/test-sync-model.c compares the two row by row. What a row does to journal, key
 * file and network is written out here a second time, independently of the C code.
 *
 * Faults are bounded by budgets (-D on the command line): loss, duplication and reordering of any
 * message, a crash of either side between any two steps, with every prefix of what was not synced
 * surviving, a forged or replayed message with a wrong proof, a device that does not know a key, a
 * leader that gives up. A crash is followed by a restart at once: a longer absence is the same as
 * losing messages.
 *
 * Checked: the assertions in CHECK (nothing is ever in one file that the other side can never have;
 * no key in two places; positions agree) in every state, and in every state where nothing more can
 * happen: all transactions over at both sides and the files equal. Retransmission is enabled only
 * when nothing is on the way. When the trouble is over (calm), everything has to settle within
 * PATIENCE retransmissions for each, so a protocol that goes round in circles is caught as well.
 */

#ifndef TRANSACTIONS
#define TRANSACTIONS 1
#endif
#ifndef LEADER_CRASHES
#define LEADER_CRASHES 2
#endif
#ifndef FOLLOWER_CRASHES
#define FOLLOWER_CRASHES 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef DUPLICATES
#define DUPLICATES 1
#endif
#ifndef REORDERS
#define REORDERS 1
#endif
#ifndef FORGERIES
#define FORGERIES 1
#endif
#define PATIENCE 6
#define WIRE	 4 /* messages on the way in one direction; a send beyond is lost */

/* states */
#define IDLE	   0
#define FETCHING   1
#define PREPARING  2
#define PREPARED   3
#define COMMITTING 4
#define COMMITTED  5
#define RELEASED   6
#define SETTLED	   7
#define APPLIED	   8

/* messages, then a side's own events */
#define SYN	1
#define SYN_ACK 2
#define NAK	3
#define ACK	4
#define DONE	5
#define ABORT	6
#define KEYS	7
#define FETCHED 8
#define FAILED	9
#define SYNCED	10
#define TURN	11
#define HOLD	12
#define RETRY	13
#define LIMIT	14

/* guards */
#define ANY	     0
#define GOOD	     1
#define BAD	     2
#define FRESH	     3
#define OLD	     4
#define UNUSED	     5
#define FULL	     6
#define INCONSISTENT 7
#define UNEQUAL	     8

#define NOWHERE 255

/* message, transaction, proof is right, first sequence number (of ACK) */
chan to_follower = [WIRE] of { byte, byte, bit, byte };
chan to_leader = [WIRE] of { byte, byte, bit, byte };

/* volatile: what a process knows */
byte leader[TRANSACTIONS];   /* state of each transaction */
byte follower[TRANSACTIONS];
byte leader_next;	     /* sequence number that the next COMMIT gives */
bit seen[TRANSACTIONS];	     /* follower: SYN of this number was seen */

/* durable, or appended and not yet synced: a crash decides */
bit leader_commit[TRANSACTIONS];
bit leader_applied[TRANSACTIONS];
bit follower_prepared[TRANSACTIONS];
bit follower_commit[TRANSACTIONS];
bit follower_applied[TRANSACTIONS];
byte leader_place[TRANSACTIONS]; /* first sequence number, with the COMMIT record */
byte follower_place[TRANSACTIONS];
bit used[TRANSACTIONS];		 /* leader: this number was given out */

/* The key files: which transaction stands at a sequence number, plus 1. */
byte leader_file[TRANSACTIONS];
byte follower_file[TRANSACTIONS];

/* What can never come back: durably aborted, or never prepared with nothing kept. */
#define FOLLOWER_CAN_HAVE(t) (follower_prepared[t] || follower_applied[t])

#define SEND(wire, message, t, place)                                                              \
	if                                                                                         \
	:: nfull(wire) -> wire!message(t, 1, place)                                                \
	:: full(wire) -> skip                                                                      \
	fi

#define reply_NONE(t)	 skip
#define reply_SYN(t)	 SEND(to_follower, SYN, t, NOWHERE)
#define reply_ACK(t)	 SEND(to_follower, ACK, t, leader_place[t])
#define reply_ABORT(t)	 SEND(to_follower, ABORT, t, NOWHERE)
#define reply_SYN_ACK(t) SEND(to_leader, SYN_ACK, t, NOWHERE)
#define reply_NAK(t)	 SEND(to_leader, NAK, t, NOWHERE)
#define reply_DONE(t)	 SEND(to_leader, DONE, t, NOWHERE)

/* The effects on what is durable. */
#define leader_NOTHING(t)  skip
#define leader_DISTRUST(t) skip
#define leader_PREPARE(t)  used[t] = 1
#define leader_COMMIT(t)                                                                           \
	leader_commit[t] = 1;                                                                      \
	leader_place[t] = leader_next;                                                             \
	leader_next++
#define leader_ABORT(t)	  assert(!leader_commit[t])
#define leader_DELIVER(t) assert(leader_applied[t])
#define leader_FINISH(t)  assert(follower_applied[t])

#define follower_NOTHING(t)  skip
#define follower_DISTRUST(t) skip
#define follower_REFUSE(t)   skip
#define follower_FETCH(t)    seen[t] = 1
#define follower_DROP(t)     skip
#define follower_PREPARE(t)  follower_prepared[t] = 1
#define follower_COMMIT(t)                                                                         \
	follower_commit[t] = 1;                                                                    \
	follower_place[t] = place
#define follower_ABORT(t)                                                                          \
	assert(!leader_commit[t] && !follower_commit[t]);                                          \
	follower_prepared[t] = 0;                                                                  \
	follower_forgot_abort[t] = 1
#define follower_DELIVER(t) assert(follower_applied[t])

#define L(state, event, guard, next, action, reply)                                                \
	:: leader[t] == state && happens == event && (guard == ANY || is == guard) ->              \
		leader_##action(t);                                                                \
		leader[t] = next;                                                                  \
		reply_##reply(t)
#define F(state, event, guard, next, action, reply)                                                \
	:: follower[t] == state && happens == event && (guard == ANY || is == guard) ->            \
		follower_##action(t);                                                              \
		follower[t] = next;                                                                \
		reply_##reply(t)

#define LEADER_ROWS                                                                                \
	L(IDLE,       KEYS,    ANY,          PREPARING,  PREPARE,  NONE)                           \
	L(IDLE,       SYN_ACK, OLD,          IDLE,       NOTHING,  ABORT)                          \
	L(IDLE,       SYN_ACK, UNUSED,       IDLE,       DISTRUST, NONE)                           \
	L(IDLE,       NAK,     OLD,          IDLE,       NOTHING,  NONE)                           \
	L(IDLE,       NAK,     UNUSED,       IDLE,       DISTRUST, NONE)                           \
	L(IDLE,       DONE,    OLD,          IDLE,       NOTHING,  NONE)                           \
	L(IDLE,       DONE,    UNUSED,       IDLE,       DISTRUST, NONE)                           \
	L(PREPARING,  SYNCED,  ANY,          PREPARED,   NOTHING,  SYN)                            \
	L(PREPARING,  SYN_ACK, ANY,          PREPARING,  DISTRUST, NONE)                           \
	L(PREPARING,  NAK,     ANY,          PREPARING,  DISTRUST, NONE)                           \
	L(PREPARING,  DONE,    ANY,          PREPARING,  DISTRUST, NONE)                           \
	L(PREPARED,   SYN_ACK, GOOD,         COMMITTING, COMMIT,   NONE)                           \
	L(PREPARED,   SYN_ACK, UNEQUAL,      IDLE,       ABORT,    ABORT)                          \
	L(PREPARED,   SYN_ACK, BAD,          PREPARED,   DISTRUST, NONE)                           \
	L(PREPARED,   NAK,     ANY,          IDLE,       ABORT,    NONE)                           \
	L(PREPARED,   DONE,    ANY,          PREPARED,   DISTRUST, NONE)                           \
	L(PREPARED,   RETRY,   ANY,          PREPARED,   NOTHING,  SYN)                            \
	L(PREPARED,   LIMIT,   ANY,          IDLE,       ABORT,    ABORT)                          \
	L(COMMITTING, SYNCED,  ANY,          COMMITTED,  NOTHING,  ACK)                            \
	L(COMMITTING, SYN_ACK, GOOD,         COMMITTING, NOTHING,  NONE)                           \
	L(COMMITTING, SYN_ACK, BAD,          COMMITTING, DISTRUST, NONE)                           \
	L(COMMITTING, NAK,     ANY,          COMMITTING, DISTRUST, NONE)                           \
	L(COMMITTING, DONE,    ANY,          COMMITTING, DISTRUST, NONE)                           \
	L(COMMITTED,  SYN_ACK, GOOD,         COMMITTED,  NOTHING,  ACK)                            \
	L(COMMITTED,  SYN_ACK, BAD,          COMMITTED,  DISTRUST, NONE)                           \
	L(COMMITTED,  NAK,     ANY,          COMMITTED,  DISTRUST, NONE)                           \
	L(COMMITTED,  DONE,    ANY,          SETTLED,    NOTHING,  NONE)                           \
	L(COMMITTED,  RETRY,   ANY,          COMMITTED,  NOTHING,  ACK)                            \
	L(COMMITTED,  HOLD,    ANY,          RELEASED,   NOTHING,  NONE)                           \
	L(RELEASED,   SYN_ACK, GOOD,         RELEASED,   NOTHING,  ACK)                            \
	L(RELEASED,   SYN_ACK, BAD,          RELEASED,   DISTRUST, NONE)                           \
	L(RELEASED,   NAK,     ANY,          RELEASED,   DISTRUST, NONE)                           \
	L(RELEASED,   DONE,    ANY,          SETTLED,    NOTHING,  NONE)                           \
	L(RELEASED,   RETRY,   ANY,          RELEASED,   NOTHING,  ACK)                            \
	L(RELEASED,   TURN,    ANY,          APPLIED,    DELIVER,  NONE)                           \
	L(SETTLED,    SYN_ACK, GOOD,         SETTLED,    NOTHING,  NONE)                           \
	L(SETTLED,    SYN_ACK, BAD,          SETTLED,    DISTRUST, NONE)                           \
	L(SETTLED,    NAK,     ANY,          SETTLED,    DISTRUST, NONE)                           \
	L(SETTLED,    DONE,    ANY,          SETTLED,    NOTHING,  NONE)                           \
	L(SETTLED,    TURN,    ANY,          IDLE,       DELIVER,  NONE)                           \
	L(APPLIED,    SYN_ACK, GOOD,         APPLIED,    NOTHING,  ACK)                            \
	L(APPLIED,    SYN_ACK, BAD,          APPLIED,    DISTRUST, NONE)                           \
	L(APPLIED,    NAK,     ANY,          APPLIED,    DISTRUST, NONE)                           \
	L(APPLIED,    DONE,    ANY,          IDLE,       FINISH,   NONE)                           \
	L(APPLIED,    RETRY,   ANY,          APPLIED,    NOTHING,  ACK)

#define FOLLOWER_ROWS                                                                              \
	F(IDLE,       SYN,     FRESH,        FETCHING,   FETCH,    NONE)                           \
	F(IDLE,       SYN,     FULL,         IDLE,       NOTHING,  NAK)                            \
	F(IDLE,       SYN,     OLD,          IDLE,       NOTHING,  NAK)                            \
	F(IDLE,       ACK,     OLD,          IDLE,       NOTHING,  DONE)                           \
	F(IDLE,       ACK,     INCONSISTENT, IDLE,       REFUSE,   NONE)                           \
	F(IDLE,       ABORT,   ANY,          IDLE,       NOTHING,  NONE)                           \
	F(FETCHING,   SYN,     GOOD,         FETCHING,   NOTHING,  NONE)                           \
	F(FETCHING,   SYN,     BAD,          FETCHING,   DISTRUST, NONE)                           \
	F(FETCHING,   ACK,     ANY,          FETCHING,   DISTRUST, NONE)                           \
	F(FETCHING,   ABORT,   ANY,          IDLE,       DROP,     NONE)                           \
	F(FETCHING,   FETCHED, GOOD,         PREPARING,  PREPARE,  NONE)                           \
	F(FETCHING,   FETCHED, FULL,         IDLE,       DROP,     NAK)                            \
	F(FETCHING,   FAILED,  ANY,          IDLE,       DROP,     NAK)                            \
	F(FETCHING,   LIMIT,   ANY,          IDLE,       DROP,     NAK)                            \
	F(PREPARING,  SYNCED,  ANY,          PREPARED,   NOTHING,  SYN_ACK)                        \
	F(PREPARING,  SYN,     GOOD,         PREPARING,  NOTHING,  NONE)                           \
	F(PREPARING,  SYN,     BAD,          PREPARING,  DISTRUST, NONE)                           \
	F(PREPARING,  ACK,     ANY,          PREPARING,  DISTRUST, NONE)                           \
	F(PREPARING,  ABORT,   ANY,          IDLE,       ABORT,    NONE)                           \
	F(PREPARED,   SYN,     GOOD,         PREPARED,   NOTHING,  SYN_ACK)                        \
	F(PREPARED,   SYN,     BAD,          PREPARED,   DISTRUST, NONE)                           \
	F(PREPARED,   ACK,     GOOD,         COMMITTING, COMMIT,   NONE)                           \
	F(PREPARED,   ACK,     BAD,          PREPARED,   DISTRUST, NONE)                           \
	F(PREPARED,   ACK,     INCONSISTENT, PREPARED,   REFUSE,   NONE)                           \
	F(PREPARED,   ABORT,   ANY,          IDLE,       ABORT,    NONE)                           \
	F(PREPARED,   RETRY,   ANY,          PREPARED,   NOTHING,  SYN_ACK)                        \
	F(COMMITTING, SYNCED,  ANY,          COMMITTED,  NOTHING,  NONE)                           \
	F(COMMITTING, SYN,     GOOD,         COMMITTING, NOTHING,  NONE)                           \
	F(COMMITTING, SYN,     BAD,          COMMITTING, DISTRUST, NONE)                           \
	F(COMMITTING, ACK,     GOOD,         COMMITTING, NOTHING,  NONE)                           \
	F(COMMITTING, ACK,     BAD,          COMMITTING, DISTRUST, NONE)                           \
	F(COMMITTING, ACK,     INCONSISTENT, COMMITTING, REFUSE,   NONE)                           \
	F(COMMITTING, ABORT,   ANY,          COMMITTING, DISTRUST, NONE)                           \
	F(COMMITTED,  SYN,     GOOD,         COMMITTED,  NOTHING,  NONE)                           \
	F(COMMITTED,  SYN,     BAD,          COMMITTED,  DISTRUST, NONE)                           \
	F(COMMITTED,  ACK,     GOOD,         COMMITTED,  NOTHING,  NONE)                           \
	F(COMMITTED,  ACK,     BAD,          COMMITTED,  DISTRUST, NONE)                           \
	F(COMMITTED,  ACK,     INCONSISTENT, COMMITTED,  REFUSE,   NONE)                           \
	F(COMMITTED,  ABORT,   ANY,          COMMITTED,  DISTRUST, NONE)                           \
	F(COMMITTED,  TURN,    ANY,          IDLE,       DELIVER,  DONE)

byte lossy = LOSSES, duplicating = DUPLICATES, reordering = REORDERS, forging = FORGERIES;
byte leader_crashes = LEADER_CRASHES, follower_crashes = FOLLOWER_CRASHES;
byte giving_up = 1, failing = 1;
bit calm;
byte patience[TRANSACTIONS] = PATIENCE;
byte leader_lines, follower_lines; /* appended and APPLIED */
bit follower_forgot_abort[TRANSACTIONS]; /* its ABORT record may not have been synced */

#define EACH(i) i : 0 .. TRANSACTIONS - 1

/* What must be true in every state. */
inline CHECK()
{
	for (EACH(j)) {
		assert(!leader_file[j] || !follower_file[j] || leader_file[j] == follower_file[j]);
		if
		:: leader_file[j] -> assert(FOLLOWER_CAN_HAVE(leader_file[j] - 1))
		:: else
		fi;
		if
		:: follower_file[j] -> assert(leader_commit[follower_file[j] - 1])
		:: else
		fi;
		for (EACH(k)) {
			assert(j == k || !leader_file[j] || leader_file[j] != leader_file[k]);
			assert(j == k || !follower_file[j] || follower_file[j] != follower_file[k])
		}
	}
}

/* A message that no row names is distrusted: nothing changes. */
inline leader_handle()
{
	if
	LEADER_ROWS
	:: else -> assert(happens <= ABORT)
	fi;
	CHECK()
}

inline follower_handle()
{
	if
	FOLLOWER_ROWS
	:: else -> assert(happens <= ABORT)
	fi;
	CHECK()
}

/* What a side is busy with, besides waiting. */
#define LEADER_UNSYNCED(t) (leader[t] == PREPARING || leader[t] == COMMITTING)
#define LEADER_BUSY(t)                                                                             \
	(LEADER_UNSYNCED(t) || (LEADER_HAS_ROOM(t) && leader_place[t] == leader_lines))
#define FOLLOWER_UNSYNCED(t) (follower[t] == PREPARING || follower[t] == COMMITTING)
#define FOLLOWER_BUSY(t)                                                                           \
	(follower[t] == FETCHING || FOLLOWER_UNSYNCED(t) ||                                        \
	 (follower[t] == COMMITTED && follower_place[t] == follower_lines))
#if TRANSACTIONS == 1
#define EACH_TRANSACTION(option) option(0)
#define BUSY			 (LEADER_BUSY(0) || FOLLOWER_BUSY(0))
#else
#define EACH_TRANSACTION(option) option(0) option(1)
#define BUSY			 (LEADER_BUSY(0) || FOLLOWER_BUSY(0) || LEADER_BUSY(1) || FOLLOWER_BUSY(1))
#endif

/* Nothing is on the way, nobody is busy: time to send again. */
#define QUIET (empty(to_leader) && empty(to_follower) && !BUSY)

#define TIDY                                                                                       \
	happens = 0;                                                                               \
	is = 0;                                                                                    \
	t = 0;                                                                                     \
	proof = 0;                                                                                 \
	place = 0;                                                                                 \
	lines = 0;                                                                                 \
	j = 0;                                                                                     \
	k = 0

#define LEADER_EVENT(T, condition, event, also)                                                    \
	:: d_step { (condition) -> also; t = T; happens = event; is = ANY; leader_handle(); TIDY }
#define LEADER_HAS_ROOM(T)                                                                         \
	((leader[T] == RELEASED || leader[T] == SETTLED) && !leader_applied[T])

/* A new transaction; the lines when it is its turn, not durable yet; the lines durable and APPLIED
 * with them; hold; retransmission; giving up. */
#define LEADER_OWN(T)                                                                              \
	LEADER_EVENT(T, leader[T] == IDLE && !used[T], KEYS, skip)                                       \
	:: d_step {                                                                                \
		(LEADER_HAS_ROOM(T) && leader_place[T] == leader_lines && !leader_file[leader_lines]) -> \
			leader_file[leader_lines] = T + 1; CHECK(); TIDY }                         \
	:: d_step {                                                                                \
		(LEADER_HAS_ROOM(T) && leader_file[leader_place[T]] == T + 1 &&                    \
		 leader_place[T] == leader_lines) ->                                               \
			leader_applied[T] = 1; leader_lines++;                                     \
			t = T; happens = TURN; is = ANY; leader_handle(); TIDY }                   \
	LEADER_EVENT(T, leader[T] == COMMITTED, HOLD, skip)                                              \
	LEADER_EVENT(T, QUIET && patience[T] && (leader[T] == PREPARED || leader[T] == COMMITTED ||               \
				  leader[T] == RELEASED || leader[T] == APPLIED), RETRY, patience[T] = patience[T] - calm)           \
	:: d_step { (giving_up && leader[T] == PREPARED) ->                                        \
		giving_up--; t = T; happens = LIMIT; is = ANY; leader_handle(); TIDY }

active proctype Leader()
{
	byte t, happens, is, place, j, k, lines;
	bit proof;

end:	do
	:: d_step {
		to_leader?happens(t, proof, place);
		if
		:: leader[t] == IDLE && used[t] -> is = OLD
		:: leader[t] == IDLE && !used[t] -> is = UNUSED
		:: leader[t] != IDLE && proof -> is = GOOD
		:: else -> is = BAD
		fi;
		leader_handle();
		TIDY
	   }
	/* The device gave unequal keys, and the tag tells. */
	:: d_step {
		(failing && to_leader?[SYN_ACK, _, 1, _]) ->
		failing--;
		to_leader?happens(t, proof, place);
		if
		:: leader[t] == IDLE -> is = (used[t] -> OLD : UNUSED)
		:: leader[t] == PREPARED -> is = UNEQUAL
		:: else -> is = GOOD
		fi;
		leader_handle();
		TIDY
	   }
	/* One sync makes durable all that was appended before it. */
	:: d_step {
		(LEADER_UNSYNCED(0) || LEADER_UNSYNCED(TRANSACTIONS - 1)) ->
		for (t : 0 .. TRANSACTIONS - 1) {
			if
			:: LEADER_UNSYNCED(t) -> happens = SYNCED; is = ANY; leader_handle()
			:: else
			fi
		}
		TIDY
	   }
	EACH_TRANSACTION(LEADER_OWN)
	od
}

#define FOLLOWER_EVENT(T, condition, event, guard, also)                                           \
	:: d_step { (condition) -> also; t = T; happens = event; is = guard; follower_handle(); TIDY }
#define FOLLOWER_OWN(T)                                                                            \
	FOLLOWER_EVENT(T, follower[T] == FETCHING, FETCHED, GOOD, skip)                               \
	FOLLOWER_EVENT(T, follower[T] == FETCHING && failing, FETCHED, FULL, failing--)                    \
	FOLLOWER_EVENT(T, follower[T] == FETCHING && failing, FAILED, ANY, failing--)                      \
	FOLLOWER_EVENT(T, follower[T] == FETCHING && failing, LIMIT, ANY, failing--)                       \
	FOLLOWER_EVENT(T, FOLLOWER_UNSYNCED(T), SYNCED, ANY, skip)                                     \
	:: d_step {                                                                                \
		(follower[T] == COMMITTED && follower_place[T] == follower_lines &&                \
		 !follower_file[follower_lines]) ->                                                \
			follower_file[follower_lines] = T + 1; CHECK(); TIDY }                     \
	:: d_step {                                                                                \
		(follower[T] == COMMITTED && follower_place[T] == follower_lines &&                \
		 follower_file[follower_lines] == T + 1) ->                                        \
			follower_applied[T] = 1; follower_lines++;                                 \
			t = T; happens = TURN; is = ANY; follower_handle(); TIDY }                 \
	FOLLOWER_EVENT(T, QUIET && patience[T] && follower[T] == PREPARED, RETRY, ANY, patience[T] = patience[T] - calm)

/* What an ACK is to a transaction that waits for it or has had it. */
inline judge_ack()
{
	is = GOOD;
	if
	:: !proof -> is = BAD
	:: proof && follower[t] == IDLE -> is = (follower_applied[t] -> OLD : INCONSISTENT)
	:: proof && follower[t] >= COMMITTING && place != follower_place[t] -> is = INCONSISTENT
	:: proof && follower[t] == PREPARED && place < follower_lines -> is = INCONSISTENT
	:: else
	fi;
	/* an honest leader's ACK never is */
	assert(is != INCONSISTENT)
}

inline judge_syn()
{
	if
	:: follower[t] == IDLE && !proof -> is = OLD
	:: follower[t] == IDLE && proof -> is = (seen[t] -> OLD : FRESH)
	:: follower[t] != IDLE && proof -> is = GOOD
	:: else -> is = BAD
	fi
}

active proctype Follower()
{
	byte t, happens, is, place, j, k, lines;
	bit proof;

end:	do
	:: d_step {
		to_follower?happens(t, proof, place);
		if
		:: happens == ACK -> judge_ack()
		:: happens == SYN -> judge_syn()
		:: else -> is = ANY
		fi;
		follower_handle();
		TIDY
	   }
	/* no room, whatever the number */
	:: d_step {
		(failing && to_follower?[SYN, _, 1, _]) ->
		failing--;
		to_follower?happens(t, proof, place);
		is = (follower[t] == IDLE -> FULL : GOOD);
		follower_handle();
		TIDY
	   }
	EACH_TRANSACTION(FOLLOWER_OWN)
	od
}

active proctype Network()
{
	byte message, t, place;
	bit proof;

end:	do
	:: atomic { lossy > 0 && nempty(to_leader) -> to_leader?message(t, proof, place); lossy-- }
	:: atomic { lossy > 0 && nempty(to_follower) -> to_follower?message(t, proof, place); lossy-- }
	:: atomic { duplicating > 0 && nempty(to_leader) && nfull(to_leader) ->
		to_leader?<message(t, proof, place)>; to_leader!message(t, proof, place); duplicating-- }
	:: atomic { duplicating > 0 && nempty(to_follower) && nfull(to_follower) ->
		to_follower?<message(t, proof, place)>; to_follower!message(t, proof, place); duplicating-- }
	:: atomic { reordering > 0 && len(to_leader) > 1 ->
		to_leader?message(t, proof, place); to_leader!message(t, proof, place); reordering-- }
	:: atomic { reordering > 0 && len(to_follower) > 1 ->
		to_follower?message(t, proof, place); to_follower!message(t, proof, place); reordering-- }
	/* somebody in the middle, or a replay from long ago */
	:: atomic { forging > 0 && nfull(to_leader) ->
		if :: to_leader!SYN_ACK(0, 0, NOWHERE) :: to_leader!SYN_ACK(TRANSACTIONS - 1, 0, NOWHERE) fi;
		forging-- }
	:: atomic { forging > 0 && nfull(to_follower) ->
		if
		:: to_follower!SYN(0, 0, NOWHERE)
		:: to_follower!ACK(0, 0, 0)
		:: to_follower!ACK(TRANSACTIONS - 1, 0, 0)
		fi;
		forging-- }
	od;
	message = 0
}

/* Of what was not synced, any prefix survives; then recovery reads the rest. */
inline crash_leader()
{
	bit gone;

	gone = 0;
	leader_next = 0;
	for (p : 0 .. TRANSACTIONS - 1) {
		for (t : 0 .. TRANSACTIONS - 1) {
			if
			:: leader_commit[t] && leader_place[t] == p && leader[t] == COMMITTING ->
				if
				:: gone = 1
				:: !gone
				fi;
				if
				:: gone -> leader_commit[t] = 0; leader_place[t] = 0
				:: else
				fi
			:: else
			fi
		}
	}
	for (t : 0 .. TRANSACTIONS - 1) {
		leader_next = leader_next + leader_commit[t];
		if
		:: leader[t] == PREPARING -> used[t] = 0
		:: leader[t] == PREPARING
		:: leader[t] != PREPARING
		fi;
		/* lines that were not synced */
		if
		:: !leader_applied[t] && leader_commit[t] && leader_file[leader_place[t]] == t + 1 ->
			leader_file[leader_place[t]] = 0
		:: true
		fi;
		/* of a finished one the last record may be lost */
		if
		:: leader_applied[t] -> leader[t] = APPLIED
		:: leader_applied[t] && leader[t] == IDLE
		:: leader_commit[t] && !leader_applied[t] -> leader[t] = COMMITTED
		:: !leader_commit[t] -> leader[t] = IDLE
		fi
	}
	t = 0; p = 0; gone = 0
}

inline crash_follower()
{
	for (t : 0 .. TRANSACTIONS - 1) {
		if
		:: !follower_applied[t] && follower_commit[t] &&
		   follower_file[follower_place[t]] == t + 1 -> follower_file[follower_place[t]] = 0
		:: true
		fi;
		if
		:: follower[t] == COMMITTING -> follower_commit[t] = 0; follower_place[t] = 0
		:: follower[t] == COMMITTING
		:: follower[t] == PREPARING -> follower_prepared[t] = 0
		:: follower[t] == PREPARING
		:: follower_forgot_abort[t] -> follower_prepared[t] = 1
		:: follower_forgot_abort[t]
		:: !FOLLOWER_UNSYNCED(t) && !follower_forgot_abort[t]
		fi;
		follower_forgot_abort[t] = 0;
		seen[t] = follower_prepared[t] || follower_applied[t];
		if
		:: follower_applied[t] -> follower[t] = IDLE
		:: !follower_applied[t] && follower_commit[t] -> follower[t] = COMMITTED
		:: !follower_applied[t] && !follower_commit[t] && follower_prepared[t] ->
			follower[t] = PREPARED
		:: !follower_applied[t] && !follower_commit[t] && !follower_prepared[t] ->
			follower[t] = IDLE
		fi
	}
	t = 0
}

inline cut_connection()
{
	byte message, place;
	bit proof;

	do
	:: nempty(to_leader) -> to_leader?message(t, proof, place)
	:: empty(to_leader) -> break
	od;
	do
	:: nempty(to_follower) -> to_follower?message(t, proof, place)
	:: empty(to_follower) -> break
	od;
	message = 0; t = 0; proof = 0; place = 0
}

active proctype Power()
{
	byte t, p;

end:	do
	:: atomic { leader_crashes > 0 -> leader_crashes--; crash_leader();
		if :: cut_connection() :: true fi }
	:: atomic { follower_crashes > 0 -> follower_crashes--; crash_follower();
		if :: cut_connection() :: true fi }
	/* no more trouble: what is stuck now is stuck for good */
	:: atomic { !calm -> calm = 1;
		leader_crashes = 0; follower_crashes = 0; lossy = 0; duplicating = 0; reordering = 0;
		forging = 0; giving_up = 0; failing = 0 }
	od
}

/* Both up and connected, nothing left to do: everything is over, and the files are equal. */
active proctype Observer()
{
	byte i;

	timeout ->
	d_step {
		for (i : 0 .. TRANSACTIONS - 1) {
			assert(used[i]);
			assert(leader[i] == IDLE);
			assert(follower[i] == IDLE);
			assert(leader_commit[i] == leader_applied[i]);
			assert(leader_commit[i] == follower_applied[i]);
			assert(leader_file[i] == follower_file[i])
		}
	}
}
