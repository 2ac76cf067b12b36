/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two sync machines with real journals and key files on a simulated clock, network, disks and
 * device pair, all from one seed; and a stand-in for keyringd that issues and erases lines at each
 * site. What happens is chosen step by step: loss, duplication, delay, reconnects, kill -9, power
 * cuts that tear and reorder writes, failing syncs, full disks, lost disks, old backups.
 *
 * The check at the end is the one of the design: with no transaction open the key files agree line
 * by line; no key stands at two positions; nothing that was told as agreed is lost; nothing is
 * issued twice.
 */

#include "common/prng.h"
#include "qkd-linkd/sync-machine.h"
#include "tests/unit/support/memory-storage.h"

#define WORLD_MAX_MESSAGES 512
#define WORLD_MAX_FETCHES  SYNC_MAX_OPEN
#define WORLD_MAX_KEYS     8192 /* that the device pair gives in one episode */
#define WORLD_KEY_BYTES    8
#define WORLD_MESSAGE_IDS  8 /* the largest transaction here */

enum world_fault { /* what an episode may do, besides delay */
		   WORLD_LOSS = 1 << 0,
		   WORLD_DUPLICATES = 1 << 1,
		   WORLD_REORDER = 1 << 2,
		   WORLD_RECONNECTS = 1 << 3,
		   WORLD_CRASHES = 1 << 4, /* kill -9 and power cuts, between and within writes */
		   WORLD_SYNC_FAILS = 1 << 5,
		   WORLD_FULL_DISK = 1 << 6,
		   WORLD_DEVICE_FAILS = 1 << 7,
		   WORLD_LOST_DISK =
			   1 << 8, /* once in an episode: a new disk or an old backup at one site */
		   WORLD_CONFIRM = 1 << 9,
		   WORLD_UNEQUAL =
			   1 << 10, /* the devices give different keys at times; with CONFIRM */
		   WORLD_LIES = 1 << 11, /* messages with wrong proofs, replays */
};

struct world_message {
	struct sync_message message;
	struct uuid ids[WORLD_MESSAGE_IDS];
	uint64_t at_usec;
	unsigned to;
	bool is_wrong;  /* its proof or its number is: it has to change nothing */
	bool is_replay; /* it was sent before: changes nothing once its transaction is over */
};

struct world_fetch {
	uint64_t txn, at_usec, life;
	size_t count;
	struct uuid ids[WORLD_MESSAGE_IDS];
};

struct world_site {
	struct world *world;
	unsigned index; /* 0 leads */
	struct memory_storage *disk, *backup;
	struct sync_machine *machine; /* NULL: crashed */
	uint64_t life;                /* counts starts */
	uint64_t restart_usec, wake_usec;
	bool wants_flush, has_backup;
	/* By serial number of the key: */
	uint8_t recorded[WORLD_MAX_KEYS]; /* the issue record may name it */
	uint8_t issued[WORLD_MAX_KEYS];   /* times */
	uint8_t erased[WORLD_MAX_KEYS];   /* durable */
	uint8_t gone[WORLD_MAX_KEYS];     /* issued, and its line lost in a crash */
	uint32_t line[WORLD_MAX_KEYS];    /* of what was issued: 1 + sequence number */
	uint8_t fetched[WORLD_MAX_KEYS];
	uint8_t agreed[WORLD_MAX_KEYS]; /* told as agreed: 1 + generation */
	uint64_t fatal;                 /* times that the machine asked to be stopped */
};

struct world {
	struct prng prng;
	unsigned faults;
	bool is_calm; /* no more faults: everything has to settle */
	uint64_t now_usec, steps;
	struct world_site sites[2];
	bool is_connected;
	uint64_t connect_usec;
	struct world_message messages[WORLD_MAX_MESSAGES];
	size_t message_count;
	struct world_fetch fetches[WORLD_MAX_FETCHES];
	size_t fetch_count;
	uint64_t supply_usec; /* when the leader's device gives next */
	uint64_t serials;     /* keys that the device pair has given */
	bool is_disk_lost;
	struct sync_message heard; /* one that was sent, to be replayed */
	struct uuid heard_ids[WORLD_MESSAGE_IDS];
	unsigned heard_to;
	bool has_heard;
	char violation[200]; /* "" while all is well */
};

int world_new(struct world **ret);
struct world *world_free(struct world *world);
DEFINE_CLEANUP(struct world *, world_free);

/* Runs steps with faults, then calm until nothing is open, and checks. 0, or -1 with a violation.
 */
int world_episode(struct world *world, uint64_t seed, unsigned faults, uint64_t steps);
void world_violation(struct world *world, const char *format, ...) _printf_(2, 3);

/* The key with this serial number at this site, and back from an id; UINT64_MAX: not ours. */
void world_key(const struct world *world, unsigned site, uint64_t serial,
	       uint8_t ret_key[static WORLD_KEY_BYTES]);
void world_id(uint64_t serial, struct uuid *ret);
uint64_t world_serial(const struct uuid *id);

unsigned world_generation(const struct world_site *site);

/* sync-world-check.c */
void world_check_settled(struct world *world);
/* keyringd's part: issue a line if there is one, record first, then erase. Negative: the disk
 * failed. */
int world_issue(struct world_site *site);
/* After a crash: which issued lines are lost. */
void world_note_gone(struct world_site *site, const char *directory);
extern const char *const world_names[2];
