/* SPDX-License-Identifier: MIT */

/*
 * What is told outside: KeysAgreed, properties, the STATUS line, the rate. Nothing here runs while
 * nothing happens.
 */

#include "qkd-linkd/link-private.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#define RATE_SAMPLE_USEC (5 * USEC_PER_SEC)

static uint64_t keys_agreed(const struct link *link)
{
	return sync_machine_statistics(link->machine)[SYNC_STATISTIC_KEYS].total.integer;
}

/* Over the last one or two samples' time; falls towards 0 when nothing comes any more. */
static double rate(const struct link *link)
{
	const struct link_sample *since = &link->samples[0];
	uint64_t elapsed = link_now(link) - since->at_usec;

	if (since->at_usec == 0 || elapsed == 0)
		return 0;
	return (double)(keys_agreed(link) - since->keys) * (double)USEC_PER_SEC /
	       (double)MAX(elapsed, USEC_PER_SEC);
}

static void sample(struct link *link)
{
	struct link_sample now = {.at_usec = link_now(link), .keys = keys_agreed(link)};

	if (link->samples[1].at_usec == 0)
		link->samples[0] = link->samples[1] = now;
	if (now.at_usec - link->samples[1].at_usec < RATE_SAMPLE_USEC)
		return;
	link->samples[0] = link->samples[1];
	link->samples[1] = now;
}

void link_status(struct link *link, struct link_status *ret)
{
	const struct link_config *config = link->config;
	const struct device *distilled = link_device_distilled(link->device);

	*ret = (struct link_status){
		.link = config->link,
		.site = config->site,
		.peer = config->peer,
		.state = device_state_name(link_device_state(link->device)),
		.device = link_device_id(link->device),
		.driver = link_device_driver(link->device),
		.directory = sync_machine_directory(link->machine),
		.last_error = link_device_error(link->device),
		.peer_error = link->peer ? link_peer_trouble(link->peer) : "",
		.key_bits = link_device_key_bits(link->device),
		.open_transactions = sync_machine_open(link->machine),
		.next_sequence = sync_machine_next(link->machine),
		.keys_agreed = keys_agreed(link),
		.in_pool = link->deposit ? deposit_count(link->deposit) : 0,
		.keys_per_second = rate(link),
		.error_rate = distilled ? distilled_device_error_rate(distilled) : 0,
		.alarm = distilled && distilled_device_alarm(distilled),
		.connected = sync_machine_is_connected(link->machine),
	};
}

static void notify_status(struct link *link)
{
	uint64_t stock = sync_machine_stock(link->machine);
	struct link_status status;

	statistics_sample(&link->statistics.set, link_now(link));
	statistics_set(&link->statistics.values[LINK_STATISTIC_STOCK], stock);
	link_status(link, &status);
	sd_notifyf(false,
		   "STATUS=%s, %s with %s; %.0f keys/s, %" PRIu64 " lines in stock, %" PRIu64
		   " in the pool",
		   status.state, status.connected ? "connected" : "not connected", status.peer,
		   status.keys_per_second, stock, status.in_pool);
}

static int on_status(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link *link = userdata;

	link->status_timer = sd_event_source_disable_unref(link->status_timer);
	notify_status(link);
	return 0;
}

static void status_later(struct link *link)
{
	if (!link->status_timer)
		(void)sd_event_add_time_relative(link->event, &link->status_timer, CLOCK_MONOTONIC,
						 LINK_STATUS_USEC, 0, on_status, link);
}

void link_status_changed(struct link *link)
{
	if (!link->machine || !link->device || link->is_ending)
		return;
	notify_status(link);
	link_bus_state_changed(link->bus);
}

static void signal_agreed(struct link *link)
{
	link->signalled_usec = link_now(link);
	link_bus_keys_agreed(link->bus, sync_machine_directory(link->machine), link->agreed_first,
			     link->agreed_count);
	link->agreed_count = 0;
}

static int on_signal_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link *link = userdata;

	link->signal_timer = sd_event_source_disable_unref(link->signal_timer);
	if (link->agreed_count > 0)
		signal_agreed(link);
	return 0;
}

void link_tell_agreed(struct link *link)
{
	uint64_t due = link->signalled_usec + LINK_SIGNAL_USEC;

	if (link->agreed_count == 0)
		return;
	sample(link);
	status_later(link);
	if (link->config->consumer == LINK_CONSUMER_FILES)
		link->agreed_count = 0; /* they are nobody else's business */
	else if (link_now(link) >= due)
		signal_agreed(link);
	else if (!link->signal_timer)
		link_check(link, sd_event_add_time(link->event, &link->signal_timer,
						   CLOCK_MONOTONIC, due, 1, on_signal_time, link));
}
