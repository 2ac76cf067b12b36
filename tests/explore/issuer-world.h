/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two issuers with real issue records on a simulated clock, network and disks; people at both sites
 * who ask for keys by label, by id and for new ones, and whose helpers succeed, fail or die; and
 * linkd, which appends keys, at one site earlier than at the other (design section 8).
 */

#include "qkd-keyringd/issuer.h"
#include "qkd-keyringd/site-peer.h"
#include "tests/explore/explore.h"
#include "tests/explore/issuer-fake-loop.h"
#include "tests/unit/support/memory-storage.h"

#define ISSUERS_KEY_BYTES 16
#define ISSUERS_STRIDE    (2 * ISSUERS_KEY_BYTES + 1)
#define ISSUERS_MAX_KEYS  512
#define ISSUERS_REQUESTS  24 /* open at the same time */
#define ISSUERS_LABELS    8
#define ISSUERS_FRAMES    128

enum issuers_fault {
	ISSUERS_CUT,
	ISSUERS_KILL,
	ISSUERS_STOP, /* orderly */
	ISSUERS_POWER_CUT,
	ISSUERS_BLACKOUT,      /* a power cut at both sites */
	ISSUERS_STOP_IN_WRITE, /* kill -9 or power cut in one of the next operations on the disk */
	ISSUERS_SYNC_FAILS,
	ISSUERS_CLOCK_JUMP, /* of a site's wall clock */
	ISSUERS_STALL,      /* a site does nothing for a while */
	ISSUERS_LATE_KEYS,  /* linkd's next keys come to this site later */
	ISSUERS_FAULTS_,
};

enum issuers_feature {
	ISSUERS_SHORT_LABELS = 1 << 0, /* labels end after a second */
	ISSUERS_SHORT_RESERVATIONS = 1 << 1,
	ISSUERS_FEW_KEYS = 1 << 2, /* leases and alternatives */
	ISSUERS_SIZES = 1 << 3,    /* keys are cut and joined */
};

struct issuers;
struct issuers_site;

struct issuers_end { /* of a connection */
	struct site_transport transport;
	struct issuers_site *site;
	struct issuers_end *other; /* NULL: the connection is gone */
};

struct issuers_frame {
	struct issuers_end *to;
	json_t *json;
	uint64_t at_usec;
};

enum issuers_ask {
	ISSUERS_ASK_NEW,
	ISSUERS_ASK_EXISTING,
	ISSUERS_ASK_ID,
	ISSUERS_ASK_LABEL,
	ISSUERS_ASKS_,
};

struct issuers_request {
	struct issuers_site *site; /* NULL: free */
	struct issue_operation *operation;
	struct delivery *delivery;
	enum issuers_ask ask;
	unsigned label, owner;
	uint64_t sequence, deadline_usec, life;
	uint32_t bits;
	bool is_answered;
};

/* What is known of one key at one site. */
struct issuers_key {
	uint8_t purpose; /* 0: not handed out; 1: by id; 2 + label */
	uint8_t owner;
	uint64_t first; /* of those that it was joined with, */
	size_t offset;  /* and where it is among them */
	uint32_t bits;
	/* The helper's word is on record once the loop has come to rest, until a power cut. */
	enum { DELIVERY_OPEN, DELIVERY_REPORTED, DELIVERY_RECORDED } delivery;
};

struct issuers_site {
	struct issuers *world;
	unsigned index; /* 0 leads, and is the labels' home */
	struct memory_storage *disk;
	sd_event *event;
	struct issuer *issuer; /* NULL: not running */
	struct issuers_end *end;
	struct uuid boot;
	int64_t clock_offset;
	uint64_t restart_usec, stalled_usec, life;
	uint64_t lines; /* in its key files */
	bool is_disk_faulty, is_fatal, has_reports;
	struct issuers_key keys[ISSUERS_MAX_KEYS];
};

struct issuers {
	struct explore_course course;
	struct issuers_site sites[2];
	struct issuers_frame frames[ISSUERS_FRAMES];
	size_t frame_count;
	uint64_t connect_usec, keys_usec[2], agreed; /* keys that both linkd have or get */
	struct issuers_request requests[ISSUERS_REQUESTS];
	bool is_new[ISSUERS_MAX_KEYS];      /* given out as a new key, at either site */
	uint64_t label_key[ISSUERS_LABELS]; /* 1 + the newest key that it stood for */
	bool was_label[ISSUERS_LABELS][ISSUERS_MAX_KEYS]; /* it stood for it before */
	uint64_t delivered, pairs, crashes;               /* figures */
};

int issuers_new(struct issuers **ret);
void issuers_free(struct issuers *world);
int issuers_run(struct issuers *world, const struct explore_plan *plan, bool trace);
extern const char *const issuers_names[2];
extern const struct explore_kind issuers_kinds[ISSUERS_FAULTS_];
extern const struct explore_subject issuer_explore_subject;

/* issuer-site.c: life, death, connection and keys of a site */
void issuers_site_begin(struct issuers_site *site);
void issuers_site_start(struct issuers_site *site);
void issuers_site_stop(struct issuers_site *site);
void issuers_site_crash(struct issuers_site *site, enum memory_crash how);
/* Lets its loop do one thing, or its people ask; false: there was nothing to do. */
bool issuers_site_run(struct issuers_site *site);
void issuers_site_enter(struct issuers_site *site); /* its clock is the clock */
void issuers_site_heed(struct issuers_site *site);
void issuers_add_keys(struct issuers_site *site, uint64_t count);
void issuers_connect(struct issuers *world);
void issuers_cut(struct issuers *world);
void issuers_deliver_frame(struct issuers *world, size_t i);
void issuers_key(uint64_t sequence, uint8_t ret[static ISSUERS_KEY_BYTES]);
struct uuid issuers_id(uint64_t sequence);

/* issuer-people.c: requests, and what came of them */
void issuers_people_begin(struct issuers *world);
void issuers_ask(struct issuers_site *site);
void issuers_helper(struct issuers *world); /* a helper reports, or dies */
void issuers_people_lost(struct issuers_site *site);
void issuers_check_deadlines(struct issuers *world);
bool issuers_all_answered(const struct issuers *world);
/* With all up and connected: labels are the same at both sites, new keys are to be had. */
void issuers_check_settled(struct issuers *world);
