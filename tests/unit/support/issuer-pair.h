/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two issuers, alice (the leader, and so the home of all labels) and bob, in one process on one
 * loop: disks in memory, connections that are queues of JSON text, keys that linkd would have
 * agreed. A site can be killed, cut off or given more keys at any moment.
 */

#include "qkd-keyringd/issuer.h"
#include "qkd-keyringd/site-peer.h"
#include "tests/unit/support/memory-storage.h"

#define PAIR_KEY_BYTES 32

struct issuer_pair;

/* One end of a connection. */
struct pair_end {
	struct site_transport transport;
	struct issuer_pair *pair;
	struct pair_site *site; /* who holds this end */
	struct pair_end *other; /* NULL: the connection is gone */
	sd_event_source *source;
	char **frames; /* what this end is to receive */
	size_t count;
};

struct pair_site {
	struct issuer_pair *pair;
	const char *name, *peer;
	struct memory_storage *state, *keys;
	struct issuer *issuer;
	struct pair_end *end;
	uint64_t written; /* lines of its key files */
	struct uuid boot; /* another one after each power cut */
	unsigned labels_told, fatal, low_water;
};

struct issuer_pair {
	sd_event *event;
	struct pair_site alice, bob;
	struct issuer_options options; /* what both are started with, where a test cares */
	uint64_t frames;               /* sent in all */
	bool (*drop)(const char *from, const char *frame, void *userdata); /* NULL: none */
	void *userdata;
};

void pair_init(struct issuer_pair *pair);
/* Starts both and connects them. */
void pair_start(struct issuer_pair *pair);
void pair_done(struct issuer_pair *pair);

/* Appends so many agreed keys to one site's or both sites' files and tells. */
void pair_add_keys(struct issuer_pair *pair, uint64_t count);
void pair_add_keys_at(struct pair_site *site, uint64_t count);
/* The key with this number, and its id. */
void pair_key(uint64_t sequence, uint8_t ret[static PAIR_KEY_BYTES]);
struct uuid pair_id(uint64_t sequence);
/* The first character of a line at a site's file; 0 when there is none. */
char pair_line(struct pair_site *site, uint64_t sequence);

void pair_start_site(struct pair_site *site);
void pair_stop_site(struct pair_site *site); /* orderly */
/* The disk as a crash of that kind would leave it; the site is gone until started. */
void pair_kill_site(struct pair_site *site, enum memory_crash crash);
void pair_connect(struct issuer_pair *pair);
void pair_cut(struct issuer_pair *pair);

/* Runs the loop until condition holds; false when it did not within so long. */
#define PAIR_RUN_UNTIL(pair, condition, timeout_usec)                   \
	({                                                              \
		uint64_t end_ = pair_now() + (timeout_usec);            \
		while (!(condition) && pair_now() < end_)               \
			sd_event_run((pair)->event, 5 * USEC_PER_MSEC); \
		(condition);                                            \
	})
void pair_run_for(struct issuer_pair *pair, uint64_t usec);
uint64_t pair_now(void); /* CLOCK_MONOTONIC */

/* One request and what came of it. */
struct pair_result {
	bool done;
	int result;
	size_t count;
	struct uuid ids[8]; /* the first of them */
	struct uuid id;
	uint8_t key[PAIR_KEY_BYTES]; /* the first bytes of whole */
	uint32_t bits;
	uint8_t whole[512];
	struct delivery *delivery;
	bool keep; /* do not report: the test does */
	bool fail; /* report that it was not delivered */
	struct issue_operation *operation;
};
void pair_reserved(int result, const struct uuid *ids, size_t count, void *userdata);
void pair_delivered(int result, const struct issued_key *key, void *userdata);
#define PAIR_WAIT (5 * USEC_PER_SEC)
void pair_ask_new(struct pair_site *site, size_t count, uid_t owner, struct pair_result *ret);
void pair_ask_id(struct pair_site *site, const struct uuid *id, uid_t owner,
		 struct pair_result *ret);
void pair_ask_existing(struct pair_site *site, const struct uuid *id, uid_t owner,
		       struct pair_result *ret);
void pair_ask_label(struct pair_site *site, const char *label, uid_t owner,
		    struct pair_result *ret);
/* Runs until it is done and answers its result. */
int pair_finish(struct issuer_pair *pair, struct pair_result *result);
struct store_status pair_status(struct pair_site *site);
