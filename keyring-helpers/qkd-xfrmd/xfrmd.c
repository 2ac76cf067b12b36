/* SPDX-License-Identifier: MIT */
/* Puts the daemon together: policies before all else, then what is there, then fresh keys. */

#include "xfrmd.h"

#include <signal.h>
#include <systemd/sd-daemon.h>

#include "common/events.h"
#include "common/log.h"
#include "common/version.h"
#include "xfrmd-connection.h"
#include "xfrmd-policies.h"
#include "xfrmd-rules.h"
#include "xfrmd-sweep.h"

#define STATUS_DELAY_USEC (200 * USEC_PER_MSEC)

struct xfrmd {
	struct xfrmd_config *config;
	sd_event *event;
	struct xfrm_kernel *kernel;
	struct xfrmd_control *control;
	struct xfrmd_shared shared;
	sd_event_source *status_timer;
	struct xfrmd_connection *connections[XFRMD_MAX_CONNECTIONS];
	size_t count;
};

static int log_failure(int result, const char *what)
{
	log_error("Cannot start: %s: %s", what, strerror(-result));
	return result;
}

static struct xfrmd_connection *find_reqid(struct xfrmd *x, uint32_t reqid)
{
	for (size_t i = 0; i < x->count; i++)
		if (x->config->connections[i].reqid == reqid)
			return x->connections[i];
	return NULL;
}

static void on_report(const struct xfrm_report *report, void *userdata)
{
	struct xfrmd_connection *connection = find_reqid(userdata, report->reqid);

	if (connection)
		xfrmd_connection_reported(connection, report);
}

static void on_existing(const struct xfrm_report *report, void *userdata)
{
	struct xfrmd_connection *connection = find_reqid(userdata, report->reqid);

	if (connection)
		xfrmd_connection_adopt(connection, report);
}

static void on_message(const struct rekey_message *message, void *userdata)
{
	struct xfrmd *x = userdata;

	for (size_t i = 0; i < x->count; i++)
		if (str_equal(x->config->connections[i].name, message->connection))
			xfrmd_connection_received(x->connections[i], message);
}

static void tell_status(struct xfrmd *x)
{
	struct xfrmd_connection_status status;
	uint64_t secured = 0, generations = 0, failures = 0;

	for (size_t i = 0; i < x->count; i++) {
		xfrmd_connection_get_status(x->connections[i], &status);
		secured += status.secured;
		generations += status.generations;
		failures += status.failures;
	}
	sd_notifyf(false,
		   "STATUS=%llu of %zu connections have keys; %llu times rekeyed, %llu failures",
		   (unsigned long long)secured, x->count, (unsigned long long)generations,
		   (unsigned long long)failures);
}

static int on_status_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	tell_status(userdata);
	return 0;
}

/* Several changes, one line. */
static void on_change(void *userdata)
{
	struct xfrmd *x = userdata;
	int enabled = SD_EVENT_OFF;

	sd_event_source_get_enabled(x->status_timer, &enabled);
	if (enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(x->status_timer, STATUS_DELAY_USEC);
	sd_event_source_set_enabled(x->status_timer, SD_EVENT_ONESHOT);
}

static int open_status(struct xfrmd *x)
{
	int r = sd_event_add_time_relative(x->event, &x->status_timer, CLOCK_MONOTONIC, 0, 0,
					   on_status_timer, x);

	return r < 0 ? r : sd_event_source_set_enabled(x->status_timer, SD_EVENT_OFF);
}

static int add_signals(struct xfrmd *x)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	r = sd_event_add_signal(x->event, NULL, SIGTERM, NULL, NULL);
	return r < 0 ? r : sd_event_add_signal(x->event, NULL, SIGINT, NULL, NULL);
}

static int open_control(struct xfrmd *x)
{
	bool v4 = false, v6 = false;
	int r;

	for (size_t i = 0; i < x->config->connection_count; i++) {
		v4 |= x->config->connections[i].control.family == AF_INET;
		v6 |= x->config->connections[i].control.family == AF_INET6;
	}
	r = xfrmd_control_new(x->event, (uint16_t)x->config->port, v4, v6, on_message, x,
			      &x->control);
	return r < 0 ? log_failure(r, "control port") : 0;
}

static int open_connections(struct xfrmd *x)
{
	int r = 0;

	x->shared = (struct xfrmd_shared){
		.event = x->event,
		.kernel = x->kernel,
		.control = x->control,
		.config = x->config,
		.on_change = on_change,
		.userdata = x,
	};
	for (size_t i = 0; r >= 0 && i < x->config->connection_count; i++) {
		r = xfrmd_connection_new(&x->shared, &x->config->connections[i],
					 &x->connections[i]);
		if (r >= 0)
			x->count++;
	}
	return r;
}

/* Every connection's policies, before anything else can fail. */
static int protect(struct xfrmd *x)
{
	for (size_t i = 0; i < x->count; i++) {
		int r = xfrmd_policies_protect(x->kernel, &x->config->connections[i]);

		if (r < 0)
			return log_failure(r, x->config->connections[i].name);
	}
	return 0;
}

static bool keep(const struct xfrm_report *report, void *userdata)
{
	const struct xfrmd *x = userdata;

	return xfrmd_rules_is_wanted(x->config, report);
}

static int open_all(struct xfrmd *x)
{
	int r = sd_event_new(&x->event);

	if (r >= 0)
		r = add_signals(x);
	if (r >= 0)
		r = open_status(x);
	if (r < 0)
		return log_failure(r, "events");
	r = xfrm_kernel_new(x->event, on_report, x, &x->kernel);
	if (r < 0)
		return log_failure(r, "the kernel's IPsec");
	r = open_connections(x);
	if (r >= 0)
		r = protect(x);
	if (r >= 0)
		r = open_control(x);
	if (r < 0)
		return r;
	x->shared.control = x->control;
	r = xfrmd_sweep(x->kernel, keep, x);
	if (r >= 0)
		r = xfrmd_policies_open(x->kernel, x->config);
	if (r >= 0)
		r = xfrm_kernel_foreach(x->kernel, false, on_existing, x);
	return r < 0 ? log_failure(r, "what is in the kernel") : 0;
}

int xfrmd_new(struct xfrmd_config *config, struct xfrmd **ret)
{
	_cleanup_(xfrmd_freep) struct xfrmd *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return -ENOMEM;
	x->config = config;
	r = open_all(x);
	if (r < 0) {
		x->config = NULL; /* still the caller's */
		return r;
	}
	*ret = TAKE_PTR(x);
	return 0;
}

struct xfrmd *xfrmd_free(struct xfrmd *x)
{
	if (!x)
		return NULL;
	for (size_t i = 0; i < x->count; i++)
		xfrmd_connection_free(x->connections[i]);
	xfrmd_control_free(x->control);
	xfrm_kernel_free(x->kernel);
	sd_event_source_disable_unref(x->status_timer);
	sd_event_unref(x->event);
	xfrmd_config_free(x->config);
	free(x);
	return NULL;
}

int xfrmd_run(struct xfrmd *x)
{
	int r = sd_event_set_watchdog(x->event, true);

	if (r < 0)
		return r;
	log_event(LOG_INFO, EVENT_DAEMON_STARTED, NULL, "qkd-xfrmd %s protects %zu connections",
		  QKD_VERSION, x->count);
	for (size_t i = 0; i < x->count; i++)
		xfrmd_connection_start(x->connections[i]);
	sd_notify(false, "READY=1");
	tell_status(x);
	r = sd_event_loop(x->event);
	sd_notify(false, "STOPPING=1");
	return r;
}

static bool keep_nothing(const struct xfrm_report *report, void *userdata)
{
	return false;
}

int xfrmd_flush(void)
{
	_cleanup_(xfrm_kernel_freep) struct xfrm_kernel *kernel = NULL;
	int r = xfrm_kernel_new(NULL, NULL, NULL, &kernel);

	return r < 0 ? r : xfrmd_sweep(kernel, keep_nothing, NULL);
}
