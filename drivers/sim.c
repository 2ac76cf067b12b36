/* SPDX-License-Identifier: MIT */
/*
 * The simulator in key mode: a pair of devices that need no hardware, give keys at a given rate and
 * fail on demand, so that everything above a driver can be tested.
 *
 * An id is given once on each side in a process's lifetime; a new process of the second side gives
 * a key again, so what is above must not rely on the device for that. Nothing runs while nobody
 * asks: the rate is a reckoning of times (a token bucket of one second), not a clock that ticks.
 */

#include "drivers/sim.h"

#include <ctype.h>
#include <time.h>

#include "drivers/call-queue.h"
#include "drivers/serial-set.h"
#include "drivers/sim-faults.h"
#include "drivers/sim-raw.h"
#include "drivers/sim-source.h"

#define RATE_MAX      10000000 /* keys a second */
#define BUCKET_SEC    1        /* so much is in stock at most */
#define ACCURACY_USEC USEC_PER_MSEC

struct sim {
	struct device device;
	struct call_queue calls;
	struct sim_source *source;
	size_t key_bytes;
	uint64_t rate, empty_usec; /* empty_usec: when the bucket is (was) empty, to the key */
	struct sim_faults url_faults, faults;
	struct sim_faults_file faults_file;
	char *faults_path, *trace_path;
	FILE *trace; /* when which id was given */
	struct serial_set given;
	uint64_t given_count; /* in this session */
};

static struct sim *from_device(struct device *device)
{
	return CONTAINER_OF(device, struct sim, device);
}

static struct sim *sim_free(struct sim *sim)
{
	if (!sim)
		return NULL;
	call_queue_done(&sim->calls);
	sd_event_unref(sim->calls.event);
	sim_source_free(sim->source);
	serial_set_done(&sim->given);
	if (sim->trace)
		fclose(sim->trace);
	free(sim->trace_path);
	free(sim->faults_path);
	free(sim);
	return NULL;
}
DEFINE_CLEANUP(struct sim *, sim_free);

static uint64_t now_usec(const struct sim *sim)
{
	uint64_t now = 0;

	sd_event_now(sim->calls.event, CLOCK_MONOTONIC, &now);
	return now;
}

/* ---- faults ---- */

static int refresh_faults(struct sim *sim, char **ret_what)
{
	struct sim_faults fresh = sim->url_faults;
	int r;

	if (!sim->faults_path)
		return 0;
	r = sim_faults_file_read(&sim->faults_file, &fresh, ret_what);
	if (r > 0)
		sim->faults = fresh;
	return r < 0 ? r : 0;
}

static bool happens(struct sim *sim, double probability)
{
	return probability > 0 && sim_source_draw(sim->source) < probability;
}

/* Both sides may have this fault, so they change different bits. */
static void spoil_keys(struct sim *sim, struct key_batch *batch, bool by_id)
{
	for (size_t i = 0; i < batch->count; i++)
		if (happens(sim, sim->faults.unequal))
			key_batch_key(batch, i)[0] ^= by_id ? 0xa5 : 0x5a;
}

/* True: this fault is due, and the session is ending. */
static bool ends_now(struct sim *sim)
{
	if (!sim->faults.ends || sim->given_count < sim->faults.end_after)
		return false;
	call_queue_end(&sim->calls, sim->faults.end,
		       "the simulated device ended as it was told to");
	return true;
}

/* ---- answers ---- */

static int fresh_keys(struct sim *sim, size_t count, struct key_batch **ret)
{
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
	int r;

	r = key_batch_new(count, sim->key_bytes, &batch);
	if (r < 0)
		return r;
	r = sim_source_make_ids(sim->source, batch->ids, count);
	for (size_t i = 0; r >= 0 && i < count; i++)
		r = sim_source_derive(sim->source, &batch->ids[i], key_batch_key(batch, i));
	if (r < 0)
		return r;
	spoil_keys(sim, batch, false);
	*ret = TAKE_PTR(batch);
	return 0;
}

/* All ids are looked at before one is marked as given. */
static int take_ids(struct sim *sim, const struct uuid *ids, size_t count)
{
	uint64_t serial;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < count; i++) {
		r = sim_source_check_id(sim->source, &ids[i], &serial);
		if (r >= 0 &&
		    (serial_set_contains(&sim->given, serial) || happens(sim, sim->faults.unknown)))
			r = -ENOKEY;
	}
	for (size_t i = 0; r >= 0 && i < count; i++) {
		r = sim_source_check_id(sim->source, &ids[i], &serial);
		if (r >= 0)
			r = serial_set_add(&sim->given, serial);
	}
	return r == -EEXIST ? -ENOKEY : r;
}

static int keys_by_id(struct sim *sim, const struct uuid *ids, size_t count, struct key_batch **ret)
{
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
	int r;

	r = key_batch_new(count, sim->key_bytes, &batch);
	if (r < 0)
		return r;
	r = take_ids(sim, ids, count);
	if (r < 0)
		return r;
	memcpy(batch->ids, ids, count * sizeof(*ids));
	for (size_t i = 0; i < count; i++) {
		r = sim_source_derive(sim->source, &ids[i], key_batch_key(batch, i));
		if (r < 0)
			return r;
	}
	spoil_keys(sim, batch, true);
	*ret = TAKE_PTR(batch);
	return 0;
}

/* Best effort: what reads it notices that a line is missing. */
static void trace_batch(struct sim *sim, const struct key_batch *batch)
{
	char id[UUID_CHARS + 1];
	struct timespec now;

	if (!sim->trace)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	for (size_t i = 0; i < batch->count; i++) {
		uuid_format(&batch->ids[i], id);
		fprintf(sim->trace, "%llu %s\n",
			(unsigned long long)now.tv_sec * USEC_PER_SEC +
				(unsigned long long)now.tv_nsec / 1000,
			id);
	}
	fflush(sim->trace);
}

static const char *reason_for(int result)
{
	if (result == -EACCES)
		return "the simulated device refuses";
	if (result == -ENOKEY)
		return "an id is unknown to the simulated device, or was given already";
	return result < 0 ? "the simulated device has no memory for the keys" : "";
}

static int call_now(struct queued_call *call)
{
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
	_cleanup_(freep) char *what = NULL;
	struct sim *sim = from_device(call->queue->device);
	int r;

	r = refresh_faults(sim, &what);
	if (r < 0) {
		call_queue_answer(call, r, NULL, what ?: "the faults cannot be read");
		return 0;
	}
	if (ends_now(sim))
		return 0;
	if (happens(sim, sim->faults.refuse))
		r = -EACCES;
	else if (call->ids)
		r = keys_by_id(sim, call->ids, call->count, &batch);
	else
		r = fresh_keys(sim, call->count, &batch);
	if (r >= 0) {
		sim->given_count += call->count;
		trace_batch(sim, batch);
	}
	call_queue_answer(call, r, TAKE_PTR(batch), reason_for(r));
	return 0;
}

static int on_call_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	return call_now(userdata);
}

static int on_call_defer(sd_event_source *source, void *userdata)
{
	return call_now(userdata);
}

/* ---- calls ---- */

/* When count more keys exist; takes them from the bucket. */
static uint64_t reserve(struct sim *sim, size_t count, uint64_t now)
{
	uint64_t full_usec = BUCKET_SEC * USEC_PER_SEC;

	if (sim->rate == 0)
		return now;
	if (sim->empty_usec + full_usec < now)
		sim->empty_usec = now - full_usec;
	sim->empty_usec += (count * USEC_PER_SEC + sim->rate - 1) / sim->rate;
	return MAX(sim->empty_usec, now);
}

static int call_start(struct sim *sim, struct queued_call *call, uint64_t due_usec, uint64_t now)
{
	int r;

	due_usec += sim->faults.delay_msec * USEC_PER_MSEC;
	if (due_usec <= now)
		r = sd_event_add_defer(sim->calls.event, &call->source, on_call_defer, call);
	else
		r = sd_event_add_time(sim->calls.event, &call->source, CLOCK_MONOTONIC, due_usec,
				      ACCURACY_USEC, on_call_time, call);
	if (r < 0)
		call_queue_drop(call);
	return r < 0 ? r : 0;
}

static int sim_get_keys(struct device *device, size_t count, device_keys_t done, void *userdata)
{
	struct sim *sim = from_device(device);
	uint64_t now = now_usec(sim);
	struct queued_call *call;
	int r;

	/* No more than the bucket holds, so that nobody waits longer than it takes to fill. */
	if (sim->rate > 0)
		count = MIN(count, (size_t)(sim->rate * BUCKET_SEC));
	r = call_queue_add(&sim->calls, NULL, count, done, userdata, &call);
	if (r < 0)
		return r;
	return call_start(sim, call, reserve(sim, count, now), now);
}

static int sim_get_keys_by_id(struct device *device, const struct uuid *ids, size_t count,
			      device_keys_t done, void *userdata)
{
	struct sim *sim = from_device(device);
	uint64_t now = now_usec(sim);
	struct queued_call *call;
	int r;

	r = call_queue_add(&sim->calls, ids, count, done, userdata, &call);
	if (r < 0)
		return r;
	return call_start(sim, call, now, now);
}

/* ---- session ---- */

static int sim_start_session(struct device *device)
{
	struct sim *sim = from_device(device);

	if (!call_queue_is_idle(&sim->calls))
		return -EBUSY;
	if (sim->trace_path && !sim->trace) {
		sim->trace = fopen(sim->trace_path, "ae");
		if (!sim->trace)
			return -errno;
	}
	sim->given_count = 0;
	sim->empty_usec = now_usec(sim);
	return call_queue_step_to(&sim->calls, DEVICE_SESSION_STARTED);
}

static void sim_end_session(struct device *device)
{
	call_queue_end_quietly(&from_device(device)->calls);
}

static void sim_close(struct device *device)
{
	_cleanup_(sim_freep) struct sim *sim = device ? from_device(device) : NULL;
}

/* ---- URL ---- */

static int expected(const char *name, const char *what, char **ret_what)
{
	return asprintf(ret_what, "%s: %s is expected", name, what) < 0 ? -ENOMEM : -EINVAL;
}

static int read_rate(struct sim *sim, const char *value, char **ret_what)
{
	unsigned long rate;
	char *end;

	if (!value)
		return 0;
	rate = strtoul(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end != '\0' || rate > RATE_MAX)
		return expected("rate", "a number of keys a second from 0 to 10000000", ret_what);
	sim->rate = rate;
	return 0;
}

static int read_faults(struct sim *sim, const struct device_url *url, char **ret_what)
{
	const char *path = device_url_get(url, "faults");

	for (size_t i = 0; i < url->parameter_count; i++) {
		int r = sim_faults_set(&sim->url_faults, url->parameters[i].name,
				       url->parameters[i].value, ret_what);

		if (r < 0 && r != -ENOENT)
			return r;
	}
	sim->faults = sim->url_faults;
	if (!path)
		return 0;
	if (path[0] != '/')
		return expected("faults", "an absolute path", ret_what);
	sim->faults_path = strdup(path);
	sim->faults_file.path = sim->faults_path;
	return sim->faults_path ? 0 : -ENOMEM;
}

/* The file is made when a session starts: a URL that is only checked leaves nothing behind. */
static int read_trace(struct sim *sim, const char *path, char **ret_what)
{
	if (!path)
		return 0;
	if (path[0] != '/')
		return expected("trace", "an absolute path", ret_what);
	sim->trace_path = strdup(path);
	return sim->trace_path ? 0 : -ENOMEM;
}

static int read_source(struct sim *sim, const struct device_url *url, char **ret_what)
{
	const char *seed = device_url_get(url, "seed");
	int r;

	if (!seed)
		return expected("seed", "a value, the same for both sides,", ret_what);
	if (!url->side_is_given)
		return expected("side", "alice or bob", ret_what);
	if (url->port != 0 || (url->path[0] != '\0' && !str_equal(url->path, "/")))
		return expected("sim://", "a NAME without port and path", ret_what);
	sim->key_bytes = url->key_bits / 8;
	r = sim_source_new(seed, url->side, sim->key_bytes, &sim->source);
	return r == -EINVAL ? expected("seed", "16 to 128 hexadecimal digits", ret_what) : r;
}

static int read_url(struct sim *sim, const struct device_url *url, char **ret_what)
{
	int r;

	r = device_url_check_parameters(url, sim_driver.parameters, ret_what);
	if (r >= 0)
		r = read_source(sim, url, ret_what);
	if (r >= 0)
		r = read_rate(sim, device_url_get(url, "rate"), ret_what);
	if (r >= 0)
		r = read_faults(sim, url, ret_what);
	if (r >= 0)
		r = read_trace(sim, device_url_get(url, "trace"), ret_what);
	return r;
}

static int sim_open(sd_event *event, const struct device_url *url,
		    const struct device_handler *handler, void *userdata, char **ret_what,
		    struct device **ret)
{
	_cleanup_(sim_freep) struct sim *sim = NULL;
	const char *mode = device_url_get(url, "mode");
	int r;

	if (mode && str_equal(mode, "raw"))
		return sim_raw_driver.open(event, url, handler, userdata, ret_what, ret);
	if (mode && !str_equal(mode, "key"))
		return expected("mode", "key or raw", ret_what);
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		return -ENOMEM;
	sim->device.driver = &sim_driver;
	sim->calls = (struct call_queue){
		.device = &sim->device,
		.event = sd_event_ref(event),
		.handler = *handler,
		.userdata = userdata,
	};
	r = read_url(sim, url, ret_what);
	if (r < 0)
		return r;
	*ret = &TAKE_PTR(sim)->device;
	return 0;
}

static const char *const parameters[] = {
	"seed",    "rate", "faults",    "delay", "refuse", "unknown",
	"unequal", "end",  "end_after", "trace", NULL,
};

const struct driver sim_driver = {
	.scheme = "sim",
	.description = "simulated pair of devices that give keys, for tests",
	.yield = DRIVER_YIELDS_KEYS,
	.parameters = parameters,
	.open = sim_open,
	.close = sim_close,
	.start_session = sim_start_session,
	.end_session = sim_end_session,
	.get_keys = sim_get_keys,
	.get_keys_by_id = sim_get_keys_by_id,
};
