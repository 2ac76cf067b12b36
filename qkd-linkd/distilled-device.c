/* SPDX-License-Identifier: MIT */
/*
 * A device that yields detections, made into one that yields keys.
 *
 * Light goes from the raw device to the distillation as fast as that takes it; calls for keys wait
 * for the keys. When the light, the connection or the session ends, all three begin anew.
 */

#include "qkd-linkd/distilled-device.h"

#include "common/events.h"
#include "common/log.h"
#include "drivers/call-queue.h"
#include "qkd-linkd/distill-worker.h"
#include "qkd-linkd/link-distill.h"

#define DROP_LOG_USEC  (60 * USEC_PER_SEC)
#define DROP_LOG_BURST 5
#define WAIT_STEP_USEC (250 * USEC_PER_MSEC)

struct distilled_device {
	struct device device;
	struct call_queue calls;
	struct device *raw;
	struct link_distill *distill;
	struct distilled_device_peer peer;
	void *peer_userdata;
	sd_event_source *serve, *wait;
	bool has_peer, asked_for_light, alarm;
	double error_rate;
	struct statistic statistics[DISTILL_STATISTIC_COUNT_];
	struct log_ratelimit drop_limit;
};

static const struct driver distilled_driver;

static struct distilled_device *from_device(const struct device *device)
{
	return CONTAINER_OF((struct device *)device, struct distilled_device, device);
}

static uint64_t now_usec(const struct distilled_device *d)
{
	uint64_t now = 0;

	sd_event_now(d->calls.event, CLOCK_MONOTONIC, &now);
	return now;
}

/* Light, connection and session end together. */
static void break_off(struct distilled_device *d, enum device_end end, const char *reason)
{
	link_distill_end(d->distill);
	d->asked_for_light = false;
	d->raw->driver->end_session(d->raw);
	if (d->device.state != DEVICE_INACTIVE)
		call_queue_end(&d->calls, end, reason);
	if (d->has_peer) {
		d->has_peer = false;
		d->peer.reconnect(reason, d->peer_userdata);
	}
}

/* Light */

static void ask_for_light(struct distilled_device *d);

static void on_detections(struct device *raw, const struct detection *detections, size_t count,
			  void *userdata)
{
	struct distilled_device *d = userdata;
	int r;

	d->asked_for_light = false;
	if (!link_distill_is_begun(d->distill))
		return;
	r = link_distill_detections(d->distill, detections, count);
	if (r < 0)
		break_off(d, DEVICE_RETRY, strerror(-r));
	else
		ask_for_light(d);
}

static void ask_for_light(struct distilled_device *d)
{
	size_t room = link_distill_room(d->distill);

	if (d->asked_for_light || room == 0 || d->raw->state != DEVICE_SESSION_STARTED)
		return;
	room = MIN(room, (size_t)DISTILL_WORKER_MAX_DETECTIONS);
	d->asked_for_light = d->raw->driver->get_detections(d->raw, room, on_detections, d) >= 0;
}

static void begin_if_ready(struct distilled_device *d)
{
	int r;

	if (!d->has_peer || d->raw->state != DEVICE_SESSION_STARTED)
		return;
	r = link_distill_begin(d->distill);
	if (r < 0)
		break_off(d, DEVICE_RETRY, strerror(-r));
}

static void on_raw_state(struct device *raw, enum device_state state, void *userdata)
{
	struct distilled_device *d = userdata;

	d->device.state = state;
	d->calls.handler.on_state(&d->device, state, d->calls.userdata);
	if (state == DEVICE_SESSION_STARTED)
		begin_if_ready(d);
}

static void on_raw_end(struct device *raw, enum device_end end, const char *reason, void *userdata)
{
	break_off(userdata, end, reason);
}

/* Keys */

static void serve_soon(struct distilled_device *d)
{
	if (sd_event_source_set_enabled(d->serve, SD_EVENT_ONESHOT) < 0)
		log_error("No event source for keys; start the link again");
}

/* How long a call by id has waited is in its work: the time at which it was made. */
static int answer_for(struct distilled_device *d, struct queued_call *call,
		      struct key_batch **ret_batch)
{
	int r;

	if (!call->ids)
		return link_distill_take(d->distill, call->count, ret_batch);
	r = link_distill_take_by_id(d->distill, call->ids, call->count, ret_batch);
	if (r == -EAGAIN && now_usec(d) - (uintptr_t)call->work > LINK_DISTILL_WAIT_USEC)
		r = -ENOKEY;
	return r;
}

/* One answer a round, since its receiver may do anything. */
static int on_serve(sd_event_source *source, void *userdata)
{
	struct distilled_device *d = userdata;
	bool is_waiting = false;

	for (struct queued_call *call = d->calls.active; call; call = call->next) {
		struct key_batch *batch = NULL;
		int r = answer_for(d, call, &batch);

		if (r == -EAGAIN) {
			is_waiting |= call->ids != NULL;
			continue;
		}
		serve_soon(d);
		call_queue_answer(call, r, batch,
				  r < 0 ? "no such distilled key, or it was given already" : "");
		return 0;
	}
	if (is_waiting)
		sd_event_source_set_time_relative(d->wait, WAIT_STEP_USEC);
	sd_event_source_set_enabled(d->wait, is_waiting ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	ask_for_light(d);
	return 0;
}

static int on_wait(sd_event_source *source, uint64_t usec, void *userdata)
{
	serve_soon(userdata);
	return 0;
}

static int add_call(struct distilled_device *d, const struct uuid *ids, size_t count,
		    device_keys_t done, void *userdata)
{
	struct queued_call *call;
	int r = call_queue_add(&d->calls, ids, count, done, userdata, &call);

	if (r < 0)
		return r;
	call->work = (void *)(uintptr_t)now_usec(d);
	serve_soon(d);
	return 0;
}

static int distilled_get_keys(struct device *device, size_t count, device_keys_t done,
			      void *userdata)
{
	return add_call(from_device(device), NULL, count, done, userdata);
}

static int distilled_get_keys_by_id(struct device *device, const struct uuid *ids, size_t count,
				    device_keys_t done, void *userdata)
{
	return add_call(from_device(device), ids, count, done, userdata);
}

/* What distillation says */

static int on_send(const void *bytes, size_t size_bytes, void *userdata)
{
	struct distilled_device *d = userdata;

	return d->has_peer ? d->peer.send(bytes, size_bytes, d->peer_userdata) : -ENOTCONN;
}

static void on_keys(void *userdata)
{
	serve_soon(userdata);
}

static void on_room(void *userdata)
{
	ask_for_light(userdata);
}

static void on_report(const struct distill_report *report, void *userdata)
{
	struct distilled_device *d = userdata;
	struct log_fields fields = {.reason = "dropped"};
	unsigned suppressed;

	d->error_rate = report->error_rate;
	distill_statistics_count(d->statistics, report);
	if (report->drop != BLOCK_DROP_NONE && !log_ratelimit_pass(&d->drop_limit, &suppressed))
		return;
	if (report->drop != BLOCK_DROP_NONE)
		log_event(LOG_NOTICE, EVENT_BLOCK_DROPPED, &fields,
			  "Block %u gave no key: %s (error rate %.2f %%; %u more not logged)",
			  report->block, block_drop_name(report->drop), 100 * report->error_rate,
			  suppressed);
	else
		log_info("Block %u: error rate %.2f %%, f %.4f, %lu bits leaked, %lu of %lu bits "
			 "are key",
			 report->block, 100 * report->error_rate, report->efficiency,
			 report->leak_bits, report->key_bits, report->sifted_bits);
}

static void on_alarm(bool raised, void *userdata)
{
	struct distilled_device *d = userdata;

	d->alarm = raised;
	statistics_set(&d->statistics[DISTILL_STATISTIC_ALARM], raised);
	log_event(raised ? LOG_ALERT : LOG_NOTICE, EVENT_DISTILL_ALARM, NULL,
		  raised ? "Too many blocks in a row gave no key: the line is noisy or tapped"
			 : "Blocks give key again");
}

static void on_failed(int result, const char *reason, void *userdata)
{
	struct log_fields fields = {.error = -result};
	bool is_forged = result == -EKEYREJECTED;

	log_event(is_forged ? LOG_ALERT : LOG_WARNING, EVENT_DISTILL_FAILED, &fields,
		  "Distillation ended: %s", reason);
	break_off(userdata, is_forged ? DEVICE_GIVE_UP : DEVICE_RETRY, reason);
}

/* The connection */

void distilled_device_set_peer(struct device *device, const struct distilled_device_peer *peer,
			       void *userdata)
{
	struct distilled_device *d = from_device(device);

	d->peer = *peer;
	d->peer_userdata = userdata;
}

void distilled_device_connected(struct device *device)
{
	struct distilled_device *d = from_device(device);

	d->has_peer = true;
	begin_if_ready(d);
}

void distilled_device_disconnected(struct device *device)
{
	struct distilled_device *d = from_device(device);
	bool was_begun = link_distill_is_begun(d->distill);

	d->has_peer = false;
	link_distill_end(d->distill);
	/* The light of a session that is over fits no other one. */
	if (was_begun)
		break_off(d, DEVICE_RETRY, "the connection to the peer ended");
}

int distilled_device_receive(struct device *device, const uint8_t *bytes, size_t size_bytes)
{
	return link_distill_receive(from_device(device)->distill, bytes, size_bytes);
}

bool distilled_device_is(const struct device *device)
{
	return device->driver == &distilled_driver;
}

struct statistic *distilled_device_statistics(struct device *device)
{
	return from_device(device)->statistics;
}

bool distilled_device_alarm(const struct device *device)
{
	return from_device(device)->alarm;
}

double distilled_device_error_rate(const struct device *device)
{
	return from_device(device)->error_rate;
}

/* Session */

static int distilled_start_session(struct device *device)
{
	struct distilled_device *d = from_device(device);
	int r;

	if (!call_queue_is_idle(&d->calls))
		return -EBUSY;
	r = d->raw->driver->start_session(d->raw);
	if (r >= 0 && d->device.state == DEVICE_INACTIVE)
		d->device.state = DEVICE_LISTENING;
	return r;
}

static void distilled_end_session(struct device *device)
{
	struct distilled_device *d = from_device(device);

	link_distill_end(d->distill);
	d->asked_for_light = false;
	d->raw->driver->end_session(d->raw);
	call_queue_end_quietly(&d->calls);
	if (d->has_peer) {
		d->has_peer = false;
		d->peer.reconnect("the session was stopped", d->peer_userdata);
	}
}

static struct distilled_device *distilled_device_free(struct distilled_device *d)
{
	if (!d)
		return NULL;
	link_distill_free(d->distill);
	if (d->raw)
		d->raw->driver->close(d->raw);
	call_queue_done(&d->calls);
	sd_event_source_disable_unref(d->serve);
	sd_event_source_disable_unref(d->wait);
	sd_event_unref(d->calls.event);
	free(d);
	return NULL;
}
DEFINE_CLEANUP(struct distilled_device *, distilled_device_free);

static void distilled_close(struct device *device)
{
	distilled_device_free(from_device(device));
}

static int open_distillation(struct distilled_device *d, uint32_t key_bits,
			     const struct distilled_device_settings *settings, char **ret_what)
{
	static const struct link_distill_handler handler = {
		.send = on_send,
		.on_keys = on_keys,
		.on_room = on_room,
		.on_report = on_report,
		.on_alarm = on_alarm,
		.on_failed = on_failed,
	};
	struct link_distill_settings own = {
		.key_bits = key_bits,
		.block_frames = (unsigned)settings->block_frames,
		.window = (unsigned)settings->window,
		.count_both_directions = settings->count_both_directions,
		.secret_path = settings->secret_path,
		.storage = settings->storage,
	};
	int r;

	if (!settings->secret_path)
		return asprintf(ret_what, "a device that yields detections needs distill.secret") <
				       0
			       ? -ENOMEM
			       : -EINVAL;
	d->raw->driver->describe_source(d->raw, &own.source);
	r = link_distill_new(d->calls.event, &own, &handler, d, &d->distill);
	if (r < 0 && asprintf(ret_what, "distillation with the secret in %s: %s",
			      settings->secret_path, strerror(-r)) < 0)
		return -ENOMEM;
	return r;
}

static int open_sources(struct distilled_device *d)
{
	int r = sd_event_add_defer(d->calls.event, &d->serve, on_serve, d);

	if (r >= 0)
		r = sd_event_source_set_enabled(d->serve, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(d->calls.event, &d->wait, CLOCK_MONOTONIC, UINT64_MAX, 0,
				      on_wait, d);
	if (r >= 0)
		r = sd_event_source_set_enabled(d->wait, SD_EVENT_OFF);
	return r;
}

int distilled_device_new(sd_event *event, const struct device_url *url,
			 const struct distilled_device_settings *settings,
			 const struct device_handler *handler, void *userdata, char **ret_what,
			 struct device **ret)
{
	static const struct device_handler raw_handler = {.on_state = on_raw_state,
							  .on_end = on_raw_end};
	_cleanup_(distilled_device_freep) struct distilled_device *d = calloc(1, sizeof(*d));
	const struct driver *driver = driver_find(url->scheme);
	int r;

	if (!d)
		return -ENOMEM;
	d->device.driver = &distilled_driver;
	d->drop_limit =
		(struct log_ratelimit){.interval_usec = DROP_LOG_USEC, .burst = DROP_LOG_BURST};
	d->calls = (struct call_queue){
		.device = &d->device,
		.event = sd_event_ref(event),
		.handler = *handler,
		.userdata = userdata,
	};
	r = open_sources(d);
	if (r >= 0)
		r = driver->open(event, url, &raw_handler, d, ret_what, &d->raw);
	if (r >= 0)
		r = open_distillation(d, url->key_bits, settings, ret_what);
	if (r < 0)
		return r;
	*ret = &TAKE_PTR(d)->device;
	return 0;
}

static const struct driver distilled_driver = {
	.scheme = "distilled",
	.description = "keys distilled from a device's detections",
	.yield = DRIVER_YIELDS_KEYS,
	.close = distilled_close,
	.start_session = distilled_start_session,
	.end_session = distilled_end_session,
	.get_keys = distilled_get_keys,
	.get_keys_by_id = distilled_get_keys_by_id,
};
