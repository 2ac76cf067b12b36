/* SPDX-License-Identifier: MIT */

/*
 * What the sync machine wants done in the world: sent, fetched, deposited, logged, woken.
 */

#include "qkd-linkd/link-private.h"

#include <inttypes.h>
#include <sys/random.h>

#include "common/events.h"

static uint64_t effect_now(void *userdata)
{
	return link_now(userdata);
}

static int effect_random(void *bytes, size_t size_bytes, void *userdata)
{
	ssize_t n = getrandom(bytes, size_bytes, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == size_bytes ? 0 : -EIO;
}

static void effect_send(const struct sync_message *message, void *userdata)
{
	struct link *link = userdata;

	if (link->peer)
		link_peer_send(link->peer, message);
}

static void effect_disconnect(const char *reason, void *userdata)
{
	struct link *link = userdata;
	struct log_fields fields = {.peer = link->config->peer};

	log_event(LOG_NOTICE, EVENT_PEER_LOST, &fields, "Ending the connection with %s: %s",
		  link->config->peer, reason);
	link_peer_disconnect(link->peer);
	link_status_changed(link);
}

static int effect_fetch(uint64_t txn, const struct uuid *ids, size_t count, void *userdata)
{
	struct link *link = userdata;

	return link_device_fetch(link->device, txn, ids, count);
}

static void deposit(struct link *link, uint64_t first, const struct uuid *ids, const uint8_t *keys,
		    size_t count)
{
	uint64_t before;
	int r;

	if (!link->deposit)
		return;
	before = deposit_total(link->deposit);
	r = deposit_add(link->deposit, first, ids, keys, count,
			link_device_key_bits(link->device) / 8, link_now(link));
	statistics_update(&link->statistics.values[LINK_STATISTIC_DEPOSITED],
			  deposit_total(link->deposit) - before);
	if (r > 0)
		log_event(LOG_WARNING, EVENT_QUOTA_TOO_SMALL, NULL,
			  "The quota for keys of this user is used up; no deposits for a minute");
	if (r >= 0)
		return;
	log_warning("The kernel's pool cannot be used any more: %s", strerror(-r));
	link->deposit = deposit_free(link->deposit);
}

/* The way of each key, for whoever follows one: at debug alone. */
static void trace(const struct link *link, uint64_t first, const struct uuid *ids, size_t count)
{
	struct log_fields fields = {.peer = link->config->peer};

	if (log_max_level() < LOG_DEBUG)
		return;
	for (size_t i = 0; i < count; i++) {
		fields.key_id = &ids[i];
		log_event(LOG_DEBUG, EVENT_KEY_AGREED, &fields, "Line %" PRIu64 " agreed with %s",
			  first + i, link->config->peer);
	}
}

static void effect_agreed(uint64_t first, const struct uuid *ids, const uint8_t *keys, size_t count,
			  void *userdata)
{
	struct link *link = userdata;

	trace(link, first, ids, count);
	deposit(link, first, ids, keys, count);
	if (link->agreed_count == 0)
		link->agreed_first = first;
	link->agreed_count += count;
}

static void effect_began(const struct sync_generation *generation, const char *why,
			 uint64_t dropped, void *userdata)
{
	struct link *link = userdata;
	struct log_fields fields = {.peer = link->config->peer};
	char store[UUID_CHARS + 1];

	link->agreed_count = 0;
	uuid_format(&generation->store, store);
	if (generation->generation == 0)
		log_info("Store %s begins in %s", store, generation->directory);
	else
		log_event(LOG_WARNING, EVENT_GENERATION_RETIRED, &fields,
			  "Generation %u of store %s begins in %s, since %s; %" PRIu64
			  " keys that were being agreed are dropped",
			  generation->generation, store, generation->directory, why, dropped);
	link_status_changed(link);
}

static void effect_distrust(uint64_t txn, const char *what, void *userdata)
{
	struct link *link = userdata;
	char transaction[24];
	struct log_fields fields = {
		.peer = link->config->peer, .transaction = transaction, .reason = "violation"};
	unsigned suppressed;

	snprintf(transaction, sizeof(transaction), "%" PRIu64, txn);
	if (log_ratelimit_pass(&link->violation_limit, &suppressed))
		log_event(LOG_WARNING, EVENT_SYNC_VIOLATION, &fields,
			  "Transaction %s with %s: %s (%u more not logged)", transaction,
			  link->config->peer, what, suppressed);
}

static void effect_refused(const char *what, void *userdata)
{
	struct link *link = userdata;
	struct log_fields fields = {.peer = link->config->peer, .reason = "configuration"};
	unsigned suppressed;

	if (log_ratelimit_pass(&link->violation_limit, &suppressed))
		log_event(LOG_ERR, EVENT_CONFIG_INVALID, &fields,
			  "No keys can be agreed with %s: %s", link->config->peer, what);
}

static void effect_disk_full(void *userdata)
{
	struct link *link = userdata;
	struct log_fields fields = {.peer = link->config->peer, .error = ENOSPC};
	unsigned suppressed;

	if (log_ratelimit_pass(&link->disk_limit, &suppressed))
		log_event(LOG_ERR, EVENT_DISK_FULL, &fields,
			  "No space left in %s: no keys are agreed on %s until there is",
			  link->config->home, link->config->link);
}

static void effect_connected(void *userdata)
{
	struct link *link = userdata;
	struct log_fields fields = {.peer = link->config->peer};

	statistics_update(&link->statistics.values[LINK_STATISTIC_CONNECTIONS], 1);
	log_event(LOG_INFO, EVENT_PEER_CONNECTED, &fields,
		  "Connected with %s; %u transactions are open, line %" PRIu64 " is next",
		  link->config->peer, sync_machine_open(link->machine),
		  sync_machine_next(link->machine));
	link_status_changed(link);
	link_pump(link);
}

static void effect_want_flush(void *userdata)
{
	struct link *link = userdata;

	if (link->is_ending)
		return;
	link->wants_flush = true;
	link->flush_wanted_usec = link_now(link);
	if (sd_event_source_set_enabled(link->flush, SD_EVENT_ONESHOT) < 0)
		link_check(link, -EIO);
}

static void effect_want_wake(uint64_t deadline_usec, void *userdata)
{
	struct link *link = userdata;
	int r;

	if (link->is_ending)
		return;
	if (deadline_usec == UINT64_MAX) {
		sd_event_source_set_enabled(link->wake, SD_EVENT_OFF);
		return;
	}
	r = sd_event_source_set_time(link->wake, deadline_usec);
	if (r >= 0)
		r = sd_event_source_set_enabled(link->wake, SD_EVENT_ONESHOT);
	link_check(link, r);
}

const struct sync_ops link_sync_ops = {
	.now = effect_now,
	.random = effect_random,
	.send = effect_send,
	.disconnect = effect_disconnect,
	.fetch = effect_fetch,
	.agreed = effect_agreed,
	.began = effect_began,
	.distrust = effect_distrust,
	.refused = effect_refused,
	.disk_full = effect_disk_full,
	.connected = effect_connected,
	.want_flush = effect_want_flush,
	.want_wake = effect_want_wake,
};
