/* SPDX-License-Identifier: MIT */

/*
 * Storing the issue record: it turns entries into records of a wal and back, and knows who waits
 * for the disk. What the entries mean is the issuer's business.
 */

#include "qkd-keyringd/issue-log.h"

const struct statistics_definition issue_log_definitions[ISSUE_LOG_STATISTIC_COUNT_] = {
	[ISSUE_LOG_STATISTIC_GROUP] = {"record.group", STATISTICS_SUMMARY, STATISTICS_INTEGER,
				       "entries", "entries that shared a sync of the issue record"},
	[ISSUE_LOG_STATISTIC_SYNC] = {"record.sync", STATISTICS_SUMMARY, STATISTICS_TIME, "seconds",
				      "time for the issue record to become durable"},
};

struct issue_log {
	struct wal *wal;
	struct wal *target; /* where entries go: the wal, or its successor during a rewrite */
	struct list waiters;
	struct issue_start start;
	struct uuid boot; /* this one; that of start, once the record is settled */
	bool clean, complete;
	uint64_t position, position_synced, position_at_open;
	uint64_t size_after_rewrite;
	struct statistic statistics[ISSUE_LOG_STATISTIC_COUNT_];

	const struct issue_log_handler *handler; /* while it is replayed */
	void *userdata;
};

static int replay_start(struct issue_log *log, const struct wal_record *record)
{
	int r = issue_entry_parse_start(record, &log->start);

	if (r >= 0)
		log->position = MAX(log->position, log->start.position);
	return r;
}

static int replay_peer(struct issue_log *log, const struct wal_record *record)
{
	struct issue_peer peer;
	int r = issue_entry_parse_peer(record, &peer);

	return r < 0 ? r : log->handler->on_peer(&peer, log->userdata);
}

static int replay_ahead(struct issue_log *log, const struct wal_record *record)
{
	struct issue_record_ahead ahead;
	int r = issue_record_parse_ahead(record, &ahead);

	return r < 0 ? r : log->handler->on_ahead(&ahead, log->userdata);
}

static int replay_key(struct issue_log *log, const struct wal_record *record)
{
	struct issue_key key;
	int r = issue_entry_parse_key(record, &key);

	return r < 0 ? r : log->handler->on_key(&key, log->userdata);
}

static int replay_label(struct issue_log *log, const struct wal_record *record)
{
	struct issue_label label;
	int r = issue_entry_parse_label(record, &label);

	return r < 0 ? r : log->handler->on_label(&label, log->userdata);
}

static int replay_list(struct issue_log *log, const struct wal_record *record)
{
	struct issue_list list;
	int r = issue_entry_parse_list(record, &list);

	return r < 0 ? r : log->handler->on_list(&list, log->userdata);
}

static int replay_retire(struct issue_log *log, const struct wal_record *record)
{
	struct issue_record_retire retire;
	int r = issue_record_parse_retire(record, &retire);

	return r < 0 ? r : log->handler->on_retire(&retire, log->userdata);
}

static int replay_list_done(struct issue_log *log, const struct wal_record *record)
{
	struct uuid request;
	int r = issue_entry_parse_list_done(record, &request);

	return r < 0 ? r : log->handler->on_list_done(&request, log->userdata);
}

static int replay(const struct wal_record *record, const struct wal_place *place, void *userdata)
{
	struct issue_log *log = userdata;

	log->clean = record->type == ISSUE_ENTRY_CLEAN;
	log->position++;
	switch (record->type) {
	case ISSUE_RECORD_AHEAD:
		return replay_ahead(log, record);
	case ISSUE_RECORD_KEY:
		return replay_key(log, record);
	case ISSUE_RECORD_RETIRE:
		return replay_retire(log, record);
	case ISSUE_ENTRY_CLEAN:
		return 0;
	case ISSUE_ENTRY_START:
		return replay_start(log, record);
	case ISSUE_ENTRY_LABEL:
		return replay_label(log, record);
	case ISSUE_ENTRY_LIST:
		return replay_list(log, record);
	case ISSUE_ENTRY_LIST_DONE:
		return replay_list_done(log, record);
	case ISSUE_ENTRY_PEER:
		return replay_peer(log, record);
	}
	return -EBADMSG;
}

static int append(struct issue_log *log, uint8_t type, const uint8_t *bytes, size_t size_bytes)
{
	struct wal_record record = {
		.type = type,
		.public_bytes = bytes,
		.public_size = size_bytes,
	};

	/* A snapshot tells again what was counted before. */
	if (log->target == log->wal)
		log->position++;
	return wal_append(log->target, &record, NULL);
}

static int append_start(struct issue_log *log)
{
	uint8_t bytes[ISSUE_ENTRY_MAX_BYTES];

	log->start.position = log->position;
	return append(log, ISSUE_ENTRY_START, bytes, issue_entry_build_start(&log->start, bytes));
}

static int note_start(struct issue_log *log)
{
	int r;

	if (log->start.starts == 0) {
		r = uuid_new_random(&log->start.log);
		if (r < 0)
			return r;
	}
	log->start.starts++;
	log->position_at_open = log->position;
	r = append_start(log);
	return r < 0 ? r : issue_log_sync(log);
}

int issue_log_open(struct storage *state, const struct uuid *boot,
		   const struct issue_log_handler *handler, void *userdata, struct issue_log **ret)
{
	_cleanup_(issue_log_freep) struct issue_log *log = calloc(1, sizeof(*log));
	int r;

	if (!log)
		return -ENOMEM;
	list_init(&log->waiters);
	log->handler = handler;
	log->userdata = userdata;
	log->clean = true;
	r = state->ops->make_directory(state, ISSUE_RECORD_DIRECTORY);
	if (r >= 0)
		r = state->ops->sync_directory(state, ".");
	if (r < 0 && r != -EEXIST)
		return r;
	r = wal_open(state, ISSUE_RECORD_DIRECTORY "/" ISSUE_RECORD_FILE, ISSUE_RECORD_KIND, replay,
		     log, &log->wal);
	if (r < 0)
		return r;
	log->target = log->wal;
	log->complete = log->clean || uuid_equal(&log->start.boot, boot);
	log->boot = *boot;
	if (log->complete)
		log->start.boot = log->boot;
	r = note_start(log);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(log);
	return 0;
}

int issue_log_settled(struct issue_log *log)
{
	int r;

	if (uuid_equal(&log->start.boot, &log->boot))
		return 0;
	log->start.boot = log->boot;
	r = append_start(log);
	return r < 0 ? r : issue_log_sync(log);
}

struct issue_log *issue_log_free(struct issue_log *log)
{
	if (!log)
		return NULL;
	while (!list_is_empty(&log->waiters))
		list_remove(log->waiters.next);
	wal_free(log->wal);
	free(log);
	return NULL;
}

bool issue_log_is_complete(const struct issue_log *log)
{
	return log->complete;
}

const struct issue_start *issue_log_start(const struct issue_log *log)
{
	return &log->start;
}

int issue_log_ahead(struct issue_log *log, const struct issue_record_ahead *ahead)
{
	uint8_t bytes[ISSUE_RECORD_AHEAD_BYTES];

	issue_record_build_ahead(ahead, bytes);
	return append(log, ISSUE_RECORD_AHEAD, bytes, sizeof(bytes));
}

int issue_log_retire(struct issue_log *log, const struct issue_record_retire *retire)
{
	uint8_t bytes[ISSUE_RECORD_RETIRE_BYTES];

	issue_record_build_retire(retire, bytes);
	return append(log, ISSUE_RECORD_RETIRE, bytes, sizeof(bytes));
}

int issue_log_key(struct issue_log *log, const struct issue_key *key)
{
	uint8_t bytes[ISSUE_ENTRY_KEY_MAX_BYTES];

	return append(log, ISSUE_RECORD_KEY, bytes, issue_entry_build_key(key, bytes));
}

int issue_log_label(struct issue_log *log, const struct issue_label *label)
{
	uint8_t bytes[ISSUE_ENTRY_MAX_BYTES];

	return append(log, ISSUE_ENTRY_LABEL, bytes, issue_entry_build_label(label, bytes));
}

int issue_log_list(struct issue_log *log, const struct issue_list *list)
{
	uint8_t bytes[ISSUE_ENTRY_MAX_BYTES];

	return append(log, ISSUE_ENTRY_LIST, bytes, issue_entry_build_list(list, bytes));
}

int issue_log_list_done(struct issue_log *log, const struct uuid *request)
{
	uint8_t bytes[ISSUE_ENTRY_MAX_BYTES];

	return append(log, ISSUE_ENTRY_LIST_DONE, bytes,
		      issue_entry_build_list_done(request, bytes));
}

int issue_log_clean(struct issue_log *log)
{
	return append(log, ISSUE_ENTRY_CLEAN, (const uint8_t *)"\1", 1);
}

int issue_log_peer(struct issue_log *log, const struct issue_peer *peer)
{
	uint8_t bytes[ISSUE_ENTRY_KEY_MAX_BYTES];

	return append(log, ISSUE_ENTRY_PEER, bytes, issue_entry_build_peer(peer, bytes));
}

uint64_t issue_log_position_at_open(const struct issue_log *log)
{
	return log->position_at_open;
}

uint64_t issue_log_position(const struct issue_log *log)
{
	return log->position_synced;
}

void issue_log_waiter_init(struct issue_log_waiter *waiter,
			   void (*synced)(struct issue_log_waiter *waiter))
{
	list_init(&waiter->link);
	waiter->synced = synced;
}

void issue_log_wait(struct issue_log *log, struct issue_log_waiter *waiter)
{
	list_remove(&waiter->link);
	list_append(&log->waiters, &waiter->link);
}

bool issue_log_has_waiters(const struct issue_log *log)
{
	return !list_is_empty(&log->waiters);
}

bool issue_log_is_dirty(const struct issue_log *log)
{
	return wal_is_dirty(log->wal);
}

int issue_log_write(struct issue_log *log)
{
	return wal_write(log->wal);
}

static int sync_wal(struct issue_log *log)
{
	uint64_t begun_usec = statistics_clock_usec();
	int r = wal_sync(log->wal);

	statistics_update(&log->statistics[ISSUE_LOG_STATISTIC_SYNC],
			  statistics_clock_usec() - begun_usec);
	statistics_update(&log->statistics[ISSUE_LOG_STATISTIC_GROUP],
			  log->position - log->position_synced);
	return r;
}

int issue_log_sync(struct issue_log *log)
{
	struct list ready;
	int r = sync_wal(log);

	if (r < 0)
		return r;
	log->position_synced = log->position;
	/* Those that wait again from within synced() wait for the next sync. */
	list_init(&ready);
	list_move_all(&ready, &log->waiters);
	while (!list_is_empty(&ready)) {
		struct issue_log_waiter *waiter =
			LIST_ENTRY(ready.next, struct issue_log_waiter, link);

		list_remove(&waiter->link);
		waiter->synced(waiter);
	}
	return 0;
}

struct statistic *issue_log_statistics(struct issue_log *log)
{
	return log->statistics;
}

bool issue_log_is_overgrown(const struct issue_log *log)
{
	uint64_t size_bytes = wal_size_bytes(log->wal);

	return size_bytes > ISSUE_LOG_REWRITE_BYTES && size_bytes / 2 > log->size_after_rewrite;
}

struct rewrite {
	struct issue_log *log;
	int (*snapshot)(struct issue_log *log, void *userdata);
	void *userdata;
};

static int write_snapshot(struct wal *wal, void *userdata)
{
	struct rewrite *rewrite = userdata;
	int r;

	rewrite->log->target = wal;
	r = append_start(rewrite->log);
	if (r >= 0)
		r = rewrite->snapshot(rewrite->log, rewrite->userdata);
	rewrite->log->target = rewrite->log->wal;
	return r;
}

int issue_log_rewrite(struct issue_log *log, int (*snapshot)(struct issue_log *log, void *userdata),
		      void *userdata)
{
	struct rewrite rewrite = {log, snapshot, userdata};
	int r = wal_rewrite(log->wal, write_snapshot, &rewrite);

	if (r >= 0)
		log->size_after_rewrite = wal_size_bytes(log->wal);
	return r;
}
