/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One side of the sync protocol of one link (design section 5, qkd-sync(7)): transactions, their
 * timers, RESUME, generations. It executes the transition table (sync-table.h) on a journal and key
 * files; time, network, device and everything else come in and go out through one table of
 * functions, so that a test drives two of these on a simulated clock, network and disk.
 *
 * What must be durable before it is told is appended to the journal and waits; the owner calls
 * sync_machine_flush() at the end of the loop iteration in which want_flush() was called. One flush
 * makes durable whatever has gathered, then sends what waited for it.
 *
 * Every function that returns int answers 0, or negative errno when the daemon has to stop: a write
 * or sync failed, or the disk contradicts itself.
 */

#include "qkd-linkd/sync-message.h"
#include "qkd-linkd/sync-table.h"

#include "common/storage.h"
#include "drivers/driver.h"
#include "qkd-linkd/sync-statistics.h"

#define SYNC_RETRY_MIN_USEC    (1 * USEC_PER_SEC)  /* a message is repeated after this, doubling, */
#define SYNC_RETRY_MAX_USEC    (30 * USEC_PER_SEC) /* up to this */
#define SYNC_SYN_LIMIT_USEC    (30 * USEC_PER_SEC) /* leader gives a SYN up */
#define SYNC_FETCH_LIMIT_USEC  (20 * USEC_PER_SEC) /* follower gives its device up */
#define SYNC_RESUME_LIMIT_USEC (10 * USEC_PER_SEC) /* a connection without RESUME ends */
#define SYNC_PAUSE_MIN_USEC    (100 * USEC_PER_MSEC) /* leader asks no key after a NAK, doubling, */
#define SYNC_PAUSE_MAX_USEC    (30 * USEC_PER_SEC)   /* up to this */
#define SYNC_STOCK_CHECK_USEC  (10 * USEC_PER_SEC)   /* how often a full store is looked at */

struct sync_settings {
	enum sync_role role;
	const char *link, *peer; /* borrowed, outlive the machine */
	uint32_t key_bits;
	unsigned window;      /* leader: transactions open at the same time, 1..SYNC_MAX_OPEN */
	uint64_t hold_usec;   /* leader */
	uint64_t store_limit; /* keys in stock */
	unsigned keys_per_transaction; /* leader: that it asks for; no room without room for them */
	bool foreign_consumer;         /* consumer: files */
	bool confirm;                  /* compare a tag over the keys before COMMIT */
};

/* Both sides agree the whole of this at RESUME. */
struct sync_generation {
	struct uuid store;
	uint32_t generation;
	const char *directory;
};

struct sync_ops {
	uint64_t (*now)(void *userdata); /* monotonic, microseconds */
	int (*random)(void *bytes, size_t size_bytes, void *userdata);
	/* Nothing is promised about its arrival. */
	void (*send)(const struct sync_message *message, void *userdata);
	/* End the connection; sync_machine_disconnected() need not follow. */
	void (*disconnect)(const char *reason, void *userdata);
	/* Follower: ask the device for these; sync_machine_fetched() follows, later. */
	int (*fetch)(uint64_t txn, const struct uuid *ids, size_t count, void *userdata);
	/* These lines are in the key file, durable. Keys and ids are borrowed. */
	void (*agreed)(uint64_t first, const struct uuid *ids, const uint8_t *keys, size_t count,
		       void *userdata);
	/* A new generation has begun; dropped: keys of open transactions that are lost. */
	void (*began)(const struct sync_generation *generation, const char *why, uint64_t dropped,
		      void *userdata);
	/* A message that cannot be, or whose proof is wrong, changed nothing. */
	void (*distrust)(uint64_t txn, const char *what, void *userdata);
	/* The pair cannot work as configured. */
	void (*refused)(const char *what, void *userdata);
	/* Keys were not agreed because the disk is full. May be NULL. */
	void (*disk_full)(void *userdata);
	void (*connected)(void *userdata); /* RESUME is settled */
	void (*want_flush)(void *userdata);
	void (*want_wake)(uint64_t deadline_usec, void *userdata); /* UINT64_MAX: no timer */
};

struct sync_machine;

/* journal: directory of the file "journal"; keys: the keys directory; state: the service's home.
 * All borrowed. Recovers; *ret_open is the number of transactions that were open. */
int sync_machine_new(const struct sync_settings *settings, const struct sync_ops *ops,
		     void *userdata, struct storage *journal, struct storage *keys,
		     struct storage *state, uint64_t *ret_torn_bytes, struct sync_machine **ret);
struct sync_machine *sync_machine_free(struct sync_machine *machine);
DEFINE_CLEANUP(struct sync_machine *, sync_machine_free);

int sync_machine_connect(struct sync_machine *machine);
void sync_machine_disconnected(struct sync_machine *machine);
int sync_machine_receive(struct sync_machine *machine, const struct sync_message *message);
/* Leader: keys from the device; ownership passes, also on error. */
int sync_machine_keys(struct sync_machine *machine, struct key_batch *keys);
/* Follower: the device's answer; result as in device_keys_t, ownership passes. */
int sync_machine_fetched(struct sync_machine *machine, uint64_t txn, int result,
			 struct key_batch *keys);
int sync_machine_timer(struct sync_machine *machine);
int sync_machine_flush(struct sync_machine *machine);

/* Leader: so many transactions may be begun now; 0 also while the store is full or the peer paused
 * us. A wake or a flush comes when that may have changed. */
unsigned sync_machine_room(struct sync_machine *machine);
/* These settings may change while it runs; transactions that are open keep their hold. */
struct sync_changes {
	uint64_t hold_usec, store_limit;
	unsigned keys_per_transaction, window;
};
void sync_machine_reconfigure(struct sync_machine *machine, const struct sync_changes *changes);

bool sync_machine_is_connected(const struct sync_machine *machine); /* and resumed */
unsigned sync_machine_open(const struct sync_machine *machine);
uint64_t sync_machine_next(const struct sync_machine *machine);
/* Lines that are in the files, erased ones included. Looks at the disk. */
uint64_t sync_machine_stock(struct sync_machine *machine);
/* "" while there is no store. */
const char *sync_machine_directory(const struct sync_machine *machine);
/* SYNC_STATISTIC_COUNT_ of them; borrowed. */
struct statistic *sync_machine_statistics(struct sync_machine *machine);
