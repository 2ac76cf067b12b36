/* SPDX-License-Identifier: MIT */

/*
 * The table of qkd-linkd's settings, and the checks that need more than one of them.
 */

#include "qkd-linkd/link-config.h"

#include <systemd/sd-event.h>

#include "common/config.h"
#include "common/log.h"
#include "common/pool.h"
#include "drivers/driver.h"
#include "qkd-linkd/distill/distill.h"
#include "qkd-linkd/sync-message.h"

#define DEFAULT_HOME    "/var/lib/qkd"
#define DEFAULT_RUNTIME "/run/qkd"
#define DEFAULT_BUS     "system"
#define BUS_MAX_CHARS   1024
#define HOLD_MAX_SEC    86400
#define LIMIT_MAX_KEYS  (UINT64_C(1) << 32)

static const char *const consumers[] = {
	[LINK_CONSUMER_KEYRING] = "keyring", [LINK_CONSUMER_FILES] = "files", NULL};

/* Everything about a device that can be checked without it is what its driver's open() checks. */
static int check_driver(const struct device_url *url, char **ret_what)
{
	static const struct device_handler nobody;
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	const struct driver *driver = driver_find(url->scheme);
	struct device *device;
	int r;

	if (!driver)
		return asprintf(ret_what, "there is no driver %s://", url->scheme) < 0 ? -ENOMEM
										       : -EINVAL;
	r = sd_event_new(&event);
	if (r < 0)
		return r;
	r = driver->open(event, url, &nobody, NULL, ret_what, &device);
	if (r < 0)
		return r;
	device->driver->close(device);
	return 0;
}

static int parse_device(struct config *config, const char *pointer, json_t *value, void *field)
{
	_cleanup_(device_url_freep) struct device_url *url = NULL;
	_cleanup_(freep) char *what = NULL;
	const char *text = json_string_value(value);
	char **device = field;
	int r;

	if (!text) {
		config_error(config, pointer, "expected a device URL, as sim://NAME");
		return 0;
	}
	r = device_url_parse(text, &url, &what);
	if (r >= 0)
		r = check_driver(url, &what);
	if (r < 0) {
		config_error(config, pointer, "%s", what ? what : strerror(-r));
		return 0;
	}
	*device = strdup(text);
	return *device ? 0 : -ENOMEM;
}

static bool same_device(const void *field, const void *other)
{
	return str_equal(*(char *const *)field, *(char *const *)other);
}

#define SETTING(text, kind, member) \
	.name = (text), .type = (kind), .offset = offsetof(struct link_config, member)
#define RELOADS(text, kind, member) SETTING(text, kind, member), .change = CONFIG_AT_RELOAD
#define CHANGES(text, kind, member) SETTING(text, kind, member), .change = CONFIG_ANY_TIME

static const struct config_setting settings[] = {
	{SETTING("site", CONFIG_SITE, site), .required = true, .argument = "NAME",
	 .help = "this site's name"},
	{SETTING("peer", CONFIG_SITE, peer), .required = true, .argument = "NAME",
	 .help = "the site at the link's other end"},
	{SETTING("link", CONFIG_LINK, link), .required = true, .argument = "NAME",
	 .help = "the link's name, the same at both sites"},
	{SETTING("device", CONFIG_CUSTOM, device), .required = true, .parse = parse_device,
	 .same = same_device, .argument = "URL", .help = "the device, see qkd-devices(7)"},
	{SETTING("listen", CONFIG_ADDRESS, listen), .argument = "HOST:PORT",
	 .help = "where the leader reaches us; needed where our name is the larger"},
	{SETTING("peer_address", CONFIG_ADDRESS, peer_address), .argument = "HOST:PORT",
	 .help = "where the follower listens; needed where our name is the smaller"},
	{RELOADS("tls.ca", CONFIG_PATH, tls_ca), .required = true, .argument = "FILE",
	 .help = "certificate of the network's authority"},
	{RELOADS("tls.certificate", CONFIG_PATH, tls_certificate), .required = true,
	 .argument = "FILE", .help = "our certificate; its common name is our site's"},
	{RELOADS("tls.key", CONFIG_PATH, tls_key), .required = true, .argument = "FILE",
	 .help = "its private key, or credential:NAME"},
	{SETTING("home", CONFIG_PATH, home), .argument = "DIRECTORY",
	 .help = "keys and state (default " DEFAULT_HOME ")"},
	{SETTING("runtime", CONFIG_PATH, runtime), .argument = "DIRECTORY",
	 .help = "claims of devices (default " DEFAULT_RUNTIME ")"},
	{CHANGES("keys_per_transaction", CONFIG_UINT, keys_per_transaction), .min = 1,
	 .max = SYNC_MAX_KEYS, .argument = "KEYS",
	 .help = "keys that are agreed together (default 64)"},
	{CHANGES("window", CONFIG_UINT, window), .min = 1, .max = SYNC_MAX_OPEN,
	 .argument = "TRANSACTIONS", .help = "transactions open at the same time (default 8)"},
	{CHANGES("hold_sec", CONFIG_UINT, hold_sec), .min = 1, .max = HOLD_MAX_SEC,
	 .argument = "SECONDS", .help = "the leader appends without DONE after this (default 30)"},
	{SETTING("confirm", CONFIG_BOOL, confirm), .argument = "BOOL",
	 .help = "spend a key of each transaction on comparing the others (default false)"},
	{SETTING("consumer", CONFIG_CHOICE, consumer), .choices = consumers, .argument = "CONSUMER",
	 .help = "who uses the keys: keyring or files (default keyring)"},
	{CHANGES("deposit_cap", CONFIG_UINT, deposit_cap), .max = POOL_RING_MAX_LINKS,
	 .argument = "KEYS", .help = "keys of this peer in the kernel's pool (default 1024)"},
	{SETTING("kernel_shared", CONFIG_BOOL, kernel_shared), .argument = "BOOL",
	 .help = "several sites run on this kernel (default false)"},
	{CHANGES("store_limit_keys", CONFIG_UINT, store_limit_keys), .min = 1,
	 .max = LIMIT_MAX_KEYS, .argument = "KEYS",
	 .help = "no new keys above this stock (default 1048576)"},
	{SETTING("bus", CONFIG_STRING, bus), .min = 1, .max = BUS_MAX_CHARS, .argument = "BUS",
	 .help = "system, none, or a D-Bus address (default system)"},
	{SETTING("distill.secret", CONFIG_PATH, distill_secret), .argument = "FILE",
	 .help = "the first authentication secret, where the device gives detections"},
	{SETTING("distill.frames", CONFIG_UINT, distill_frames), .min = 1,
	 .max = DISTILL_MAX_FRAMES, .argument = "FRAMES",
	 .help = "of 2^14 sifted bits in a block (default 2048)"},
	{SETTING("distill.window", CONFIG_UINT, distill_window), .min = 1,
	 .max = DISTILL_MAX_WINDOW, .argument = "BLOCKS",
	 .help = "distilled at the same time (default 2)"},
	{SETTING("distill.count_both_directions", CONFIG_BOOL, distill_count_both),
	 .argument = "BOOL",
	 .help = "count what both ends say in reconciliation as leaked (default false)"},
	{CHANGES("log_level", CONFIG_CHOICE, log_level), .choices = log_level_names,
	 .argument = "LEVEL", .help = "emerg ... err, warning, notice, info, debug (default info)"},
};

static void check_together(struct config *config, const struct link_config *c)
{
	if (!c->site || !c->peer)
		return;
	if (str_equal(c->site, c->peer)) {
		config_error(config, "/peer", "a link has two different sites");
		return;
	}
	if (link_config_is_leader(c) && !c->peer_address)
		config_error(config, "/peer_address",
			     "is missing: %s leads, so it dials the other site", c->site);
	if (!link_config_is_leader(c) && !c->listen)
		config_error(config, "/listen", "is missing: %s leads, so we listen", c->peer);
	if (c->confirm && c->keys_per_transaction < 2)
		config_error(config, "/keys_per_transaction",
			     "expected 2 or more, since confirm spends one of them");
}

static int set_defaults(struct link_config *config)
{
	config->home = strdup(DEFAULT_HOME);
	config->runtime = strdup(DEFAULT_RUNTIME);
	config->bus = strdup(DEFAULT_BUS);
	config->keys_per_transaction = 64;
	config->window = 8;
	config->hold_sec = 30;
	config->deposit_cap = POOL_PEER_CAP_DEFAULT;
	config->store_limit_keys = 1048576;
	config->distill_frames = DISTILL_MAX_FRAMES;
	config->distill_window = 2;
	config->log_level = LOG_INFO;
	return config->home && config->runtime && config->bus ? 0 : -ENOMEM;
}

int link_config_new(const char *file, char *const *arguments, FILE *errors,
		    struct link_config **ret)
{
	_cleanup_(link_config_freep) struct link_config *target = calloc(1, sizeof(*target));
	_cleanup_(config_freep) struct config *config = NULL;
	int r;

	if (!target)
		return -ENOMEM;
	r = set_defaults(target);
	if (r < 0)
		return r;
	r = config_new(file, arguments, &config);
	if (r < 0)
		return r;
	r = config_read(config, settings, ELEMENTSOF(settings), target);
	if (r < 0 && r != -EINVAL)
		return r;
	check_together(config, target);
	if (config_error_count(config) > 0) {
		config_print_errors(config, errors);
		return -EINVAL;
	}
	*ret = TAKE_PTR(target);
	return 0;
}

struct link_config *link_config_free(struct link_config *config)
{
	if (!config)
		return NULL;
	config_release(settings, ELEMENTSOF(settings), config);
	free(config->device);
	free(config);
	return NULL;
}

void link_config_print_help(FILE *stream)
{
	config_print_help(settings, ELEMENTSOF(settings), stream);
}

const struct config_setting *link_config_settings(size_t *ret_count)
{
	*ret_count = ELEMENTSOF(settings);
	return settings;
}

static void check_changed(struct config *config, const void *target)
{
	check_together(config, target);
}

int link_config_change(struct link_config *config, const char *name, const char *value,
		       char **ret_what)
{
	struct link_config changed = *config; /* what can change owns nothing */
	int r = config_change(settings, ELEMENTSOF(settings), &changed, name, value, check_changed,
			      ret_what);

	if (r >= 0)
		*config = changed;
	return r;
}

int link_config_take_over(struct link_config *config, struct link_config *fresh, char **ret_left)
{
	return config_take_over(settings, ELEMENTSOF(settings), config, fresh, ret_left);
}
