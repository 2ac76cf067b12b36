/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One sync machine on a disk in memory, with a clock that is set by hand and a peer that the test
 * plays: what the machine sends and wants is kept to be looked at.
 */

#include "qkd-linkd/sync-machine.h"
#include "tests/unit/support/memory-storage.h"

#define SIDE_KEY_BYTES 8
#define SIDE_SENT_MAX  64

struct side {
	struct memory_storage *memory;
	struct storage *disk;
	struct sync_settings settings;
	struct sync_machine *machine;
	uint64_t now_usec, wake_usec, random;
	struct sync_message sent[SIDE_SENT_MAX];
	size_t sent_count;
	uint64_t fetch_txn; /* of the last fetch */
	unsigned fetches, disconnects, distrusts, refusals, generations, connects;
	bool wants_flush, fetch_fails;
	uint64_t agreed_first, agreed_count, dropped;
};

/* A machine without a peer; settings.role chooses the side: alice leads, bob follows. */
void side_init(struct side *side, enum sync_role role);
void side_done(struct side *side);
/* Power cut or kill, and a new start. */
void side_restart(struct side *side, enum memory_crash crash);

/* RESUME of a fresh pair is played; ends with both agreeing on generation 0. */
void side_connect_fresh(struct side *side);
/* The same when the machine has a store: the peer says next, next_txn and open. */
void side_connect(struct side *side, uint64_t next, uint64_t next_txn, const struct sync_open *open,
		  size_t open_count);
void side_receive(struct side *side, const struct sync_message *message);
void side_flush(struct side *side); /* if it is wanted */
/* Moves the clock and rings if the machine wants to be woken by then. */
void side_wait(struct side *side, uint64_t usec);
/* count keys; ids begin with number. */
struct key_batch *side_keys(uint8_t number, size_t count);
/* The last message; fails the test if it is of another kind. */
const struct sync_message *side_last(const struct side *side, enum sync_kind kind);
