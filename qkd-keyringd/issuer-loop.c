/* SPDX-License-Identifier: MIT */

/*
 * When things happen: one flush at the end of the loop's iteration that writes the record, sends
 * what may be sent, syncs if somebody waits for the disk, and calls back; and the timers, each
 * armed only while it has something to wait for, so that an idle daemon sleeps.
 */

#include <time.h>

#include "common/events.h"
#include "common/pool.h"
#include "qkd-keyringd/issuer-private.h"

/* After everything that is ready has been handled: what it asks for shares one write. */
#define PRIORITY_BATCH (SD_EVENT_PRIORITY_NORMAL + 10)
#define PRIORITY_SYNC  (SD_EVENT_PRIORITY_NORMAL + 20)
#define PRIORITY_IDLE  (SD_EVENT_PRIORITY_NORMAL + 30)
#define PRIORITY_NOW   (SD_EVENT_PRIORITY_NORMAL - 10)

#define LAZY_SYNC_SHARE    10                    /* at most a tenth of the time, ... */
#define LAZY_SYNC_MAX_USEC (100 * USEC_PER_MSEC) /* ... but no less often than that */

void issuer_fail(struct issuer *issuer, int result, const char *what)
{
	if (issuer->failed)
		return;
	issuer->failed = true;
	log_event(LOG_ERR, EVENT_DISK_FAILED, &(struct log_fields){.error = -result}, "%s: %s",
		  what, strerror(-result));
	if (issuer->handler->on_fatal)
		issuer->handler->on_fatal(result, what, issuer->userdata);
}

void issuer_check_log(struct issuer *issuer, int result)
{
	if (result < 0)
		issuer_fail(issuer, result, "the issue record cannot be written");
}

static void send_outboxes(struct issuer *issuer)
{
	for (size_t i = 0; i < issuer->store_count; i++)
		site_peer_flush(issuer->stores[i]->peer, issue_log_position(issuer->log));
}

static void hurry_outboxes(struct issuer *issuer)
{
	if (!issuer->has_unhurried)
		return;
	issuer->has_unhurried = false;
	for (size_t i = 0; i < issuer->store_count; i++)
		site_peer_hurry(issuer->stores[i]->peer);
}

/* What was destroyed is told with the entries of the keys themselves, before anything of the record
 * leaves this process: a kill leaves both or neither. */
static void tell_all(struct issuer *issuer)
{
	for (size_t i = 0; i < issuer->store_count; i++)
		issuer_tell_flush(issuer->stores[i]);
}

static int sync_log(struct issuer *issuer)
{
	tell_all(issuer);
	return issue_log_sync(issuer->log);
}

static int write_and_send(struct issuer *issuer)
{
	int r;

	if (issuer->failed)
		return -EIO;
	tell_all(issuer);
	r = issue_log_write(issuer->log);
	if (r >= 0)
		send_outboxes(issuer);
	issuer_check_log(issuer, r);
	return r;
}

static int sync_and_send(struct issuer *issuer)
{
	int r = issuer_path_sync(issuer);

	if (r >= 0)
		r = sync_log(issuer);
	issuer_check_log(issuer, r);
	if (r < 0)
		return r;
	issuer_path_synced(issuer);
	return write_and_send(issuer);
}

int issuer_loop_flush(struct issuer *issuer)
{
	int r;

	hurry_outboxes(issuer);
	r = write_and_send(issuer);
	/* What waits for the disk may append and wait again. */
	while (r >= 0 && issue_log_has_waiters(issuer->log))
		r = sync_and_send(issuer);
	return r;
}

static int arm(sd_event_source *source, uint64_t usec)
{
	int r = sd_event_source_set_time(source, usec);

	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static bool is_armed(sd_event_source *source)
{
	return sd_event_source_get_enabled(source, NULL) > 0;
}

/* When the disk and the peers are to have what nobody waits for; 0: they have all. */
static uint64_t lazy_sync_usec(const struct issuer *issuer)
{
	uint64_t soonest = issuer_now(issuer) + issuer->sync_pause_usec;

	if (issue_log_is_dirty(issuer->log) || issuer->has_unhurried)
		return soonest;
	return issuer->lines_due_usec ? MAX(soonest, issuer->lines_due_usec) : 0;
}

static void after_flush(struct issuer *issuer)
{
	uint64_t lazy_usec = lazy_sync_usec(issuer);
	bool wait = issue_log_has_waiters(issuer->log);

	(void)sd_event_source_set_enabled(issuer->sync, wait ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	if (!wait && lazy_usec && !is_armed(issuer->sync_timer))
		(void)arm(issuer->sync_timer, lazy_usec);
	issuer_operation_call_finished(issuer);
}

static int on_flush(sd_event_source *source, void *userdata)
{
	struct issuer *issuer = userdata;
	bool overdue = is_armed(issuer->sync); /* under load, always something else comes first */
	int r;

	if (issuer->flush_wishes >= ISSUER_FLUSH_BATCH)
		(void)sd_event_source_set_priority(source, PRIORITY_BATCH);
	issuer->flush_wishes = 0;
	r = write_and_send(issuer);
	if (r >= 0 && overdue)
		r = sync_and_send(issuer);
	if (r >= 0)
		after_flush(issuer);
	return 0;
}

/* After the flush, and after the channels have passed its frames to the kernel: the peers work
 * while we wait for the disk. */
static int on_sync(sd_event_source *source, void *userdata)
{
	struct issuer *issuer = userdata;

	if (!issuer->failed && sync_and_send(issuer) >= 0)
		after_flush(issuer);
	return 0;
}

void issuer_loop_flush_soon(struct issuer *issuer)
{
	if (!issuer->flush)
		return;
	if (++issuer->flush_wishes == ISSUER_FLUSH_BATCH)
		(void)sd_event_source_set_priority(issuer->flush, PRIORITY_NOW);
	(void)sd_event_source_set_enabled(issuer->flush, SD_EVENT_ONESHOT);
}

static uint64_t exact_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* Lines first: whoever waits for the record may hand such a key out. Three files cost more than
 * one, so without need it comes seldom. */
static void sync_lines(struct issuer *issuer, uint64_t now_usec)
{
	bool is_due = issuer->lines_due_usec && issuer->lines_due_usec <= now_usec;

	if (!is_due && !issue_log_has_waiters(issuer->log))
		return;
	issuer_check_log(issuer, issuer_path_sync(issuer));
	if (!issuer->failed)
		issuer_path_synced(issuer);
}

/* Nobody waits for this one, so on a slow disk it comes less often. */
static int on_sync_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct issuer *issuer = userdata;

	uint64_t start = exact_now();

	if (issuer->failed)
		return 0;
	sync_lines(issuer, start);
	issuer_check_log(issuer, sync_log(issuer));
	issuer->sync_pause_usec =
		MIN(MAX(ISSUER_LAZY_SYNC_USEC, LAZY_SYNC_SHARE * (exact_now() - start)),
		    LAZY_SYNC_MAX_USEC);
	hurry_outboxes(issuer);
	issuer_loop_flush_soon(issuer);
	return 0;
}

static void keep_earliest(uint64_t *earliest, uint64_t usec)
{
	if (usec && (*earliest == 0 || usec < *earliest))
		*earliest = usec;
}

static int on_deadline_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct issuer *issuer = userdata;
	uint64_t now = issuer_now(issuer), next = 0;

	issuer->deadline_armed_usec = 0;
	keep_earliest(&next, issuer_operation_time_out(issuer, now));
	for (size_t i = 0; i < issuer->store_count; i++) {
		keep_earliest(&next, issuer_serve_time_out(issuer->stores[i], now));
		keep_earliest(&next, issuer_label_home_time_out(issuer->stores[i], now));
	}
	if (next)
		issuer_loop_deadline(issuer, next);
	return 0;
}

/* The timer may be early, for something that is over: then it is set anew when it fires. */
void issuer_loop_deadline(struct issuer *issuer, uint64_t usec)
{
	if (issuer->deadline_armed_usec && issuer->deadline_armed_usec <= usec)
		return;
	issuer->deadline_armed_usec = usec;
	(void)arm(issuer->deadline_timer, usec);
}

static int on_expiry_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct issuer *issuer = userdata;
	uint64_t clock = issuer_clock(issuer), next = 0;

	issuer->expiry_armed_usec = 0;
	for (size_t i = 0; i < issuer->store_count; i++) {
		struct issuer_store *store = issuer->stores[i];

		reservation_expire(store, clock);
		issuer_label_home_expire(store, clock);
		keep_earliest(&next, reservation_next_expiry(store));
		keep_earliest(&next, issuer_label_home_next_expiry(store));
	}
	if (next)
		issuer_loop_expiry(issuer, next);
	return 0;
}

/* At most once a second: each look goes through all reservations and labels. */
void issuer_loop_expiry(struct issuer *issuer, uint64_t clock_usec)
{
	uint64_t soonest = issuer_clock(issuer) + USEC_PER_SEC;

	clock_usec = MAX(clock_usec, soonest);
	if (issuer->expiry_armed_usec && issuer->expiry_armed_usec <= clock_usec)
		return;
	issuer->expiry_armed_usec = clock_usec;
	(void)arm(issuer->expiry_timer, clock_usec);
}

static void tell_changed(struct issuer_store *store)
{
	struct issuer *issuer = store->issuer;

	if (!store->changed)
		return;
	store->changed = false;
	if (issuer->paths)
		issuer->paths->on_changed(store->peer_name, issuer->paths_userdata);
	if (issuer->handler->on_store_changed)
		issuer->handler->on_store_changed(store->peer_name, issuer->userdata);
}

struct notice {
	struct list link;
	const char *peer; /* the store's */
	char label[LABEL_MAX_CHARS + 1];
	struct uuid id;
};

static void tell_notices(struct issuer *issuer)
{
	while (!list_is_empty(&issuer->notices)) {
		struct notice *notice = LIST_ENTRY(issuer->notices.next, struct notice, link);

		list_remove(&notice->link);
		issuer->notice_count--;
		issuer->handler->on_label(notice->peer, notice->label, &notice->id,
					  issuer->userdata);
		free(notice);
	}
}

static int on_chores_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct issuer *issuer = userdata;

	if (issuer->failed)
		return 0;
	for (size_t i = 0; i < issuer->store_count; i++)
		issuer_reconcile_note(issuer->stores[i]);
	/* Before lines are erased: or a kill in between leaves one that the peer is not told of. */
	if (write_and_send(issuer) < 0)
		return 0;
	/* Tried again with the next chores: whatever could not be erased is issued all the same. */
	if (issuer_directory_erase(issuer) < 0)
		log_warning("used keys could not be erased from the key files yet");
	if (issuer->pool)
		(void)pool_unlink_wiped(issuer->pool, false);
	issuer_replay_compact(issuer);
	for (size_t i = 0; i < issuer->store_count; i++)
		tell_changed(issuer->stores[i]);
	tell_notices(issuer);
	return 0;
}

void issuer_loop_chores(struct issuer *issuer)
{
	if (issuer->chores_timer && !is_armed(issuer->chores_timer))
		(void)arm(issuer->chores_timer, issuer_now(issuer) + ISSUER_CHORES_USEC);
}

/* While somebody waits, idle means that an answer is on its way. */
static int on_idle(sd_event_source *source, void *userdata)
{
	struct issuer *issuer = userdata;

	if (list_is_empty(&issuer->operations))
		tell_notices(issuer);
	else
		issuer_loop_chores(issuer);
	return 0;
}

void issuer_loop_notice(struct issuer *issuer, const char *peer, const char *label,
			const struct uuid *id)
{
	struct notice *notice;

	if (!issuer->handler->on_label)
		return;
	/* A loop that is never idle tells all the same. */
	if (issuer->notice_count >= ISSUER_MAX_NOTICES)
		tell_notices(issuer);
	notice = calloc(1, sizeof(*notice));
	if (!notice) {
		issuer->handler->on_label(peer, label, id, issuer->userdata);
		return;
	}
	notice->peer = peer;
	strcpy(notice->label, label);
	notice->id = *id;
	list_init(&notice->link);
	list_append(&issuer->notices, &notice->link);
	issuer->notice_count++;
	(void)sd_event_source_set_enabled(issuer->idle, SD_EVENT_ONESHOT);
}

static int add_timer(struct issuer *issuer, clockid_t clock, uint64_t accuracy_usec,
		     sd_event_time_handler_t handler, sd_event_source **ret)
{
	int r = sd_event_add_time(issuer->event, ret, clock, UINT64_MAX, accuracy_usec, handler,
				  issuer);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_defer(struct issuer *issuer, int64_t priority, sd_event_handler_t handler,
		     sd_event_source **ret)
{
	int r = sd_event_add_defer(issuer->event, ret, handler, issuer);

	if (r >= 0)
		r = sd_event_source_set_priority(*ret, priority);
	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int issuer_loop_start(struct issuer *issuer)
{
	int r = add_defer(issuer, PRIORITY_BATCH, on_flush, &issuer->flush);

	issuer->sync_pause_usec = ISSUER_LAZY_SYNC_USEC;
	if (r >= 0)
		r = add_defer(issuer, PRIORITY_SYNC, on_sync, &issuer->sync);
	if (r >= 0)
		r = add_defer(issuer, PRIORITY_IDLE, on_idle, &issuer->idle);
	if (r >= 0)
		r = add_timer(issuer, CLOCK_MONOTONIC, USEC_PER_MSEC, on_sync_timer,
			      &issuer->sync_timer);
	if (r >= 0)
		r = add_timer(issuer, CLOCK_MONOTONIC, USEC_PER_MSEC, on_deadline_timer,
			      &issuer->deadline_timer);
	if (r >= 0)
		r = add_timer(issuer, CLOCK_MONOTONIC, 20 * USEC_PER_MSEC, on_chores_timer,
			      &issuer->chores_timer);
	if (r >= 0)
		r = add_timer(issuer, CLOCK_REALTIME, USEC_PER_SEC, on_expiry_timer,
			      &issuer->expiry_timer);
	return r;
}

void issuer_loop_stop(struct issuer *issuer)
{
	while (!list_is_empty(&issuer->notices)) {
		struct notice *notice = LIST_ENTRY(issuer->notices.next, struct notice, link);

		list_remove(&notice->link);
		free(notice);
	}
	sd_event_source_disable_unref(issuer->flush);
	sd_event_source_disable_unref(issuer->sync);
	sd_event_source_disable_unref(issuer->idle);
	sd_event_source_disable_unref(issuer->sync_timer);
	sd_event_source_disable_unref(issuer->deadline_timer);
	sd_event_source_disable_unref(issuer->chores_timer);
	sd_event_source_disable_unref(issuer->expiry_timer);
	issuer->flush = issuer->sync = issuer->idle = issuer->sync_timer = issuer->deadline_timer =
		NULL;
	issuer->chores_timer = issuer->expiry_timer = NULL;
}
