/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The issue record as keyringd writes it: appended to during an iteration of the loop, written or
 * synced once at its end, compacted when it has grown.
 *
 * What must not happen before a record is on disk (key bytes leaving the daemon, a label told to
 * the peer, a lease granted) waits in this log's queue; issue_log_sync() releases it. Everything
 * else only needs the record to be with the kernel, which survives kill -9, before it is answered.
 */

#include "common/statistics.h"
#include "qkd-keyringd/issue-entry.h"
#include "qkd-keyringd/list.h"

#define ISSUE_LOG_REWRITE_BYTES (4u << 20) /* below this size it is never compacted */

enum issue_log_statistic {
	ISSUE_LOG_STATISTIC_GROUP,
	ISSUE_LOG_STATISTIC_SYNC,
	ISSUE_LOG_STATISTIC_COUNT_,
};
extern const struct statistics_definition issue_log_definitions[ISSUE_LOG_STATISTIC_COUNT_];

struct issue_log;

/* What the record says, entry by entry, oldest first. A negative answer ends opening. */
struct issue_log_handler {
	int (*on_ahead)(const struct issue_record_ahead *ahead, void *userdata);
	int (*on_key)(const struct issue_key *key, void *userdata);
	int (*on_retire)(const struct issue_record_retire *retire, void *userdata);
	int (*on_label)(const struct issue_label *label, void *userdata);
	int (*on_list)(const struct issue_list *list, void *userdata);
	int (*on_list_done)(const struct uuid *request, void *userdata);
	int (*on_peer)(const struct issue_peer *peer, void *userdata);
};

struct issue_log_waiter {
	struct list link;
	void (*synced)(struct issue_log_waiter *waiter);
};

/* Replays, then notes durably that it was opened. boot names the time since the machine was
 * started. What a power cut may have taken from the record has to be settled: issue_log_settled().
 */
int issue_log_open(struct storage *state, const struct uuid *boot,
		   const struct issue_log_handler *handler, void *userdata, struct issue_log **ret);
/* What was not written is dropped, and what waits is never called. */
struct issue_log *issue_log_free(struct issue_log *log);
DEFINE_CLEANUP(struct issue_log *, issue_log_free);
/* It was closed in order before, or has only been killed since the machine was started: whatever
 * has no record was not handed out. */
bool issue_log_is_complete(const struct issue_log *log);
/* What was appended since it was opened makes up for what may be missing. Durable; until then
 * another start in the same boot finds it incomplete, too. */
int issue_log_settled(struct issue_log *log);
const struct issue_start *issue_log_start(const struct issue_log *log);

int issue_log_ahead(struct issue_log *log, const struct issue_record_ahead *ahead);
int issue_log_retire(struct issue_log *log, const struct issue_record_retire *retire);
int issue_log_key(struct issue_log *log, const struct issue_key *key);
int issue_log_label(struct issue_log *log, const struct issue_label *label);
int issue_log_list(struct issue_log *log, const struct issue_list *list);
int issue_log_list_done(struct issue_log *log, const struct uuid *request);
int issue_log_peer(struct issue_log *log, const struct issue_peer *peer);
int issue_log_clean(struct issue_log *log);

/* How many entries there were ever, in the file at the start of this process; and on disk now. */
uint64_t issue_log_position_at_open(const struct issue_log *log);
uint64_t issue_log_position(const struct issue_log *log);

/* ISSUE_LOG_STATISTIC_COUNT_ of them. */
struct statistic *issue_log_statistics(struct issue_log *log);

/* synced() comes from within a later issue_log_sync(). A waiter waits once at a time. */
void issue_log_wait(struct issue_log *log, struct issue_log_waiter *waiter);
void issue_log_waiter_init(struct issue_log_waiter *waiter,
			   void (*synced)(struct issue_log_waiter *waiter));
bool issue_log_has_waiters(const struct issue_log *log);
bool issue_log_is_dirty(const struct issue_log *log);

/* To the kernel. */
int issue_log_write(struct issue_log *log);
/* To the disk, then calls what waited. */
int issue_log_sync(struct issue_log *log);

/* Worth compacting: large, and twice as large as after the last time. */
bool issue_log_is_overgrown(const struct issue_log *log);
/* Replaces it by what snapshot() appends through this log's own functions. */
int issue_log_rewrite(struct issue_log *log, int (*snapshot)(struct issue_log *log, void *userdata),
		      void *userdata);
