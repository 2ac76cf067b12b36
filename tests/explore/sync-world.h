/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two sync machines with real journals and key files, and at each site a process that does with
 * the files what keyringd does, on a simulated clock, network, device pair and disks (design
 * section 5). Its ledger remembers what was promised to whom, and every step is held against it.
 */

#include "qkd-linkd/sync-machine.h"
#include "tests/explore/explore.h"
#include "tests/explore/sync-keyringd.h"
#include "tests/unit/support/memory-storage.h"

#define WORLD_MAX_MESSAGES    512
#define WORLD_MAX_KEYS        2048 /* that the device pair gives in one episode */
#define WORLD_MAX_GENERATIONS 12
#define WORLD_MAX_TXNS        1024 /* of one generation */
#define WORLD_KEY_BYTES       8
#define WORLD_MESSAGE_IDS     8 /* the largest transaction here */
#define WORLD_STRIDE          keyfile_stride(8 * WORLD_KEY_BYTES)

enum world_fault {
	WORLD_LOSE, /* the next message that is sent */
	WORLD_DOUBLE,
	WORLD_DELAY,
	WORLD_RECONNECT,
	WORLD_STRAGGLE, /* the same, but what is under way arrives later */
	WORLD_KILL_LINKD,
	WORLD_KILL_KEYRINGD,
	WORLD_POWER_CUT,
	WORLD_STOP_IN_WRITE, /* kill -9 or power cut in one of the next operations on the disk */
	WORLD_SYNC_FAILS,    /* one of the next operations gives -EIO */
	WORLD_DISK_FULL,     /* for a while */
	WORLD_CLOCK_JUMP,
	WORLD_DEVICE_REFUSES,
	WORLD_DEVICE_LATE,
	WORLD_DEVICE_UNEQUAL, /* the next keys differ at the two sites */
	WORLD_WRONG_PROOF,    /* a message that was sent comes again with a wrong proof */
	WORLD_REPLAY,         /* a message that was sent comes again */
	WORLD_FORGE_ANSWER,   /* an answer to a message that was overheard, its proof guessed */
	WORLD_WRONG_FIRST,    /* ACK with another sequence number */
	WORLD_BACK_UP,
	WORLD_LOSE_DISK, /* a new one, or the backup */
	WORLD_FAULTS_,
};

enum world_feature {
	WORLD_CONFIRM = 1 << 0,
	WORLD_REORDERS = 1 << 1,    /* messages overtake each other */
	WORLD_END_OF_FILE = 1 << 2, /* begins a few lines before the end of the first key file */
	WORLD_SMALL_STORE = 1 << 3, /* the store's limit is soon reached */
	WORLD_NO_KEYRINGD = 1 << 4,
	WORLD_DISK_LOSSES = 1 << 5,
	WORLD_SMALL_JOURNAL = 1 << 6, /* is compacted now and then */
	WORLD_LIES = 1 << 7,
	WORLD_UNEQUAL = 1 << 8,
	WORLD_LENIENT_DEVICE = 1 << 9, /* gives the same keys again */
};

struct world;

struct world_message {
	struct sync_message message;
	struct uuid ids[WORLD_MESSAGE_IDS];
	uint64_t at_usec;
	unsigned to;
};

struct world_fetch {
	uint64_t txn, at_usec, life;
	size_t count;
	bool is_refused;
	struct uuid ids[WORLD_MESSAGE_IDS];
};

/* What is known of one line of one site; see sync-ledger.c. */
enum world_line {
	LINE_TOLD = 1 << 0,     /* as agreed, so it is durable */
	LINE_RECORDED = 1 << 1, /* the issue record may name it */
	LINE_ISSUED = 1 << 2,   /* handed out */
	LINE_ERASED = 1 << 3,   /* durably */
	LINE_BURNT = 1 << 4,    /* was not there, but in the issue record, when linkd recovered */
};

struct world_site {
	struct world *world;
	unsigned index; /* 0 leads */
	struct memory_storage *disk, *backup;
	struct sync_machine *machine; /* NULL: not running */
	uint64_t life;                /* counts starts */
	uint64_t restart_usec, wake_usec;
	uint64_t attach_usec, notice_usec; /* of a connection's begin and end; UINT64_MAX: none */
	bool is_attached, wants_flush, has_backup;
	bool is_behind;      /* its disk was lost, and RESUME has not found out yet */
	bool is_disk_faulty; /* an error is no wonder */
	uint64_t full_until; /* step; 0: not full */
	struct keyringd keyringd;
	uint8_t lines[WORLD_MAX_GENERATIONS][WORLD_MAX_KEYS];
	uint64_t told_next[WORLD_MAX_GENERATIONS];
	uint8_t fetched[WORLD_MAX_KEYS];
};

struct world_decision {
	enum { DECISION_NONE, DECISION_ACK, DECISION_ABORT } told;
	uint32_t count;
	uint64_t first;
};

struct world {
	struct explore_course course;
	struct world_site sites[2];
	uint64_t base; /* the first line of an episode */
	uint64_t hold_usec;
	unsigned window;

	bool is_connected;
	uint64_t connect_usec;
	struct world_message messages[WORLD_MAX_MESSAGES];
	size_t message_count;
	unsigned to_lose, to_double, to_delay;
	struct world_message heard; /* one that was sent, to be replayed */
	bool has_heard;

	struct world_fetch fetches[SYNC_MAX_OPEN];
	size_t fetch_count;
	unsigned to_refuse, to_answer_late, to_differ;
	uint64_t supply_usec; /* when the leader's device gives next */
	uint64_t serials;     /* keys that the device pair has given */
	uint8_t unequal[WORLD_MAX_KEYS];

	bool is_disk_lost;
	uint64_t generations;                                      /* that have begun */
	uint32_t serial_at[WORLD_MAX_GENERATIONS][WORLD_MAX_KEYS]; /* 1 + serial; 0: not known */
	uint32_t position_of[WORLD_MAX_KEYS]; /* 1 + generation and line; 0: none */
	struct world_decision decisions[WORLD_MAX_GENERATIONS][WORLD_MAX_TXNS];

	uint64_t agreed, issued, crashes, retired; /* figures */
};

extern const char *const world_names[2];
extern const struct explore_kind world_kinds[WORLD_FAULTS_];

int world_new(struct world **ret);
struct world *world_free(struct world *world);
DEFINE_CLEANUP(struct world *, world_free);
/* Runs the plan, then calm until nothing is open, and checks. 0, or -1 with a violation. */
int world_run(struct world *world, const struct explore_plan *plan, bool trace);

/* sync-faults.c: what the plan says for this step */
void world_faults(struct world *world);

/* sync-network.c */
void network_send(struct world_site *site, const struct sync_message *message);
void network_post(struct world *world, const struct sync_message *message, unsigned to,
		  uint64_t delay_usec);
void network_drop(struct world *world, bool straggle);
void network_deliver(struct world *world, size_t i);
uint64_t network_next(const struct world *world, size_t *ret_message);
uint64_t network_alarm(const struct world *world);
void network_ring(struct world *world);

/* sync-device.c */
void device_id(uint64_t serial, struct uuid *ret);
uint64_t device_serial(const struct uuid *id); /* UINT64_MAX: not ours */
void device_key(const struct world *world, unsigned site, uint64_t serial,
		uint8_t ret_key[static WORLD_KEY_BYTES]);
int device_fetch(struct world_site *site, uint64_t txn, const struct uuid *ids, size_t count);
uint64_t device_next(const struct world *world, size_t *ret_fetch);
void device_answer(struct world *world, size_t i);
void device_supply(struct world *world);

/* sync-site.c: life and death */
void site_begin(struct world_site *site);
void site_start(struct world_site *site);
void site_kill_linkd(struct world_site *site);
void site_kill_keyringd(struct world_site *site);
void site_crash(struct world_site *site, enum memory_crash how);
void site_power_cut(struct world_site *site);
void site_lose_disk(struct world_site *site);
void site_flush(struct world_site *site);
/* What a call of the machine or of keyringd says: a negative answer ends it. */
void site_heed(struct world_site *site, int r);
void site_heed_keyringd(struct world_site *site, int r);
unsigned site_generation(const struct world_site *site);

/* sync-ledger.c: what was promised */
void ledger_begin(struct world *world);
void ledger_sent(struct world_site *site, const struct sync_message *message);
void ledger_agreed(struct world_site *site, uint64_t first, const struct uuid *ids,
		   const uint8_t *keys, size_t count);
uint64_t ledger_first(const struct world *world, unsigned generation); /* line of an episode */
/* NULL: out of range. */
uint8_t *ledger_line(struct world_site *site, unsigned generation, uint64_t sequence);
void ledger_linkd_starts(struct world_site *site);
void ledger_linkd_started(struct world_site *site);
void ledger_disk_lost(struct world_site *site);
/* The lines that one site has been told of are in its files, as they should be. */
void ledger_check_site(struct world_site *site);

/* sync-check.c: what must be true when nothing is open */
struct file_line {
	enum keyfile_line kind;
	uint64_t serial;
	uint8_t key[WORLD_KEY_BYTES];
};
bool world_read_line(struct world_site *site, const char *directory, uint64_t sequence,
		     struct file_line *ret);
void world_check_settled(struct world *world);
