/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the parts of the sync machine share: sync-machine.c (what comes in), sync-step.c (the table
 * executed), sync-flush.c (what becomes durable), sync-session.c (RESUME and generations).
 */

#include "qkd-linkd/keyfile-append.h"
#include "qkd-linkd/sync-journal.h"
#include "qkd-linkd/sync-machine.h"
#include "qkd-linkd/sync-resume.h"

enum sync_link {
	SYNC_LINK_DOWN,
	SYNC_LINK_RESUMING,
	SYNC_LINK_UP,
};

struct sync_machine {
	struct sync_settings settings;
	const struct sync_ops *ops;
	void *userdata;
	struct storage *keys, *state;

	struct sync_journal *journal;
	struct keyfile_append *append; /* NULL while there is no store */
	struct sync_store store;
	struct sync_txn *txns[SYNC_MAX_OPEN]; /* by number */
	size_t count;
	struct statistic statistics[SYNC_STATISTIC_COUNT_];

	enum sync_link link;
	uint64_t session;
	uint64_t resume_retry_usec, resume_backoff_usec, resume_limit_usec;
	uint64_t pause_usec, pause_until_usec; /* leader: asks for no keys until */
	uint64_t stock, stock_next, stock_checked_usec;
	bool needs_sync;
};

static inline uint64_t sync_now(const struct sync_machine *machine)
{
	return machine->ops->now(machine->userdata);
}

static inline void sync_count(struct sync_machine *machine, enum sync_statistic which,
			      uint64_t value)
{
	statistics_update(&machine->statistics[which], value);
}

struct sync_txn *sync_find(const struct sync_machine *machine, uint64_t number);
int sync_random64(struct sync_machine *machine, uint64_t *ret);
uint64_t sync_pending_lines(const struct sync_machine *machine);
void sync_want_flush(struct sync_machine *machine);
void sync_rearm(struct sync_machine *machine);
void sync_end_connection(struct sync_machine *machine, const char *reason);
/* True when count more keys are above the limit. */
bool sync_store_is_full(struct sync_machine *machine, uint64_t count);

/* sync-step.c: an event and what came with it. */
struct sync_input {
	enum sync_event event;
	enum sync_guard guard;
	uint64_t number;
	const struct sync_message *message; /* of a message */
	struct key_batch *keys;             /* of KEYS and FETCHED; taken when the row takes it */
	enum sync_reason reason;            /* of what may be answered with NAK */
};
int sync_step(struct sync_machine *machine, struct sync_input *input);
int sync_step_message(struct sync_machine *machine, const struct sync_message *message);
/* Repeats what the other side still has to answer, at once: a connection has begun. */
int sync_step_repeat_all(struct sync_machine *machine);
void sync_forget(struct sync_machine *machine, struct sync_txn *txn);

/* sync-session.c */
int sync_session_open_store(struct sync_machine *machine);
int sync_session_begin(struct sync_machine *machine);
int sync_session_repeat(struct sync_machine *machine);
int sync_session_receive(struct sync_machine *machine, const struct sync_resume *theirs);

/* sync-flush.c */
int sync_flush(struct sync_machine *machine);
