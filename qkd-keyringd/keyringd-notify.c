/* SPDX-License-Identifier: MIT */
/*
 * Signals and the STATUS line. A store changes with every key; who watches wants to know soon, but
 * not a thousand times a second, so changes are gathered and told together.
 */

#include "keyringd-notify.h"

#include <systemd/sd-daemon.h>

#include "common/events.h"
#include "common/log.h"

struct keyringd_notify {
	sd_event *event;
	struct issuer *issuer;
	struct bus_connection *bus;
	struct keyringd_direct_bus *direct_bus;
	sd_event_source *timer;
	bool armed;
	bool changed[ISSUE_MAX_PEERS];
	bool had_keys[ISSUE_MAX_PEERS]; /* that we may allocate; as last told */
};

/* One signal on its way to every bus. */
struct emission {
	enum { EMIT_STORE, EMIT_LABEL, EMIT_LOW_WATER, EMIT_PATH } kind;
	const char *peer, *label;
	const struct uuid *id;
	uint64_t available;
	const struct path *path;
	bool up;
};

static void emit_one(sd_bus *bus, void *userdata)
{
	const struct emission *e = userdata;
	int r = 0;

	switch (e->kind) {
	case EMIT_STORE:
		r = bus_api_emit_store_changed(bus, e->peer);
		break;
	case EMIT_LABEL:
		r = bus_api_emit_label_reserved(bus, e->peer, e->label, e->id);
		break;
	case EMIT_LOW_WATER:
		r = bus_api_emit_low_water(bus, e->peer, e->available);
		break;
	case EMIT_PATH:
		r = bus_api_emit_path_changed(bus, e->path, e->up);
		break;
	}
	if (r < 0)
		log_debug("cannot send a signal: %s", strerror(-r));
}

static void emit(struct keyringd_notify *notify, struct emission emission)
{
	sd_bus *bus = bus_connection_get(notify->bus);

	if (bus)
		emit_one(bus, &emission);
	keyringd_direct_bus_foreach(notify->direct_bus, emit_one, &emission);
}

static void tell_status(struct keyringd_notify *notify, bool ready)
{
	uint64_t available = 0, reserved = 0, issued = 0;
	size_t count = issuer_store_count(notify->issuer), connected = 0;
	struct store_status status;

	for (size_t i = 0; i < count; i++) {
		if (issuer_store_status(notify->issuer, i, &status) < 0)
			continue;
		available += status.available_own + status.available_peer;
		reserved += status.reserved + status.delivering;
		issued += status.issued;
		connected += status.connected;
	}
	sd_notifyf(false,
		   "%sSTATUS=%zu of %zu peers connected; keys: %llu available, %llu reserved, "
		   "%llu issued",
		   ready ? "READY=1\n" : "", connected, count, (unsigned long long)available,
		   (unsigned long long)reserved, (unsigned long long)issued);
}

/* The first keys, or again after there were none: once in a second at most. */
static void tell_available(struct keyringd_notify *notify, size_t i,
			   const struct store_status *status)
{
	const struct log_fields fields = {.peer = status->peer};
	bool has_keys = status->available_own > 0;

	if (has_keys == notify->had_keys[i])
		return;
	notify->had_keys[i] = has_keys;
	if (has_keys)
		log_event(LOG_INFO, EVENT_KEYS_AVAILABLE, &fields, "Keys for %s are available",
			  status->peer);
	else
		log_event(LOG_NOTICE, EVENT_LOW_WATER, &fields, "No keys left for %s",
			  status->peer);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct keyringd_notify *notify = userdata;
	struct store_status status;

	notify->armed = false;
	for (size_t i = 0; i < issuer_store_count(notify->issuer); i++) {
		if (!notify->changed[i])
			continue;
		notify->changed[i] = false;
		if (issuer_store_status(notify->issuer, i, &status) < 0)
			continue;
		tell_available(notify, i, &status);
		emit(notify, (struct emission){.kind = EMIT_STORE, .peer = status.peer});
	}
	tell_status(notify, false);
	return 0;
}

int keyringd_notify_new(sd_event *event, struct issuer *issuer, struct bus_connection *bus,
			struct keyringd_direct_bus *direct_bus, struct keyringd_notify **ret)
{
	_cleanup_(keyringd_notify_freep) struct keyringd_notify *notify =
		calloc(1, sizeof(*notify));
	int r;

	if (!notify)
		return -ENOMEM;
	notify->event = sd_event_ref(event);
	notify->issuer = issuer;
	notify->bus = bus;
	notify->direct_bus = direct_bus;
	r = sd_event_add_time(event, &notify->timer, CLOCK_MONOTONIC, 0, 0, on_timer, notify);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(notify->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(notify);
	return 0;
}

struct keyringd_notify *keyringd_notify_free(struct keyringd_notify *notify)
{
	if (!notify)
		return NULL;
	sd_event_source_disable_unref(notify->timer);
	sd_event_unref(notify->event);
	free(notify);
	return NULL;
}

void keyringd_notify_ready(struct keyringd_notify *notify)
{
	tell_status(notify, true);
}

static void mark_changed(struct keyringd_notify *notify, const char *peer)
{
	struct store_status status;

	for (size_t i = 0; i < issuer_store_count(notify->issuer); i++)
		if (issuer_store_status(notify->issuer, i, &status) == 0 &&
		    str_equal(status.peer, peer))
			notify->changed[i] = true;
}

void keyringd_notify_store_changed(struct keyringd_notify *notify, const char *peer)
{
	mark_changed(notify, peer);
	if (notify->armed)
		return;
	notify->armed = sd_event_source_set_time_relative(notify->timer, KEYRINGD_NOTIFY_USEC) >=
				0 &&
			sd_event_source_set_enabled(notify->timer, SD_EVENT_ONESHOT) >= 0;
}

void keyringd_notify_label(struct keyringd_notify *notify, const char *peer, const char *label,
			   const struct uuid *id)
{
	const struct log_fields fields = {.peer = peer, .label = label, .key_id = id};

	log_event(LOG_INFO, EVENT_KEY_RESERVED, &fields, "Label %s reserved by %s", label, peer);
	emit(notify, (struct emission){.kind = EMIT_LABEL, .peer = peer, .label = label, .id = id});
}

void keyringd_notify_path(struct keyringd_notify *notify, const struct path *path, bool up)
{
	emit(notify, (struct emission){.kind = EMIT_PATH, .path = path, .up = up});
}

void keyringd_notify_low_water(struct keyringd_notify *notify, const char *peer, uint64_t available)
{
	const struct log_fields fields = {.peer = peer};

	log_event(LOG_WARNING, EVENT_LOW_WATER, &fields, "Only %llu keys left for %s",
		  (unsigned long long)available, peer);
	emit(notify,
	     (struct emission){.kind = EMIT_LOW_WATER, .peer = peer, .available = available});
}
