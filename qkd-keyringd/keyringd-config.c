/* SPDX-License-Identifier: MIT */
/* The table of qkd-keyringd's settings, and the checks that need more than one of them. */

#include "keyringd-config.h"

#include "common/address.h"
#include "common/log.h"
#include "issuer.h"

#define DEFAULT_HOME    "/var/lib/qkd"
#define DEFAULT_RUNTIME "/run/qkd"
#define DEFAULT_POLICY  "/etc/qkd/policy.json"
#define DEFAULT_BUS     "system"
#define TTL_MAX_SEC     (366u * 86400u)
#define RUN_AHEAD_MAX   4096
#define LOW_WATER_MAX   1000000
#define ADDRESS_MAX     300

static char *peer_pointer(const char *parent, const char *site)
{
	char *pointer;

	return asprintf(&pointer, "%s/%s", parent, site) < 0 ? NULL : pointer;
}

static int parse_peer(struct config *config, const char *parent, const char *site, json_t *value,
		      struct keyringd_peer *peer)
{
	static const char *const known[] = {"address", NULL};
	_cleanup_(freep) char *pointer = peer_pointer(parent, site);
	json_t *address = json_object_get(value, "address");
	struct address parsed;

	if (!pointer)
		return -ENOMEM;
	if (!site_name_is_valid(site))
		config_error(config, pointer, "expected a site's name, [a-z0-9][a-z0-9.-]*");
	if (!json_is_object(value)) {
		config_error(config, pointer, "expected {\"address\": \"HOST:PORT\"} or {}");
		return 0;
	}
	config_check_members(config, pointer, value, known);
	if (address && (!json_is_string(address) ||
			address_parse(json_string_value(address), false, &parsed) < 0)) {
		config_error(config, pointer, "address: expected HOST:PORT or [V6]:PORT");
		return 0;
	}
	peer->site = strdup(site);
	peer->address = address ? strdup(json_string_value(address)) : NULL;
	return peer->site && (peer->address || !address) ? 0 : -ENOMEM;
}

/* False when memory ran out. */
static bool read_peers(struct config *config, const char *pointer, json_t *value,
		       struct keyringd_config *c)
{
	const char *site;
	json_t *peer;

	c->peers = calloc(json_object_size(value) + 1, sizeof(*c->peers));
	if (!c->peers)
		return false;
	json_object_foreach (value, site, peer) {
		int r = parse_peer(config, pointer, site, peer, &c->peers[c->peer_count]);

		c->peer_count += c->peers[c->peer_count].site != NULL;
		if (r < 0)
			return false;
	}
	return true;
}

static int parse_peers(struct config *config, const char *pointer, json_t *value, void *field)
{
	struct keyringd_config *c = CONTAINER_OF(field, struct keyringd_config, peers);

	if (!json_is_object(value) || json_object_size(value) > KEYRINGD_CONFIG_MAX_PEERS)
		config_error(config, pointer,
			     "expected {\"SITE\": {\"address\": \"HOST:PORT\"}}, at most %d sites",
			     KEYRINGD_CONFIG_MAX_PEERS);
	else if (!read_peers(config, pointer, value, c))
		config_error(config, pointer, "%s", strerror(ENOMEM));
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? str_equal(a, b) : a == b;
}

static bool same_peers(const void *field, const void *other)
{
	const struct keyringd_config *a = CONTAINER_OF(field, struct keyringd_config, peers);
	const struct keyringd_config *b = CONTAINER_OF(other, struct keyringd_config, peers);

	if (a->peer_count != b->peer_count)
		return false;
	for (size_t i = 0; i < a->peer_count; i++)
		if (!same_text(a->peers[i].site, b->peers[i].site) ||
		    !same_text(a->peers[i].address, b->peers[i].address))
			return false;
	return true;
}

#define FIELD(field) .offset = offsetof(struct keyringd_config, field)

static const struct config_setting settings[] = {
	{.name = "site",
	 .type = CONFIG_SITE,
	 FIELD(site),
	 .required = true,
	 .argument = "NAME",
	 .help = "this site's name"},
	{.name = "listen",
	 .type = CONFIG_ADDRESS,
	 FIELD(listen),
	 .argument = "HOST:PORT",
	 .help = "where the keyringd of sites with a smaller name reach us"},
	{.name = "peers",
	 .type = CONFIG_CUSTOM,
	 FIELD(peers),
	 .parse = parse_peers,
	 .same = same_peers,
	 .argument = "JSON",
	 .help = "the sites we share keys with: {\"SITE\": {\"address\": ...}}"},
	{.name = "tls.ca",
	 .type = CONFIG_PATH,
	 .change = CONFIG_AT_RELOAD,
	 FIELD(tls_ca),
	 .required = true,
	 .argument = "FILE",
	 .help = "certificate of the network's authority"},
	{.name = "tls.certificate",
	 .type = CONFIG_PATH,
	 .change = CONFIG_AT_RELOAD,
	 FIELD(tls_certificate),
	 .required = true,
	 .argument = "FILE",
	 .help = "our certificate; its common name is our site's"},
	{.name = "tls.key",
	 .type = CONFIG_PATH,
	 .change = CONFIG_AT_RELOAD,
	 FIELD(tls_key),
	 .required = true,
	 .argument = "FILE",
	 .help = "its private key, or credential:NAME"},
	{.name = "home",
	 .type = CONFIG_PATH,
	 FIELD(home),
	 .argument = "DIRECTORY",
	 .help = "keys and state (default " DEFAULT_HOME ")"},
	{.name = "runtime",
	 .type = CONFIG_PATH,
	 FIELD(runtime),
	 .argument = "DIRECTORY",
	 .help = "sockets (default " DEFAULT_RUNTIME ")"},
	{.name = "policy",
	 .type = CONFIG_PATH,
	 .change = CONFIG_AT_RELOAD,
	 FIELD(policy),
	 .argument = "FILE",
	 .help = "who may have keys (default " DEFAULT_POLICY ")"},
	{.name = "bus",
	 .type = CONFIG_STRING,
	 FIELD(bus),
	 .min = 1,
	 .max = ADDRESS_MAX,
	 .argument = "BUS",
	 .help = "system, none, or a D-Bus address (default system)"},
	{.name = "kernel_shared",
	 .type = CONFIG_BOOL,
	 FIELD(kernel_shared),
	 .argument = "BOOL",
	 .help = "several sites run on this kernel (default false)"},
	{.name = "unqualified",
	 .type = CONFIG_BOOL,
	 FIELD(unqualified),
	 .argument = "BOOL",
	 .help = "answer descriptions that name no site (default true)"},
	{.name = "label_ttl_sec",
	 .type = CONFIG_UINT,
	 .change = CONFIG_ANY_TIME,
	 FIELD(label_ttl_sec),
	 .min = 1,
	 .max = TTL_MAX_SEC,
	 .argument = "SECONDS",
	 .help = "how long a label stays spent (default 86400)"},
	{.name = "reservation_sec",
	 .type = CONFIG_UINT,
	 .change = CONFIG_ANY_TIME,
	 FIELD(reservation_sec),
	 .min = 1,
	 .max = TTL_MAX_SEC,
	 .argument = "SECONDS",
	 .help = "how long a new key waits for its owner (default 600)"},
	{.name = "run_ahead_keys",
	 .type = CONFIG_UINT,
	 .change = CONFIG_ANY_TIME,
	 FIELD(run_ahead_keys),
	 .min = 1,
	 .max = RUN_AHEAD_MAX,
	 .argument = "KEYS",
	 .help = "how far the issue record runs ahead (default 64)"},
	{.name = "low_water_keys",
	 .type = CONFIG_UINT,
	 .change = CONFIG_ANY_TIME,
	 FIELD(low_water_keys),
	 .min = 0,
	 .max = LOW_WATER_MAX,
	 .argument = "KEYS",
	 .help = "tell when a store falls below (default 0: never)"},
	{.name = "log_level",
	 .type = CONFIG_CHOICE,
	 .change = CONFIG_ANY_TIME,
	 FIELD(log_level),
	 .choices = log_level_names,
	 .argument = "LEVEL",
	 .help = "err, warning, notice, info or debug (default info)"},
};

static void free_peers(struct keyringd_config *config)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		free(config->peers[i].site);
		free(config->peers[i].address);
	}
	free(config->peers);
}

struct keyringd_config *keyringd_config_free(struct keyringd_config *config)
{
	if (!config)
		return NULL;
	free_peers(config);
	config_release(settings, ELEMENTSOF(settings), config);
	free(config);
	return NULL;
}

static int set_defaults(struct keyringd_config *config)
{
	config->home = strdup(DEFAULT_HOME);
	config->runtime = strdup(DEFAULT_RUNTIME);
	config->policy = strdup(DEFAULT_POLICY);
	config->bus = strdup(DEFAULT_BUS);
	config->unqualified = true;
	config->label_ttl_sec = ISSUE_LABEL_TTL_DEFAULT_SEC;
	config->reservation_sec = ISSUE_RESERVATION_SEC;
	config->run_ahead_keys = ISSUE_RUN_AHEAD_DEFAULT;
	config->log_level = LOG_INFO;
	return config->home && config->runtime && config->policy && config->bus ? 0 : -ENOMEM;
}

/* Between two sites the smaller name dials: we need its address, or a place to be dialled at. */
static void check_peers(struct config *config, const struct keyringd_config *c)
{
	bool dialled = false;

	if (!c->site)
		return;
	for (size_t i = 0; i < c->peer_count; i++) {
		const struct keyringd_peer *peer = &c->peers[i];
		_cleanup_(freep) char *pointer = peer_pointer("/peers", peer->site);

		if (str_equal(peer->site, c->site))
			config_error(config, pointer ? pointer : "/peers", "this is our own site");
		else if (!site_is_leader(c->site, peer->site))
			dialled = true;
		else if (!peer->address)
			config_error(config, pointer ? pointer : "/peers",
				     "needs an address: %s, the smaller name, dials %s", c->site,
				     peer->site);
	}
	if (dialled && !c->listen)
		config_error(config, "",
			     "listen: missing, and a peer with a smaller name has to "
			     "reach us");
}

int keyringd_config_new(const char *file, char *const *arguments, FILE *errors,
			struct keyringd_config **ret, size_t *ret_error_count)
{
	_cleanup_(keyringd_config_freep) struct keyringd_config *c = calloc(1, sizeof(*c));
	_cleanup_(config_freep) struct config *config = NULL;
	int r;

	if (!c)
		return -ENOMEM;
	r = set_defaults(c);
	if (r < 0)
		return r;
	r = config_new(file, arguments, &config);
	if (r < 0)
		return r;
	r = config_read(config, settings, ELEMENTSOF(settings), c);
	if (r < 0 && r != -EINVAL)
		return r;
	check_peers(config, c);
	config_print_errors(config, errors);
	*ret_error_count = config_error_count(config);
	*ret = TAKE_PTR(c);
	return 0;
}

void keyringd_config_print_help(FILE *stream)
{
	config_print_help(settings, ELEMENTSOF(settings), stream);
}

const struct config_setting *keyringd_config_settings(size_t *ret_count)
{
	*ret_count = ELEMENTSOF(settings);
	return settings;
}

int keyringd_config_change(struct keyringd_config *config, const char *name, const char *value,
			   char **ret_what)
{
	struct keyringd_config changed = *config; /* what can change owns nothing */
	int r = config_change(settings, ELEMENTSOF(settings), &changed, name, value, NULL,
			      ret_what);

	if (r >= 0)
		*config = changed;
	return r;
}

int keyringd_config_take_over(struct keyringd_config *config, struct keyringd_config *fresh,
			      char **ret_left)
{
	return config_take_over(settings, ELEMENTSOF(settings), config, fresh, ret_left);
}
