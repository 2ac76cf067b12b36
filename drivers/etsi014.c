/* SPDX-License-Identifier: MIT */
/*
 * A key management entity (KME) after ETSI GS QKD 014 as a device: the leader asks for fresh keys,
 * the other side for the same keys by id.
 *
 * A KME without keys is asked less and less often, and by one call at a time, so that an idle link
 * costs nothing. A call that cannot reach the KME fails alone; several in a row end the session, so
 * that the link says so and tries again with its own back-off.
 */

#include "drivers/etsi014.h"

#include <time.h>

#include "common/http.h"
#include "drivers/call-queue.h"
#include "drivers/etsi014-message.h"
#include "drivers/etsi014-settings.h"

#define REQUEST_USEC     (10 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (250 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (20 * USEC_PER_SEC)
#define ACCURACY_USEC    (50 * USEC_PER_MSEC)
#define MAX_FAILURES     3 /* unreachable so often in a row: the session ends */
#define DEC_MAX_TRIES    3
#define DEC_AGAIN_USEC   (250 * USEC_PER_MSEC) /* before a later part, doubling */

struct etsi014 {
	struct device device;
	struct call_queue calls;
	struct http_client *http;
	struct http_request *status_request;
	char *status_url, *enc_keys_url, *dec_keys_url;
	char *sae, *peer_sae; /* sae NULL: not given */
	uint32_t key_bits;
	size_t max_per_request;
	struct recent_set *seen;
	uint64_t backoff_usec, not_before_usec; /* backoff_usec 0: the KME has keys */
	unsigned asking;                        /* enc_keys under way or about to be */
	unsigned failures;
};

/* What a call has under way. */
struct fetch {
	struct queued_call *call;
	struct http_request *request;
	struct key_batch *batch; /* by id: got_count of it are there */
	size_t asked_count, got_count;
	unsigned tries; /* of a later part */
};

static struct etsi014 *from_device(struct device *device)
{
	return CONTAINER_OF(device, struct etsi014, device);
}

static struct etsi014 *from_call(const struct queued_call *call)
{
	return from_device(call->queue->device);
}

static uint64_t now_usec(const struct etsi014 *kme)
{
	uint64_t now = 0;

	sd_event_now(kme->calls.event, CLOCK_MONOTONIC, &now);
	return now;
}

/* ---- calls ---- */

static void release(struct queued_call *call)
{
	struct fetch *fetch = TAKE_PTR(call->work);

	if (!fetch)
		return;
	if (!call->ids)
		from_call(call)->asking--;
	http_request_cancel(fetch->request);
	key_batch_free(fetch->batch);
	free(fetch);
}

static int fetch_new(struct queued_call *call, struct fetch **ret)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch)
		return -ENOMEM;
	fetch->call = call;
	call->work = fetch;
	if (!call->ids)
		from_call(call)->asking++;
	*ret = fetch;
	return 0;
}

/* Calls that were asked at the same time count as one. */
static void back_off(struct etsi014 *kme)
{
	uint64_t now = now_usec(kme);

	if (kme->backoff_usec > 0 && now < kme->not_before_usec)
		return;
	kme->backoff_usec = kme->backoff_usec == 0 ? BACKOFF_MIN_USEC
						   : MIN(2 * kme->backoff_usec, BACKOFF_MAX_USEC);
	kme->not_before_usec = now + kme->backoff_usec;
}

/* The end of a call; where its result says so, the end of the session as well. */
static void conclude(struct queued_call *call, int result, struct key_batch *batch,
		     const char *reason)
{
	struct etsi014 *kme = from_call(call);

	if (!call->ids && result == 0)
		kme->backoff_usec = 0;
	else if (!call->ids)
		back_off(kme);
	call_queue_answer(call, result, batch, reason);
}

/* The KME could not be reached, or what came back was not HTTP. */
static void conclude_unreachable(struct queued_call *call, int result, const char *reason)
{
	struct etsi014 *kme = from_call(call);

	kme->failures++;
	if (result == -EKEYREJECTED)
		call_queue_end(&kme->calls, DEVICE_WRONG_CONFIGURATION, reason);
	else if (kme->failures >= MAX_FAILURES)
		call_queue_end(&kme->calls, DEVICE_RETRY, reason);
	else
		conclude(call, result, NULL, reason);
}

static void conclude_refused(struct queued_call *call, enum etsi014_call kind, long status,
			     const struct secret *body)
{
	struct etsi014 *kme = from_call(call);
	struct etsi014_refusal refusal;

	etsi014_verify_refusal(kind, status, body ? body->bytes : NULL, body ? body->size_bytes : 0,
			       &refusal);
	if (refusal.ends)
		call_queue_end(&kme->calls, refusal.end, refusal.what);
	else
		conclude(call, refusal.result, NULL, refusal.what);
}

static int verify_keys(const struct fetch *fetch, const struct secret *body, struct key_batch **ret,
		       char ret_what[static ETSI014_WHAT_CHARS])
{
	const struct queued_call *call = fetch->call;
	const struct etsi014_expected expected = {
		.ids = call->ids ? call->ids + fetch->got_count : NULL,
		.count = fetch->asked_count,
		.key_bytes = from_call(call)->key_bits / 8,
		.seen = from_call(call)->seen,
	};

	return etsi014_verify_keys(body ? body->bytes : NULL, body ? body->size_bytes : 0,
				   &expected, ret, ret_what);
}

/* True: an answer with status 200; else the call has been concluded. */
static bool is_answer(struct fetch *fetch, enum etsi014_call kind, int result, long status,
		      const struct secret *body, const char *reason)
{
	struct etsi014 *kme = from_call(fetch->call);

	fetch->request = NULL;
	if (result < 0) {
		conclude_unreachable(fetch->call, result, reason);
		return false;
	}
	kme->failures = 0;
	if (status == 200)
		return true;
	conclude_refused(fetch->call, kind, status, body);
	return false;
}

/* ---- fresh keys ---- */

static void on_enc_keys(int result, long status, const struct secret *body, const char *reason,
			void *userdata)
{
	char what[ETSI014_WHAT_CHARS];
	struct fetch *fetch = userdata;
	struct key_batch *batch = NULL;

	if (!is_answer(fetch, ETSI014_ENC_KEYS, result, status, body, reason))
		return;
	result = verify_keys(fetch, body, &batch, what);
	conclude(fetch->call, result, batch, what);
}

static int ask_enc_keys(struct fetch *fetch)
{
	struct etsi014 *kme = from_call(fetch->call);
	_cleanup_(freep) char *body = NULL;
	int r;

	fetch->asked_count = MIN(fetch->call->count, kme->max_per_request);
	r = etsi014_build_enc_keys(fetch->asked_count, kme->key_bits, &body);
	if (r < 0)
		return r;
	return http_post_json(kme->http, kme->enc_keys_url, body, on_enc_keys, fetch,
			      &fetch->request);
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct fetch *fetch = userdata;
	int r = ask_enc_keys(fetch);

	if (r < 0)
		conclude(fetch->call, r, NULL, "the request cannot be made");
	return 0;
}

/* Asks as soon as the back-off lets it; always by way of the loop. */
static int begin_enc_keys(struct etsi014 *kme, struct queued_call *call)
{
	uint64_t due_usec = kme->backoff_usec > 0 ? kme->not_before_usec : 0;
	struct fetch *fetch;
	int r;

	r = fetch_new(call, &fetch);
	if (r < 0)
		return r;
	return sd_event_add_time(kme->calls.event, &call->source, CLOCK_MONOTONIC, due_usec,
				 ACCURACY_USEC, on_due, fetch);
}

/* While the KME has no keys, one call asks and the others wait for what becomes of it. */
static void pump(struct call_queue *queue)
{
	struct etsi014 *kme = from_device(queue->device);
	struct queued_call *call = queue->active;
	int r = 0;

	for (; call && r >= 0; call = call->next)
		if (!call->ids && !call->work && (kme->backoff_usec == 0 || kme->asking == 0))
			r = begin_enc_keys(kme, call);
	if (r < 0)
		call_queue_end(queue, DEVICE_RETRY, "no memory for a request");
}

static int etsi014_get_keys(struct device *device, size_t count, device_keys_t done, void *userdata)
{
	struct etsi014 *kme = from_device(device);
	struct queued_call *call;
	int r;

	r = call_queue_add(&kme->calls, NULL, count, done, userdata, &call);
	if (r < 0)
		return r;
	pump(&kme->calls);
	return 0;
}

/* ---- keys by id ---- */

static int ask_dec_keys(struct fetch *fetch);

static int on_dec_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct fetch *fetch = userdata;
	int r = ask_dec_keys(fetch);

	if (r < 0)
		conclude(fetch->call, r, NULL, "the request cannot be made");
	return 0;
}

/* Earlier parts are gone at the KME once they were given: a later one is asked for again before all
 * are lost. */
static bool is_tried_again(struct fetch *fetch, int result, long status)
{
	bool may_pass = result < 0 ? result != -EKEYREJECTED : status >= 500;
	struct queued_call *call = fetch->call;

	if (!may_pass || fetch->got_count == 0 || fetch->tries == DEC_MAX_TRIES)
		return false;
	fetch->request = NULL;
	call->source = sd_event_source_disable_unref(call->source);
	return sd_event_add_time_relative(call->queue->event, &call->source, CLOCK_MONOTONIC,
					  DEC_AGAIN_USEC << fetch->tries++, ACCURACY_USEC,
					  on_dec_due, fetch) >= 0;
}

/* A request's keys into their place in the whole. */
static void take_part(struct fetch *fetch, const struct key_batch *part)
{
	memcpy(fetch->batch->ids + fetch->got_count, part->ids, part->count * sizeof(*part->ids));
	memcpy(key_batch_key(fetch->batch, fetch->got_count), part->keys->bytes,
	       part->count * part->key_bytes);
	fetch->got_count += part->count;
}

static void on_dec_keys(int result, long status, const struct secret *body, const char *reason,
			void *userdata)
{
	_cleanup_(key_batch_freep) struct key_batch *part = NULL;
	char what[ETSI014_WHAT_CHARS];
	struct fetch *fetch = userdata;

	if (is_tried_again(fetch, result, status) ||
	    !is_answer(fetch, ETSI014_DEC_KEYS, result, status, body, reason))
		return;
	result = verify_keys(fetch, body, &part, what);
	if (result < 0) {
		conclude(fetch->call, result, NULL, what);
		return;
	}
	take_part(fetch, part);
	if (fetch->got_count == fetch->call->count) {
		conclude(fetch->call, 0, TAKE_PTR(fetch->batch), "");
		return;
	}
	result = ask_dec_keys(fetch);
	if (result < 0)
		conclude(fetch->call, result, NULL, "the request cannot be made");
}

static int ask_dec_keys(struct fetch *fetch)
{
	struct etsi014 *kme = from_call(fetch->call);
	_cleanup_(freep) char *body = NULL;
	int r;

	fetch->asked_count = MIN(fetch->call->count - fetch->got_count, kme->max_per_request);
	r = etsi014_build_dec_keys(fetch->call->ids + fetch->got_count, fetch->asked_count, &body);
	if (r < 0)
		return r;
	return http_post_json(kme->http, kme->dec_keys_url, body, on_dec_keys, fetch,
			      &fetch->request);
}

static int begin_dec_keys(struct etsi014 *kme, struct queued_call *call)
{
	struct fetch *fetch;
	int r;

	r = fetch_new(call, &fetch);
	if (r < 0)
		return r;
	r = key_batch_new(call->count, kme->key_bits / 8, &fetch->batch);
	if (r < 0)
		return r;
	return ask_dec_keys(fetch);
}

static int etsi014_get_keys_by_id(struct device *device, const struct uuid *ids, size_t count,
				  device_keys_t done, void *userdata)
{
	struct etsi014 *kme = from_device(device);
	struct queued_call *call;
	int r;

	r = call_queue_add(&kme->calls, ids, count, done, userdata, &call);
	if (r < 0)
		return r;
	r = begin_dec_keys(kme, call);
	if (r < 0)
		call_queue_drop(call);
	return r < 0 ? r : 0;
}

/* ---- session ---- */

/* Who calls stands as the master in the standard's words; some KMEs see it the other way round. */
static bool saes_match(const struct etsi014 *kme, const struct etsi014_status *status)
{
	if (!kme->sae || status->master_sae[0] == '\0' || status->slave_sae[0] == '\0')
		return true;
	return (str_equal(status->master_sae, kme->sae) &&
		str_equal(status->slave_sae, kme->peer_sae)) ||
	       (str_equal(status->master_sae, kme->peer_sae) &&
		str_equal(status->slave_sae, kme->sae));
}

/* -EINVAL with a sentence when KME and URL can never agree. */
static int check_status(const struct etsi014 *kme, const struct etsi014_status *status,
			char ret_what[static ETSI014_WHAT_CHARS])
{
	if (!saes_match(kme, status)) {
		snprintf(ret_what, ETSI014_WHAT_CHARS,
			 "the KME takes us for another SAE than the one in the device URL");
		return -EINVAL;
	}
	if (kme->key_bits >= status->min_key_bits &&
	    (status->max_key_bits == 0 || kme->key_bits <= status->max_key_bits))
		return 0;
	snprintf(ret_what, ETSI014_WHAT_CHARS,
		 "the KME gives keys of %u to %u bits, the device URL wants %u",
		 status->min_key_bits, status->max_key_bits, kme->key_bits);
	return -EINVAL;
}

static void on_status_answer(struct etsi014 *kme, const struct secret *body)
{
	char what[ETSI014_WHAT_CHARS];
	struct etsi014_status status;
	int r;

	r = etsi014_verify_status(body ? body->bytes : NULL, body ? body->size_bytes : 0, &status,
				  what);
	if (r >= 0)
		r = check_status(kme, &status, what);
	if (r < 0) {
		call_queue_end(&kme->calls,
			       r == -EINVAL ? DEVICE_WRONG_CONFIGURATION : DEVICE_RETRY, what);
		return;
	}
	/* A KME that does not tell its limit is asked for one key at a time. */
	kme->max_per_request = MAX(status.max_key_per_request, 1u);
	r = call_queue_step_to(&kme->calls, DEVICE_SESSION_STARTED);
	if (r < 0)
		call_queue_end(&kme->calls, DEVICE_RETRY, "no memory for a session");
}

static void on_status(int result, long status, const struct secret *body, const char *reason,
		      void *userdata)
{
	struct etsi014 *kme = userdata;
	struct etsi014_refusal refusal;

	kme->status_request = NULL;
	if (result < 0) {
		call_queue_end(&kme->calls,
			       result == -EKEYREJECTED ? DEVICE_WRONG_CONFIGURATION : DEVICE_RETRY,
			       reason);
		return;
	}
	if (status == 200) {
		on_status_answer(kme, body);
		return;
	}
	etsi014_verify_refusal(ETSI014_STATUS, status, body ? body->bytes : NULL,
			       body ? body->size_bytes : 0, &refusal);
	call_queue_end(&kme->calls, refusal.end, refusal.what);
}

static int etsi014_start_session(struct device *device)
{
	struct etsi014 *kme = from_device(device);
	int r;

	if (!call_queue_is_idle(&kme->calls))
		return -EBUSY;
	kme->backoff_usec = 0;
	kme->failures = 0;
	r = http_get(kme->http, kme->status_url, on_status, kme, &kme->status_request);
	if (r < 0)
		return r;
	return call_queue_step_to(&kme->calls, DEVICE_LISTENING);
}

static void etsi014_end_session(struct device *device)
{
	struct etsi014 *kme = from_device(device);

	http_request_cancel(TAKE_PTR(kme->status_request));
	call_queue_end_quietly(&kme->calls);
}

/* ---- open and close ---- */

static struct etsi014 *etsi014_free(struct etsi014 *kme)
{
	if (!kme)
		return NULL;
	call_queue_done(&kme->calls);
	http_client_free(kme->http);
	sd_event_unref(kme->calls.event);
	recent_set_free(kme->seen);
	free(kme->status_url);
	free(kme->enc_keys_url);
	free(kme->dec_keys_url);
	free(kme->sae);
	free(kme->peer_sae);
	free(kme);
	return NULL;
}
DEFINE_CLEANUP(struct etsi014 *, etsi014_free);

static void etsi014_close(struct device *device)
{
	_cleanup_(etsi014_freep) struct etsi014 *kme = device ? from_device(device) : NULL;
}

static int make_urls(struct etsi014 *kme, const struct etsi014_settings *settings)
{
	const struct {
		enum etsi014_call call;
		char **url;
	} urls[] = {
		{ETSI014_STATUS, &kme->status_url},
		{ETSI014_ENC_KEYS, &kme->enc_keys_url},
		{ETSI014_DEC_KEYS, &kme->dec_keys_url},
	};

	for (size_t i = 0; i < ELEMENTSOF(urls); i++) {
		int r = etsi014_build_url(settings->server_name, settings->port, settings->prefix,
					  settings->peer_sae, urls[i].call, urls[i].url);

		if (r < 0)
			return r;
	}
	return 0;
}

static int make_http(struct etsi014 *kme, const struct etsi014_settings *settings)
{
	const struct http_client_options options = {
		.ca_file = settings->ca_file,
		.certificate_file = settings->certificate_file,
		.key_file = settings->key_file,
		.timeout_usec = REQUEST_USEC,
		.connect_to = settings->connect_to,
	};

	return http_client_new(kme->calls.event, &options, &kme->http);
}

static int make_device(struct etsi014 *kme, const struct etsi014_settings *settings)
{
	int r;

	kme->key_bits = settings->key_bits;
	kme->sae = settings->sae ? strdup(settings->sae) : NULL;
	kme->peer_sae = strdup(settings->peer_sae);
	if ((settings->sae && !kme->sae) || !kme->peer_sae)
		return -ENOMEM;
	r = make_urls(kme, settings);
	if (r >= 0)
		r = recent_set_new(&kme->seen);
	if (r >= 0)
		r = make_http(kme, settings);
	return r;
}

static int etsi014_open(sd_event *event, const struct device_url *url,
			const struct device_handler *handler, void *userdata, char **ret_what,
			struct device **ret)
{
	_cleanup_(etsi014_settings_done) struct etsi014_settings settings = {};
	_cleanup_(etsi014_freep) struct etsi014 *kme = calloc(1, sizeof(*kme));
	int r;

	if (!kme)
		return -ENOMEM;
	kme->device.driver = &etsi014_driver;
	kme->calls = (struct call_queue){
		.device = &kme->device,
		.event = sd_event_ref(event),
		.handler = *handler,
		.userdata = userdata,
		.release = release,
		.answered = pump,
	};
	r = etsi014_settings_read(&settings, url, ret_what);
	if (r >= 0)
		r = make_device(kme, &settings);
	if (r < 0)
		return r;
	*ret = &TAKE_PTR(kme)->device;
	return 0;
}

/* One KME serves many pairs of SAEs, each a device of its own. */
static const char *const instance_parameters[] = {"sae", "peer_sae", NULL};

const struct driver etsi014_driver = {
	.scheme = "etsi014",
	.description = "key management entity after ETSI GS QKD 014",
	.yield = DRIVER_YIELDS_KEYS,
	.parameters = etsi014_parameters,
	.instance_parameters = instance_parameters,
	.open = etsi014_open,
	.close = etsi014_close,
	.start_session = etsi014_start_session,
	.end_session = etsi014_end_session,
	.get_keys = etsi014_get_keys,
	.get_keys_by_id = etsi014_get_keys_by_id,
};
