/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Three or four sites with real issuers and real builds of keys over paths, on a simulated clock,
 * network and disks: relays between two ends, people at the ends who ask for end-to-end keys, and
 * people at neighbours who ask for keys of the same hops (docs/multi-hop.md).
 */

#include "qkd-keyringd/multihop.h"
#include "qkd-keyringd/site-peer.h"
#include "tests/explore/explore.h"
#include "tests/explore/issuer-fake-loop.h"
#include "tests/unit/support/memory-storage.h"

#define RELAYS_SITES     4
#define RELAYS_LINKS     6 /* one for each two sites */
#define RELAYS_KEY_BYTES 16
#define RELAYS_STRIDE    (2 * RELAYS_KEY_BYTES + 1)
#define RELAYS_MAX_KEYS  1024 /* of a link */
#define RELAYS_REQUESTS  16   /* open at the same time */
#define RELAYS_LABELS    6
#define RELAYS_FRAMES    512
#define RELAYS_ISSUED    1024 /* keys that somebody has had, in one episode */
#define RELAYS_ANSWERS   1024 /* of relays, likewise */

enum relays_fault {
	RELAYS_CUT,
	RELAYS_KILL,
	RELAYS_POWER_CUT,
	RELAYS_STOP_IN_WRITE, /* kill -9 or power cut in one of the next operations on the disk */
	RELAYS_STALL,         /* a site does nothing for a while */
	RELAYS_LATE_KEYS,     /* linkd's next keys come to this site later */
	RELAYS_LIE,           /* the next XOR of this site arrives changed */
	RELAYS_FORGET_PATH,   /* this site is told that the path is over, and then of it again */
	RELAYS_FAULTS_,
};

/* Which sites there are, and the paths between the first and the last: plan features. */
enum relays_shape {
	RELAYS_ROW_OF_3,
	RELAYS_ROW_OF_4,
	RELAYS_DISJOINT, /* two paths with a relay each, both for every key */
	RELAYS_DIRECT,   /* a row of three, and a slow link between its ends */
	RELAYS_SHAPES_,
};
#define RELAYS_STOCK    (1 << 2)
#define RELAYS_FEW_KEYS (1 << 3)

struct relays;
struct relays_site;

struct relays_end { /* of a connection */
	struct site_transport transport;
	struct relays_site *site;
	struct relays_end *other; /* NULL: the connection is gone */
	unsigned peer;
};

struct relays_frame {
	struct relays_end *to;
	json_t *json;
	uint64_t at_usec;
};

enum relays_ask {
	RELAYS_ASK_NEW,
	RELAYS_ASK_ID,
	RELAYS_ASK_LABEL,
	RELAYS_ASKS_,
};

struct relays_request {
	struct relays_site *site; /* NULL: free */
	unsigned peer;
	struct issue_operation *operation;
	struct delivery *delivery;
	enum relays_ask ask;
	unsigned label;
	struct uuid id;
	uint64_t deadline_usec;
	bool is_answered, is_last;
};

struct relays_site {
	struct relays *world;
	unsigned index;
	struct memory_storage *disk;
	sd_event *event;
	struct issuer *issuer; /* NULL: not running */
	struct multihop *multihop;
	struct relays_end *ends[RELAYS_SITES];
	struct uuid boot;
	uint64_t restart_usec, stalled_usec;
	uint64_t lines[RELAYS_SITES], keys_usec[RELAYS_SITES]; /* of each peer's link */
	bool is_fatal, lies;
	bool was_cut; /* its power, in this episode */
};

/* A key that somebody has had. */
struct relays_issued {
	struct uuid id;
	uint8_t bytes[RELAYS_KEY_BYTES];
	bool is_new; /* made by GetNewKey; its bytes may be unknown still: */
	bool has_bytes;
	unsigned sites; /* who, a bit each */
};

/* What one relay has said for one path of one build. */
struct relays_answer {
	struct uuid build;
	unsigned relay, leg;
	uint64_t digest;
};

/* What one key of a link is for. */
struct relays_use {
	bool is_issued; /* by itself */
	bool is_bound;
	struct uuid build; /* if bound: for which build, from which site on, on which path of it */
	unsigned from, leg;
};

struct relays {
	struct explore_course course;
	enum relays_shape shape;
	unsigned site_count;
	struct relays_site sites[RELAYS_SITES];
	struct relays_frame frames[RELAYS_FRAMES];
	size_t frame_count;
	uint64_t connect_usec[RELAYS_LINKS], agreed[RELAYS_LINKS];
	struct relays_request requests[RELAYS_REQUESTS];
	struct relays_issued issued[RELAYS_ISSUED];
	size_t issued_count;
	struct relays_answer answers[RELAYS_ANSWERS];
	size_t answer_count;
	struct relays_use uses[RELAYS_LINKS][RELAYS_MAX_KEYS];
	struct uuid last_id; /* of the last label */
	unsigned last_count;
	uint64_t delivered, pairs, relayed, lies, removed, crashes; /* figures */
};

int relays_new(struct relays **ret);
void relays_free(struct relays *world);
int relays_run(struct relays *world, const struct explore_plan *plan, bool trace);
extern const char *const relays_names[RELAYS_SITES];
extern const struct explore_kind relays_kinds[RELAYS_FAULTS_];
extern const struct explore_subject relay_explore_subject;

/* relay-shape.c: who is there */
unsigned relays_link(unsigned a, unsigned b);
bool relays_has_link(const struct relays *world, unsigned a, unsigned b);
/* The paths from the first site to the last; answers how many. */
size_t relays_paths(const struct relays *world, struct path ret[static PATH_MAX_DISJOINT]);
void relays_key(unsigned link, uint64_t sequence, uint8_t ret[static RELAYS_KEY_BYTES]);
struct uuid relays_id(unsigned link, uint64_t sequence);
/* False: not the id of a link's key. */
bool relays_find_id(const struct uuid *id, unsigned *ret_link, uint64_t *ret_sequence);

/* relay-site.c: life, death, paths and keys of a site */
void relays_site_begin(struct relays_site *site);
void relays_site_start(struct relays_site *site);
void relays_site_crash(struct relays_site *site, enum memory_crash how);
/* Lets its loop do one thing; false: there was nothing to do. */
bool relays_site_run(struct relays_site *site);
void relays_site_enter(struct relays_site *site); /* its clock is the clock */
void relays_site_heed(struct relays_site *site);
void relays_forget_path(struct relays_site *site);
void relays_add_keys(struct relays_site *site, unsigned peer);

/* relay-network.c */
void relays_connect(struct relays *world, unsigned a, unsigned b);
void relays_cut(struct relays *world, unsigned a, unsigned b);
void relays_lose(struct relays_site *site); /* it says nothing at the end, the others notice */
size_t relays_next_frame(const struct relays *world); /* SIZE_MAX: none that can be delivered */
void relays_deliver_frame(struct relays *world, size_t i);

/* relay-people.c: requests, and what came of them */
void relays_ask(struct relays *world);
/* The same label at both ends. */
void relays_ask_last(struct relays *world, unsigned label);
void relays_helper(struct relays *world); /* a helper reports, or dies */
void relays_people_lost(struct relays_site *site);
void relays_check_deadlines(struct relays *world);
bool relays_all_answered(const struct relays *world);

/* relay-ledger.c: what was said and given */
void relays_note_frame(struct relays_site *from, unsigned to, const json_t *frame);
void relays_note_key(struct relays_site *site, const struct uuid *id, const uint8_t *bytes);
void relays_note_new(struct relays *world, const struct uuid *id);
/* With all up and connected, long after the last request: nothing is reserved, nothing under way.
 */
void relays_check_settled(struct relays *world);
