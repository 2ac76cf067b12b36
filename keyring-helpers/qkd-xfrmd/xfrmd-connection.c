/* SPDX-License-Identifier: MIT */
/* Joins one connection's machine to the kernel, the keyring, the other end and the journal. */

#include "xfrmd-connection.h"

#include <sys/random.h>
#include <time.h>

#include "common/events.h"
#include "common/log.h"
#include "key-fetch.h"

#define DESCRIPTION_BYTES 256
/* The label is spent no longer than the other end may take; a short wait, because we ask again. */
#define CALLOUT "size=256 ttl=60 wait=3"

struct xfrmd_connection {
	const struct xfrmd_shared *shared;
	const struct xfrmd_connection_config *config;
	struct rekey_machine *machine;
	struct key_fetch *fetch;
	sd_event_source *timer;
	struct xfrmd_connection_status status;
	unsigned told; /* bits: failures of these events have been told since the last success */
};

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* After everything that may have changed the machine. */
static void arm(struct xfrmd_connection *c)
{
	uint64_t next = rekey_machine_next_usec(c->machine);

	if (next == REKEY_NEVER) {
		sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(c->timer, next);
	sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct xfrmd_connection *c = userdata;

	rekey_machine_timer(c->machine, now_usec());
	arm(c);
	return 0;
}

/* hooks -----------------------------------------------------------------------------------------
 */

/* A name that the other end makes out of the same two: a random number is a label for once. */
static int hook_fetch(uint64_t generation, void *userdata)
{
	struct xfrmd_connection *c = userdata;
	const struct xfrmd_config *config = c->shared->config;
	char description[DESCRIPTION_BYTES];

	snprintf(description, sizeof(description), "qkd%s%s:%s:%s.%016llx",
		 config->kernel_shared ? "@" : "", config->kernel_shared ? config->site : "",
		 c->config->peer, c->config->name, (unsigned long long)generation);
	return key_fetch_start(c->fetch, generation, description, CALLOUT);
}

static struct xfrm_sa describe_sa(const struct xfrmd_connection *c, enum rekey_direction direction,
				  uint32_t spi)
{
	const struct xfrmd_connection_config *config = c->config;
	bool out = direction == REKEY_OUT;

	return (struct xfrm_sa){
		.source = out ? config->local : config->remote,
		.destination = out ? config->remote : config->local,
		.spi = spi,
		.reqid = config->reqid,
		.tunnel = config->tunnel,
		/* The sender rekeys; the receiver only ends. */
		.soft_sec = out ? config->rekey_sec : 0,
		.soft_bytes = out ? config->rekey_bytes : 0,
		.hard_sec = config->hard_sec,
		.hard_bytes = config->hard_bytes,
	};
}

static int hook_install(enum rekey_direction direction, uint32_t spi, const struct secret *key,
			void *userdata)
{
	struct xfrmd_connection *c = userdata;
	struct xfrm_sa sa = describe_sa(c, direction, spi);

	return xfrm_kernel_add_sa(c->shared->kernel, &sa, key);
}

static void hook_remove(enum rekey_direction direction, uint32_t spi, void *userdata)
{
	struct xfrmd_connection *c = userdata;
	struct xfrm_sa sa = describe_sa(c, direction, spi);
	int r = xfrm_kernel_delete_sa(c->shared->kernel, &sa);

	if (r < 0 && r != -ESRCH)
		log_warning("%s: cannot remove an association: %s", c->config->name, strerror(-r));
}

static void hook_send(const uint8_t bytes[static REKEY_MESSAGE_BYTES], void *userdata)
{
	struct xfrmd_connection *c = userdata;

	xfrmd_control_send(c->shared->control, &c->config->control, c->config->control_port, bytes);
}

static int hook_random(void *bytes, size_t size_bytes, void *userdata)
{
	ssize_t size = getrandom(bytes, size_bytes, 0);

	if (size < 0)
		return -errno;
	return (size_t)size == size_bytes ? 0 : -EIO;
}

/* The first of each kind is told, and then that it is over. */
static void tell_failure(struct xfrmd_connection *c, enum rekey_event event, int error,
			 const char *event_id, const char *what)
{
	const struct log_fields fields = {
		.peer = c->config->peer, .link = c->config->name, .error = error};
	const char *state = c->status.secured ? "the keys in use go on until their lifetime ends"
					      : "its traffic is dropped";

	c->status.failures++;
	if (c->told & 1u << event) {
		log_debug("%s: %s%s%s", c->config->name, what, error ? ": " : "",
			  error ? strerror(error) : "");
		return;
	}
	c->told |= 1u << event;
	log_event(LOG_WARNING, event_id, &fields, "Connection %s: %s%s%s; %s", c->config->name,
		  what, error ? ": " : "", error ? strerror(error) : "", state);
}

static void tell_secured(struct xfrmd_connection *c, bool renewed)
{
	const struct log_fields fields = {.peer = c->config->peer, .link = c->config->name};
	bool said = !renewed || c->told;

	c->told = 0;
	c->status.secured = true;
	c->status.generations++;
	if (said)
		log_event(LOG_INFO, EVENT_XFRM_SECURED, &fields, "Connection %s has fresh keys",
			  c->config->name);
	else
		log_debug("%s: rekeyed", c->config->name);
}

static void tell_blocked(struct xfrmd_connection *c)
{
	const struct log_fields fields = {.peer = c->config->peer, .link = c->config->name};

	c->status.secured = false;
	log_event(LOG_ERR, EVENT_XFRM_BLOCKED, &fields,
		  "Connection %s has no keys left: its traffic is dropped", c->config->name);
}

static void hook_tell(enum rekey_event event, int error, void *userdata)
{
	struct xfrmd_connection *c = userdata;

	switch (event) {
	case REKEY_SECURED:
		tell_secured(c, false);
		break;
	case REKEY_RENEWED:
		tell_secured(c, true);
		break;
	case REKEY_BLOCKED:
		tell_blocked(c);
		break;
	case REKEY_NO_KEY:
		tell_failure(c, event, error, EVENT_XFRM_NO_KEY, "cannot get a key");
		break;
	case REKEY_SILENT:
		tell_failure(c, event, error, EVENT_XFRM_SILENT, "the other end does not answer");
		break;
	case REKEY_FAILED:
		tell_failure(c, event, error, EVENT_XFRM_FAILED, "cannot install keys");
		break;
	}
	c->shared->on_change(c->shared->userdata);
}

static const struct rekey_hooks hooks = {
	.fetch = hook_fetch,
	.install = hook_install,
	.remove = hook_remove,
	.send = hook_send,
	.random = hook_random,
	.tell = hook_tell,
};

static void on_fetched(uint64_t tag, int result, struct secret *key, void *userdata)
{
	struct xfrmd_connection *c = userdata;

	rekey_machine_fetched(c->machine, now_usec(), tag, result, key);
	arm(c);
}

/* life ------------------------------------------------------------------------------------------
 */

int xfrmd_connection_new(const struct xfrmd_shared *shared,
			 const struct xfrmd_connection_config *config,
			 struct xfrmd_connection **ret)
{
	_cleanup_(xfrmd_connection_freep) struct xfrmd_connection *c = calloc(1, sizeof(*c));
	const struct rekey_options options = {
		.connection = config->name,
		.leader = site_is_leader(shared->config->site, config->peer),
		.rekey_usec = config->rekey_sec * USEC_PER_SEC,
		.hard_usec = config->hard_sec * USEC_PER_SEC,
		.drain_usec = config->drain_sec * USEC_PER_SEC,
		.hooks = &hooks,
		.userdata = c,
	};
	int r;

	if (!c)
		return -ENOMEM;
	c->shared = shared;
	c->config = config;
	r = rekey_machine_new(&options, &c->machine);
	if (r >= 0)
		r = key_fetch_new(shared->event, on_fetched, c, &c->fetch);
	if (r >= 0)
		r = sd_event_add_time(shared->event, &c->timer, CLOCK_BOOTTIME, 0, 1000, on_timer,
				      c);
	if (r >= 0)
		r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

/* What is in the kernel stays there: a restart finds it, and without one its lifetime ends it. */
struct xfrmd_connection *xfrmd_connection_free(struct xfrmd_connection *c)
{
	if (!c)
		return NULL;
	sd_event_source_disable_unref(c->timer);
	key_fetch_free(c->fetch);
	rekey_machine_free(c->machine);
	free(c);
	return NULL;
}

void xfrmd_connection_adopt(struct xfrmd_connection *c, const struct xfrm_report *sa)
{
	bool in = ip_address_equal(&sa->destination, &c->config->local);
	time_t now = time(NULL);
	uint64_t age_sec = (uint64_t)now > sa->added_sec ? (uint64_t)now - sa->added_sec : 0;

	if (sa->spi == 0 ||
	    !ip_address_equal(in ? &sa->source : &sa->destination, &c->config->remote))
		return;
	rekey_machine_adopt(c->machine, now_usec(), in ? REKEY_IN : REKEY_OUT, sa->spi,
			    MIN(age_sec, c->config->hard_sec) * USEC_PER_SEC,
			    !in && sa->used_bytes >= c->config->rekey_bytes);
}

void xfrmd_connection_start(struct xfrmd_connection *c)
{
	rekey_machine_start(c->machine, now_usec());
	c->status.secured = rekey_machine_is_secured(c->machine);
	if (c->status.secured)
		log_info("Connection %s goes on with the keys that are in use", c->config->name);
	arm(c);
}

void xfrmd_connection_received(struct xfrmd_connection *c, const struct rekey_message *message)
{
	rekey_machine_received(c->machine, now_usec(), message);
	arm(c);
}

void xfrmd_connection_reported(struct xfrmd_connection *c, const struct xfrm_report *report)
{
	bool in = ip_address_equal(&report->destination, &c->config->local);

	if (report->type == XFRM_REPORT_ACQUIRE)
		rekey_machine_acquire(c->machine, now_usec());
	else
		rekey_machine_expired(c->machine, now_usec(), in ? REKEY_IN : REKEY_OUT,
				      report->spi, report->hard);
	arm(c);
}

void xfrmd_connection_get_status(const struct xfrmd_connection *c,
				 struct xfrmd_connection_status *ret)
{
	*ret = c->status;
}
