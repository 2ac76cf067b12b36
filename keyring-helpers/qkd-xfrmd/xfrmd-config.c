/* SPDX-License-Identifier: MIT */
/* The table of qkd-xfrmd's settings, and the checks that need more than one of them. */

#include "xfrmd-config.h"

#include "common/log.h"
#include "common/name.h"
#include "xfrmd-connection-config.h"

#define POINTER_MAX_CHARS 160

static int read_connections(struct config *config, const char *parent, json_t *value,
			    struct xfrmd_config *c)
{
	char pointer[POINTER_MAX_CHARS];
	const char *name;
	json_t *member;

	c->connections = calloc(json_object_size(value) + 1, sizeof(*c->connections));
	if (!c->connections)
		return -ENOMEM;
	json_object_foreach (value, name, member) {
		snprintf(pointer, sizeof(pointer), "%s/%s", parent, name);
		if (xfrmd_connection_config_parse(config, pointer, name, member,
						  &c->connections[c->connection_count++]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int parse_connections(struct config *config, const char *pointer, json_t *value, void *field)
{
	struct xfrmd_config *c = CONTAINER_OF(field, struct xfrmd_config, connections);

	if (!json_is_object(value) || json_object_size(value) > XFRMD_MAX_CONNECTIONS)
		config_error(config, pointer, "expected {\"NAME\": {...}}, at most %d connections",
			     XFRMD_MAX_CONNECTIONS);
	else if (read_connections(config, pointer, value, c) < 0)
		config_error(config, pointer, "%s", strerror(ENOMEM));
	return 0;
}

#define FIELD(field) .offset = offsetof(struct xfrmd_config, field)

static const struct config_setting settings[] = {
	{.name = "site",
	 .type = CONFIG_SITE,
	 FIELD(site),
	 .required = true,
	 .argument = "NAME",
	 .help = "this site's name"},
	{.name = "kernel_shared",
	 .type = CONFIG_BOOL,
	 FIELD(kernel_shared),
	 .argument = "BOOL",
	 .help = "several sites run on this kernel (default false)"},
	{.name = "port",
	 .type = CONFIG_UINT,
	 FIELD(port),
	 .min = 1,
	 .max = UINT16_MAX,
	 .argument = "PORT",
	 .help = "UDP port where other qkd-xfrmd reach us (default 7900)"},
	{.name = "connections",
	 .type = CONFIG_CUSTOM,
	 FIELD(connections),
	 .parse = parse_connections,
	 .required = true,
	 .argument = "JSON",
	 .help = "what to protect: {\"NAME\": {\"peer\": ..., \"local\": ...}}"},
	{.name = "log_level",
	 .type = CONFIG_CHOICE,
	 FIELD(log_level),
	 .choices = log_level_names,
	 .argument = "LEVEL",
	 .help = "err, warning, notice, info or debug (default info)"},
};

struct xfrmd_config *xfrmd_config_free(struct xfrmd_config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->connection_count; i++)
		xfrmd_connection_config_done(&config->connections[i]);
	free(config->connections);
	config_release(settings, ELEMENTSOF(settings), config);
	free(config);
	return NULL;
}

static void complain(struct config *config, const struct xfrmd_connection_config *c,
		     const char *what)
{
	char pointer[POINTER_MAX_CHARS];

	snprintf(pointer, sizeof(pointer), "/connections/%s", c->name);
	config_error(config, pointer, "%s", what);
}

static bool selectors_equal(const struct xfrmd_selector *a, const struct xfrmd_selector *b)
{
	return ip_prefix_covers(&a->local, &b->local) && ip_prefix_covers(&b->local, &a->local) &&
	       ip_prefix_covers(&a->remote, &b->remote) &&
	       ip_prefix_covers(&b->remote, &a->remote) && a->protocol == b->protocol &&
	       a->local_port == b->local_port && a->remote_port == b->remote_port;
}

/* The kernel has one policy for them, which cannot be both. */
static bool clears_what_is_protected(const struct xfrmd_connection_config *clears,
				     const struct xfrmd_connection_config *protects)
{
	for (size_t i = 0; i < clears->clear_count; i++)
		for (size_t k = 0; k < protects->selector_count; k++)
			if (selectors_equal(&clears->clear[i], &protects->selectors[k]))
				return true;
	return false;
}

/* Between two connections, and between one and the site. */
static void check_connections(struct config *config, const struct xfrmd_config *c)
{
	for (size_t i = 0; i < c->connection_count; i++) {
		const struct xfrmd_connection_config *one = &c->connections[i];

		if (c->site && str_equal(one->peer, c->site))
			complain(config, one, "peer: this is our own site");
		for (size_t k = 0; k < i; k++)
			if (c->connections[k].reqid == one->reqid)
				complain(config, one, "its name has another's number; rename it");
		for (size_t k = 0; k < c->connection_count; k++)
			if (clears_what_is_protected(one, &c->connections[k]))
				complain(config, one, "clear: has a selector that protects");
	}
}

int xfrmd_config_new(const char *file, char *const *arguments, FILE *errors,
		     struct xfrmd_config **ret)
{
	_cleanup_(xfrmd_config_freep) struct xfrmd_config *c = calloc(1, sizeof(*c));
	_cleanup_(config_freep) struct config *config = NULL;
	int r;

	if (!c)
		return -ENOMEM;
	c->port = XFRMD_DEFAULT_PORT;
	c->log_level = LOG_INFO;
	r = config_new(file, arguments, &config);
	if (r < 0)
		return r;
	r = config_read(config, settings, ELEMENTSOF(settings), c);
	if (r < 0 && r != -EINVAL)
		return r;
	check_connections(config, c);
	config_print_errors(config, errors);
	if (config_error_count(config) > 0)
		return -EINVAL;
	*ret = TAKE_PTR(c);
	return 0;
}

void xfrmd_config_print_help(FILE *stream)
{
	config_print_help(settings, ELEMENTSOF(settings), stream);
}
