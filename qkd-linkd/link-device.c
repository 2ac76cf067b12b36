/* SPDX-License-Identifier: MIT */

/*
 * Drives one device: starts its session again when it ends, asks it for keys, and says in the
 * journal, once for each kind of trouble, what it answers.
 */

#include "qkd-linkd/link-device.h"

#include <limits.h>
#include <sys/stat.h>

#include "common/events.h"
#include "common/log.h"

#define REASON_MAX 256

struct fetch_call {
	struct link_device *device;
	uint64_t txn, begun_usec;
	bool is_used;
};

#define COUNTER(n, u, h)                                                  \
	{                                                                 \
		"device." n, STATISTICS_COUNTER, STATISTICS_INTEGER, u, h \
	}

const struct statistics_definition link_device_definitions[LINK_DEVICE_STATISTIC_COUNT_] = {
	[LINK_DEVICE_STATISTIC_STATE] =
		{"device.state", STATISTICS_GAUGE, STATISTICS_INTEGER, "",
		 "0 inactive, 1 listening, 2 connected, 3 ready, 4 session"},
	[LINK_DEVICE_STATISTIC_SESSIONS] = COUNTER("sessions", "sessions", "sessions that began"),
	[LINK_DEVICE_STATISTIC_KEYS] = COUNTER("keys", "keys", "keys that the device gave"),
	[LINK_DEVICE_STATISTIC_EMPTY] =
		COUNTER("empty", "calls", "calls answered that there is no key just now"),
	[LINK_DEVICE_STATISTIC_FAILURES] = COUNTER("failures", "calls", "calls that failed"),
	[LINK_DEVICE_STATISTIC_LATENCY] = {"device.latency", STATISTICS_SUMMARY, STATISTICS_TIME,
					   "seconds", "from a call for keys to its answer"},
};

struct link_device {
	sd_event *event;
	struct link_device_handler handler;
	void *userdata;
	const struct driver *driver;
	struct device *device;
	struct device_url *url;
	char *id;
	int claim_fd;
	bool is_wanted; /* a session shall be there */
	sd_event_source *timer, *pause;
	uint64_t backoff_usec, failed_usec;
	unsigned asked;
	uint64_t asked_usec[DRIVER_MAX_CALLS]; /* a ring: calls are answered about in order */
	unsigned asked_next;
	struct statistic statistics[LINK_DEVICE_STATISTIC_COUNT_];
	struct fetch_call fetches[DRIVER_MAX_CALLS];
	char error[REASON_MAX];
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void count(struct link_device *device, enum link_device_statistic which, uint64_t value)
{
	statistics_update(&device->statistics[which], value);
}

static uint64_t now_usec(const struct link_device *device)
{
	uint64_t now = 0;

	sd_event_now(device->event, CLOCK_MONOTONIC, &now);
	return now;
}

static void start_later(struct link_device *device, uint64_t usec)
{
	device->timer = sd_event_source_disable_unref(device->timer);
	if (sd_event_add_time_relative(device->event, &device->timer, CLOCK_MONOTONIC, usec, 0,
				       on_timer, device) < 0)
		log_error("No timer for the device; start the link again");
}

/* The same trouble once, until something has worked in between. */
static void complain(struct link_device *device, int result, const char *reason)
{
	struct log_fields fields = {.error = result < 0 ? -result : 0};

	if (str_equal(device->error, reason))
		return;
	snprintf(device->error, sizeof(device->error), "%s", reason);
	log_event(LOG_WARNING, EVENT_DEVICE_FAILED, &fields, "Device %s: %s", device->id, reason);
}

/* Session */

static void try_start(struct link_device *device)
{
	int r = device->driver->start_session(device->device);

	if (r == -EBUSY) {
		start_later(device, LINK_DEVICE_AGAIN_USEC); /* the last one's calls are ending */
	} else if (r < 0) {
		complain(device, r, strerror(-r));
		start_later(device, device->backoff_usec);
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link_device *device = userdata;

	if (device->is_wanted && device->device->state == DEVICE_INACTIVE)
		try_start(device);
	return 0;
}

static void on_state(struct device *inner, enum device_state state, void *userdata)
{
	struct link_device *device = userdata;

	if (state == DEVICE_SESSION_STARTED) {
		count(device, LINK_DEVICE_STATISTIC_SESSIONS, 1);
		device->backoff_usec = LINK_DEVICE_BACKOFF_MIN_USEC;
		device->failed_usec = LINK_DEVICE_FAILED_USEC;
	}
	device->handler.on_state(state, device->userdata);
}

static void on_end(struct device *inner, enum device_end end, const char *reason, void *userdata)
{
	struct link_device *device = userdata;

	complain(device, 0, reason);
	if (end == DEVICE_RETRY) {
		start_later(device, device->backoff_usec);
		device->backoff_usec = MIN(2 * device->backoff_usec, LINK_DEVICE_BACKOFF_MAX_USEC);
	} else {
		device->is_wanted = false;
		log_warning("The device is not started again until the link is (%s)",
			    end == DEVICE_GIVE_UP ? "it gave up" : "its configuration is wrong");
	}
	device->handler.on_state(DEVICE_INACTIVE, device->userdata);
}

int link_device_start(struct link_device *device)
{
	if (device->is_wanted)
		return 0;
	device->is_wanted = true;
	device->backoff_usec = LINK_DEVICE_BACKOFF_MIN_USEC;
	device->error[0] = '\0';
	try_start(device);
	return 0;
}

void link_device_stop(struct link_device *device)
{
	if (!device->is_wanted)
		return;
	device->is_wanted = false;
	device->timer = sd_event_source_disable_unref(device->timer);
	device->driver->end_session(device->device);
	device->handler.on_state(DEVICE_INACTIVE, device->userdata);
}

/* Keys */

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link_device *device = userdata;

	device->pause = sd_event_source_disable_unref(device->pause);
	device->handler.on_resumed(device->userdata);
	return 0;
}

/* No call before this is over. */
static void pause_asking(struct link_device *device, uint64_t usec)
{
	if (device->pause)
		return;
	if (sd_event_add_time_relative(device->event, &device->pause, CLOCK_MONOTONIC, usec, 0,
				       on_pause_over, device) < 0)
		log_error("No timer for the device; start the link again");
}

static void call_failed(struct link_device *device, int result, const char *reason)
{
	if (result == -EAGAIN) {
		count(device, LINK_DEVICE_STATISTIC_EMPTY, 1);
		pause_asking(device, LINK_DEVICE_AGAIN_USEC);
		return;
	}
	if (result == -ECANCELED)
		return;
	count(device, LINK_DEVICE_STATISTIC_FAILURES, 1);
	complain(device, result, reason);
	pause_asking(device, device->failed_usec);
	device->failed_usec = MIN(2 * device->failed_usec, LINK_DEVICE_BACKOFF_MAX_USEC);
}

static void call_worked(struct link_device *device, size_t keys, uint64_t begun_usec)
{
	count(device, LINK_DEVICE_STATISTIC_KEYS, keys);
	count(device, LINK_DEVICE_STATISTIC_LATENCY, now_usec(device) - begun_usec);
	device->failed_usec = LINK_DEVICE_FAILED_USEC;
	device->error[0] = '\0';
}

static void on_keys(struct device *inner, int result, struct key_batch *batch, const char *reason,
		    void *userdata)
{
	struct link_device *device = userdata;
	uint64_t begun_usec;

	begun_usec = device->asked_usec[(device->asked_next - device->asked) % DRIVER_MAX_CALLS];
	device->asked--;
	if (result < 0) {
		call_failed(device, result, reason);
		return;
	}
	call_worked(device, batch->count, begun_usec);
	device->handler.on_keys(batch, device->userdata);
}

void link_device_ask(struct link_device *device, unsigned calls, size_t keys)
{
	while (!device->pause && device->device->state == DEVICE_SESSION_STARTED &&
	       device->asked < calls) {
		int r = device->driver->get_keys(device->device, keys, on_keys, device);

		if (r == -EBUSY)
			return; /* an answer comes, and then we are asked again */
		if (r < 0) {
			call_failed(device, r, strerror(-r));
			return;
		}
		device->asked_usec[device->asked_next++ % DRIVER_MAX_CALLS] = now_usec(device);
		device->asked++;
	}
}

static void fetch_failed(struct link_device *device, int result, const char *reason)
{
	count(device, LINK_DEVICE_STATISTIC_FAILURES, 1);
	complain(device, result, reason);
}

static void on_fetched(struct device *inner, int result, struct key_batch *batch,
		       const char *reason, void *userdata)
{
	struct fetch_call *call = userdata;
	struct link_device *device = call->device;

	call->is_used = false;
	if (result >= 0)
		call_worked(device, batch->count, call->begun_usec);
	else if (result != -EAGAIN && result != -ECANCELED)
		fetch_failed(device, result, reason);
	device->handler.on_fetched(call->txn, result, batch, device->userdata);
}

int link_device_fetch(struct link_device *device, uint64_t txn, const struct uuid *ids,
		      size_t count)
{
	for (size_t i = 0; i < ELEMENTSOF(device->fetches); i++) {
		struct fetch_call *call = &device->fetches[i];
		int r;

		if (call->is_used)
			continue;
		*call = (struct fetch_call){
			.device = device, .txn = txn, .begun_usec = now_usec(device)};
		r = device->driver->get_keys_by_id(device->device, ids, count, on_fetched, call);
		call->is_used = r >= 0;
		return r;
	}
	return -EBUSY;
}

/* Beginning and end */

/* Behind a device that yields detections stands distillation, and both look like one device. */
static int open_behind(struct link_device *device,
		       const struct distilled_device_settings *distillation, char **ret_what)
{
	static const struct device_handler handler = {.on_state = on_state, .on_end = on_end};
	const struct driver *driver = driver_find(device->url->scheme);
	int r;

	if (!driver)
		return -EINVAL;
	r = driver->open(device->event, device->url, &handler, device, ret_what, &device->device);
	if (r < 0 || device->device->driver->yield == DRIVER_YIELDS_KEYS)
		return r;
	device->device->driver->close(TAKE_PTR(device->device));
	return distilled_device_new(device->event, device->url, distillation, &handler, device,
				    ret_what, &device->device);
}

static int open_device(struct link_device *device, const char *url,
		       const struct distilled_device_settings *distillation, char **ret_what)
{
	int r;

	r = device_url_parse(url, &device->url, ret_what);
	if (r >= 0)
		r = device_url_id(device->url, &device->id);
	if (r >= 0)
		r = open_behind(device, distillation, ret_what);
	if (r >= 0)
		device->driver = device->device->driver;
	return r;
}

static int claim(struct link_device *device, const char *runtime)
{
	char directory[PATH_MAX];
	int r;

	snprintf(directory, sizeof(directory), "%s/devices", runtime);
	/* Where no unit has made them; what else is wrong shows when it is used. */
	(void)mkdir(runtime, 0755);
	(void)mkdir(directory, 0700);
	r = device_claim(directory, device->url, &device->claim_fd);
	if (r == -EBUSY)
		log_event(LOG_ERR, EVENT_DEVICE_FAILED, NULL, "Device %s belongs to another link",
			  device->id);
	else if (r < 0)
		log_error("Cannot claim device %s in %s: %s", device->id, directory, strerror(-r));
	return r;
}

int link_device_new(sd_event *event, const char *url, const char *runtime,
		    const struct distilled_device_settings *distillation,
		    const struct link_device_handler *handler, void *userdata,
		    struct link_device **ret)
{
	_cleanup_(link_device_freep) struct link_device *device = calloc(1, sizeof(*device));
	_cleanup_(freep) char *what = NULL;
	int r;

	if (!device)
		return -ENOMEM;
	device->event = sd_event_ref(event);
	device->handler = *handler;
	device->userdata = userdata;
	device->claim_fd = -1;
	device->failed_usec = LINK_DEVICE_FAILED_USEC;
	r = open_device(device, url, distillation, &what);
	if (r < 0) {
		log_error("Cannot open the device: %s", what ? what : strerror(-r));
		return r;
	}
	r = claim(device, runtime);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(device);
	return 0;
}

struct link_device *link_device_free(struct link_device *device)
{
	if (!device)
		return NULL;
	if (device->device)
		device->driver->close(device->device);
	sd_event_source_disable_unref(device->timer);
	sd_event_source_disable_unref(device->pause);
	closep(&device->claim_fd);
	device_url_free(device->url);
	free(device->id);
	sd_event_unref(device->event);
	free(device);
	return NULL;
}

struct device *link_device_distilled(const struct link_device *device)
{
	return distilled_device_is(device->device) ? device->device : NULL;
}

enum device_state link_device_state(const struct link_device *device)
{
	return device->device->state;
}

const char *link_device_id(const struct link_device *device)
{
	return device->id;
}

const char *link_device_driver(const struct link_device *device)
{
	return device->url->scheme;
}

uint32_t link_device_key_bits(const struct link_device *device)
{
	return device->url->key_bits;
}

struct statistic *link_device_statistics(struct link_device *device)
{
	return device->statistics;
}

const char *link_device_error(const struct link_device *device)
{
	return device->error;
}
