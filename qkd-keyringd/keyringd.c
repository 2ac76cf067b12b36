/* SPDX-License-Identifier: MIT */
/* Puts the daemon together, starts it, reloads it and takes it apart again. */

#include "keyringd.h"

#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "admission.h"
#include "bus-api.h"
#include "common/channel.h"
#include "common/events.h"
#include "common/keyfile.h"
#include "common/log.h"
#include "common/pool.h"
#include "common/storage.h"
#include "common/upcall-wire.h"
#include "common/version.h"
#include "keyring-quota.h"
#include "keyringd-bus.h"
#include "keyringd-direct-bus.h"
#include "keyringd-notify.h"
#include "keyringd-statistics.h"
#include "path-hops.h"
#include "upcall.h"

struct keyringd {
	struct keyringd_arguments arguments;
	struct keyringd_config *config;
	sd_event *event;
	struct storage *state, *keys;
	struct pool *pool;
	struct channel_identity *identity;
	struct issuer *issuer;
	struct multihop *multihop;
	struct path_hop_starter hops;
	struct path_manager *paths;
	struct admission admission;
	struct bus_api api;
	struct keyringd_statistics *statistics;
	struct bus_connection *bus;
	struct keyringd_direct_bus *direct_bus;
	struct keyringd_notify *notify;
	struct upcall_server *upcalls, *unqualified_upcalls;
};

static int load_identity(const struct keyringd_config *config, FILE *errors,
			 struct channel_identity **ret)
{
	_cleanup_(channel_identity_unrefp) struct channel_identity *identity = NULL;
	_cleanup_(freep) char *what = NULL;
	int r = channel_identity_new(config->tls_ca, config->tls_certificate, config->tls_key,
				     &what, &identity);

	if (r < 0) {
		fprintf(errors, "tls: %s\n", what ? what : strerror(-r));
		return -EINVAL;
	}
	if (!str_equal(channel_identity_name(identity), config->site)) {
		fprintf(errors, "tls.certificate: %s is for \"%s\", expected our site, \"%s\"\n",
			config->tls_certificate, channel_identity_name(identity), config->site);
		return -EINVAL;
	}
	*ret = TAKE_PTR(identity);
	return 0;
}

static int load_policy(const char *file, FILE *errors, struct policy **ret)
{
	int r = file ? policy_load(file, &policy_system_names, errors, ret) : -ENOENT;

	if (r == -ENOENT)
		return policy_new_default(ret);
	if (r < 0 && r != -EINVAL)
		fprintf(errors, "%s: %s\n", file, strerror(-r));
	return r;
}

int keyringd_load(const struct keyringd_arguments *arguments, FILE *errors,
		  struct keyringd_config **ret_config, struct policy **ret_policy)
{
	_cleanup_(keyringd_config_freep) struct keyringd_config *config = NULL;
	_cleanup_(channel_identity_unrefp) struct channel_identity *identity = NULL;
	_cleanup_(policy_freep) struct policy *policy = NULL;
	size_t error_count;
	int r = keyringd_config_new(arguments->file, arguments->words, errors, &config,
				    &error_count);

	if (r < 0)
		return r;
	/* On, whatever was wrong so far: all errors are told at once. */
	if (load_policy(config->policy, errors, &policy) < 0)
		error_count++;
	if (error_count == 0 && load_identity(config, errors, &identity) < 0)
		error_count++;
	if (error_count > 0)
		return -EINVAL;
	*ret_config = TAKE_PTR(config);
	*ret_policy = TAKE_PTR(policy);
	return 0;
}

static void on_store_changed(const char *peer, void *userdata)
{
	struct keyringd *k = userdata;

	if (k->statistics)
		keyringd_statistics_sample(k->statistics);
	if (k->notify)
		keyringd_notify_store_changed(k->notify, peer);
}

static void on_label(const char *peer, const char *label, const struct uuid *id, void *userdata)
{
	struct keyringd *k = userdata;

	if (k->notify)
		keyringd_notify_label(k->notify, peer, label, id);
}

static void on_low_water(const char *peer, uint64_t available, void *userdata)
{
	struct keyringd *k = userdata;

	if (k->notify)
		keyringd_notify_low_water(k->notify, peer, available);
}

static void on_path(const struct path *path, bool up, void *userdata)
{
	struct keyringd *k = userdata;

	if (k->notify)
		keyringd_notify_path(k->notify, path, up);
}

/* The issuer has logged it. */
static void on_fatal(int result, const char *what, void *userdata)
{
	struct keyringd *k = userdata;

	sd_event_exit(k->event, result);
}

static const struct issuer_handler issuer_handler = {
	.on_store_changed = on_store_changed,
	.on_label = on_label,
	.on_low_water = on_low_water,
	.on_fatal = on_fatal,
};

static int log_failure(int result, const char *what)
{
	log_event(LOG_ERR, EVENT_START_FAILED, &(struct log_fields){.error = -result},
		  "Cannot start: %s: %s", what, strerror(-result));
	return result;
}

static int open_storage(struct keyringd *k)
{
	_cleanup_(freep) char *keys = NULL;
	int r;

	if (asprintf(&keys, "%s/%s", k->config->home, KEYFILE_HOME_SUBPATH) < 0)
		return -ENOMEM;
	r = storage_new_directory(k->config->home, &k->state);
	if (r < 0)
		return log_failure(r, k->config->home);
	r = storage_new_directory(keys, &k->keys);
	return r < 0 ? log_failure(r, keys) : 0;
}

/* Without a pool the keys come from the files alone: slower, but served. */
static void open_pool(struct keyringd *k)
{
	int r = pool_open(k->config->kernel_shared ? k->config->site : NULL, &k->pool);

	if (r < 0)
		log_warning("No pool of keys in the kernel, serving from the files: %s",
			    strerror(-r));
}

static int open_issuer(struct keyringd *k)
{
	const struct keyringd_config *c = k->config;
	struct issuer_peer peers[KEYRINGD_CONFIG_MAX_PEERS];
	_cleanup_(freep) char *what = NULL;
	const struct issuer_options options = {
		.event = k->event,
		.site = c->site,
		.state = k->state,
		.keys = k->keys,
		.pool = k->pool,
		.peers = peers,
		.peer_count = c->peer_count,
		.listen = c->listen,
		.identity = k->identity,
		.label_ttl_sec = (uint32_t)c->label_ttl_sec,
		.reservation_sec = (uint32_t)c->reservation_sec,
		.run_ahead_keys = (uint32_t)c->run_ahead_keys,
		.low_water_keys = c->low_water_keys,
		.handler = &issuer_handler,
		.userdata = k,
	};
	int r;

	for (size_t i = 0; i < c->peer_count; i++) {
		peers[i].site = c->peers[i].site;
		/* Only the smaller name dials; an address given besides does no harm. */
		peers[i].address = site_is_leader(c->site, c->peers[i].site) ? c->peers[i].address
									     : NULL;
	}
	r = issuer_new(&options, &what, &k->issuer);
	if (r < 0) /* it says itself what the error is */
		log_event(LOG_ERR, EVENT_START_FAILED, &(struct log_fields){.error = -r},
			  "Cannot start: %s", what ? what : strerror(-r));
	return r;
}

static int open_paths(struct keyringd *k)
{
	const struct multihop_options multihop = {
		.event = k->event,
		.issuer = k->issuer,
		.site = k->config->site,
		.on_path = on_path,
		.userdata = k,
	};
	struct path_manager_options paths = {
		.event = k->event,
		.issuer = k->issuer,
		.state = k->state,
		.site = k->config->site,
		.hops = &path_hops,
		.userdata = &k->hops,
	};
	int r = multihop_new(&multihop, &k->multihop);

	if (r < 0)
		return log_failure(r, "paths");
	path_hop_starter_init(&k->hops, k->config->site, k->issuer, &k->api.links);
	paths.multihop = k->multihop;
	r = path_manager_new(&paths, &k->paths);
	if (r < 0)
		return log_failure(r, "keyringd/paths");
	k->api.multihop = k->multihop;
	k->api.paths = k->paths;
	return site_pings_new(k->event, k->issuer, &k->api.pings);
}

static int open_upcalls(struct keyringd *k, const char *name, struct upcall_server **ret)
{
	_cleanup_(freep) char *directory = NULL;
	struct upcall_server_options options = {
		.event = k->event,
		.name = name,
		.site = k->config->site,
		.helper_uid = 0,
		.admission = &k->admission,
	};
	int r;

	if (asprintf(&directory, "%s/upcall", k->config->runtime) < 0)
		return -ENOMEM;
	options.directory = directory;
	r = upcall_server_new(&options, ret);
	if (r >= 0)
		r = keyringd_statistics_add_upcalls(k->statistics, *ret, name);
	return r < 0 ? log_failure(r, directory) : 0;
}

static int open_direct_bus(struct keyringd *k)
{
	_cleanup_(freep) char *path = NULL;
	int r;

	if (asprintf(&path, "%s/bus", k->config->runtime) < 0)
		return -ENOMEM;
	r = keyringd_direct_bus_new(k->event, path, &k->api, &k->direct_bus);
	return r < 0 ? log_failure(r, path) : 0;
}

static int open_statistics(struct keyringd *k)
{
	int r = keyringd_statistics_new(k->event, k->config->site, k->issuer, &k->statistics);

	if (r < 0)
		return log_failure(r, "statistics");
	keyringd_statistics_add_calls(k->statistics, &k->api.calls);
	keyringd_statistics_add_multihop(k->statistics, k->multihop);
	k->api.statistics = keyringd_statistics_bus(k->statistics);
	return 0;
}

/* What is in force now, told to those who have it. */
static void apply(struct keyringd *k)
{
	const struct keyringd_config *c = k->config;

	log_set_max_level(c->log_level);
	issuer_reconfigure(k->issuer, &(struct issuer_changes){
					      .label_ttl_sec = (uint32_t)c->label_ttl_sec,
					      .reservation_sec = (uint32_t)c->reservation_sec,
					      .run_ahead_keys = (uint32_t)c->run_ahead_keys,
					      .low_water_keys = c->low_water_keys,
				      });
}

static int set_parameter(const char *name, const char *value, char **ret_what, void *userdata)
{
	struct keyringd *k = userdata;
	int r = keyringd_config_change(k->config, name, value, ret_what);

	if (r < 0)
		return r;
	log_event(LOG_NOTICE, EVENT_PARAMETER_CHANGED, NULL, "%s is %s from now on", name, value);
	apply(k);
	return 0;
}

static void init_parameters(struct keyringd *k)
{
	struct parameters *parameters = &k->api.parameters;

	parameters->settings = keyringd_config_settings(&parameters->count);
	parameters->values = k->config;
	parameters->set = set_parameter;
	parameters->userdata = k;
}

static int open_devices(struct keyringd *k)
{
	_cleanup_(freep) char *program = NULL;
	int r = devices_find_program(&program);

	return r < 0 ? r : devices_new(k->event, k->state, k->config, program, &k->api.devices);
}

static int open_buses(struct keyringd *k)
{
	int r;

	k->api.site = k->config->site;
	k->api.kernel_shared = k->config->kernel_shared;
	k->api.issuer = k->issuer;
	init_parameters(k);
	r = bus_calls_init(&k->api.calls, &k->admission);
	if (r >= 0)
		r = bus_authority_new(k->api.calls.callers, &k->api.authority);
	if (r >= 0)
		r = open_devices(k);
	if (r >= 0)
		r = open_statistics(k);
	if (r < 0)
		return r;
	r = open_direct_bus(k);
	if (r < 0)
		return r;
	if (!str_equal(k->config->bus, BUS_CONNECTION_NONE)) {
		r = keyringd_bus_new(k->event, k->config->bus, &k->api, &k->bus);
		if (r < 0)
			return log_failure(r, k->config->bus);
	}
	return keyringd_notify_new(k->event, k->issuer, k->bus, k->direct_bus, &k->notify);
}

static int open_doors(struct keyringd *k)
{
	int r;

	/* systemd makes it; for a start by hand its parent is enough. */
	if (mkdir(k->config->runtime, 0755) < 0 && errno != EEXIST)
		return log_failure(-errno, k->config->runtime);
	r = open_buses(k);
	if (r < 0)
		return r;
	r = open_upcalls(k, k->config->site, &k->upcalls);
	if (r < 0 || !k->config->unqualified)
		return r;
	return open_upcalls(k, UPCALL_DEFAULT_SITE, &k->unqualified_upcalls);
}

static void apply_identity(struct keyringd *k, struct channel_identity *identity)
{
	issuer_set_identity(k->issuer, identity);
	channel_identity_unref(k->identity);
	k->identity = identity;
}

/* What needs a restart is named in *ret_left. */
static int reload(struct keyringd *k, char **ret_left)
{
	_cleanup_(keyringd_config_freep) struct keyringd_config *fresh = NULL;
	_cleanup_(channel_identity_unrefp) struct channel_identity *identity = NULL;
	_cleanup_(policy_freep) struct policy *policy = NULL;
	int r = keyringd_load(&k->arguments, stderr, &fresh, &policy);

	if (r >= 0)
		r = load_identity(fresh, stderr, &identity);
	if (r >= 0)
		r = keyringd_config_take_over(k->config, fresh, ret_left);
	if (r < 0)
		return r;
	apply(k);
	admission_set_policy(&k->admission, TAKE_PTR(policy));
	apply_identity(k, TAKE_PTR(identity));
	return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	_cleanup_(freep) char *left = NULL;
	struct keyringd *k = userdata;
	int r;

	sd_notify(false, "RELOADING=1");
	r = reload(k, &left);
	if (r < 0)
		log_event(LOG_ERR, EVENT_CONFIG_INVALID, NULL,
			  "The new configuration is not valid; going on with the old one");
	else if (*left)
		log_event(LOG_WARNING, EVENT_RELOADED, NULL,
			  "Reloaded the configuration; these need a restart: %s", left);
	else
		log_event(LOG_INFO, EVENT_RELOADED, NULL, "Reloaded the configuration");
	sd_notify(false, "READY=1");
	return 0;
}

static int add_signals(struct keyringd *k)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	r = sd_event_add_signal(k->event, NULL, SIGTERM, NULL, NULL);
	if (r < 0)
		return r;
	r = sd_event_add_signal(k->event, NULL, SIGINT, NULL, NULL);
	if (r < 0)
		return r;
	return sd_event_add_signal(k->event, NULL, SIGHUP, on_hangup, k);
}

/* In this order: nothing is served before the issue record has been read. */
static int open_all(struct keyringd *k)
{
	int r = sd_event_new(&k->event);

	if (r < 0)
		return r;
	r = add_signals(k);
	if (r < 0)
		return log_failure(r, "signals");
	r = load_identity(k->config, stderr, &k->identity);
	if (r < 0)
		return r;
	r = open_storage(k);
	if (r < 0)
		return r;
	open_pool(k);
	r = open_issuer(k);
	if (r < 0)
		return r;
	k->admission.issuer = k->issuer;
	r = open_paths(k);
	if (r < 0)
		return r;
	keyring_quota_check(k->issuer);
	return open_doors(k);
}

int keyringd_new(const struct keyringd_arguments *arguments, struct keyringd_config *config,
		 struct policy *policy, struct keyringd **ret)
{
	_cleanup_(keyringd_freep) struct keyringd *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->arguments = *arguments;
	k->config = config;
	admission_init(&k->admission, NULL, policy);
	r = open_all(k);
	if (r < 0) {
		k->config = NULL; /* still the caller's */
		k->admission.policy = NULL;
		return r;
	}
	*ret = TAKE_PTR(k);
	return 0;
}

/* Doors first, then what is behind them. */
struct keyringd *keyringd_free(struct keyringd *k)
{
	if (!k)
		return NULL;
	upcall_server_free(k->upcalls);
	upcall_server_free(k->unqualified_upcalls);
	k->notify = keyringd_notify_free(k->notify);
	path_manager_free(k->paths);
	site_pings_free(k->api.pings);
	keyringd_direct_bus_free(k->direct_bus);
	bus_connection_free(k->bus);
	devices_free(k->api.devices);
	bus_authority_free(k->api.authority);
	bus_calls_done(&k->api.calls);
	k->statistics = keyringd_statistics_free(k->statistics);
	multihop_free(k->multihop);
	issuer_free(k->issuer);
	admission_done(&k->admission);
	channel_identity_unref(k->identity);
	pool_free(k->pool);
	storage_free(k->keys);
	storage_free(k->state);
	sd_event_unref(k->event);
	keyringd_config_free(k->config);
	free(k);
	return NULL;
}

int keyringd_run(struct keyringd *k)
{
	int r = sd_event_set_watchdog(k->event, true);

	if (r < 0)
		return r;
	log_event(LOG_INFO, EVENT_DAEMON_STARTED, NULL, "qkd-keyringd %s serves site %s, %zu peers",
		  QKD_VERSION, k->config->site, k->config->peer_count);
	keyringd_notify_ready(k->notify);
	r = sd_event_loop(k->event);
	sd_notify(false, "STOPPING=1");
	return r;
}
