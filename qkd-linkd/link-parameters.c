/* SPDX-License-Identifier: MIT */

/*
 * What changes while the link runs: one setting set over D-Bus, or the configuration read again.
 * Both end in the same place, where the parts are told what is in force now.
 */

#include "qkd-linkd/link-private.h"

#include <systemd/sd-daemon.h>

#include "common/events.h"

/* Another cap is another count of what is there. */
static void change_cap(struct link *link)
{
	link->deposit = deposit_free(link->deposit);
	link_open_pool(link);
}

static void apply(struct link *link, const struct link_config *old)
{
	const struct link_config *config = link->config;

	log_set_max_level(config->log_level);
	sync_machine_reconfigure(
		link->machine,
		&(struct sync_changes){
			.hold_usec = config->hold_sec * USEC_PER_SEC,
			.store_limit = config->store_limit_keys,
			.keys_per_transaction = (unsigned)config->keys_per_transaction,
			.window = (unsigned)config->window,
		});
	if (config->deposit_cap != old->deposit_cap)
		change_cap(link);
	link_pump(link);
}

static int set(const char *name, const char *value, char **ret_what, void *userdata)
{
	struct link *link = userdata;
	const struct link_config old = *link->config;
	int r = link_config_change(link->config, name, value, ret_what);

	if (r < 0)
		return r;
	log_event(LOG_NOTICE, EVENT_PARAMETER_CHANGED, NULL, "%s is %s from now on", name, value);
	apply(link, &old);
	return 0;
}

void link_parameters_init(struct link *link)
{
	struct parameters *parameters = &link->parameters;

	parameters->settings = link_config_settings(&parameters->count);
	parameters->values = link->config;
	parameters->set = set;
	parameters->userdata = link;
}

const struct parameters *link_parameters(const struct link *link)
{
	return &link->parameters;
}

static int reload(struct link *link, char **ret_left)
{
	_cleanup_(link_config_freep) struct link_config *fresh = NULL;
	const struct link_config old = *link->config;
	int r = link_config_new(link->file, link->arguments, stderr, &fresh);

	if (r >= 0)
		r = link_peer_reload(link->peer, fresh);
	if (r >= 0)
		r = link_config_take_over(link->config, fresh, ret_left);
	if (r >= 0)
		apply(link, &old);
	return r;
}

void link_reload(struct link *link)
{
	_cleanup_(freep) char *left = NULL;
	int r;

	sd_notify(false, "RELOADING=1");
	r = reload(link, &left);
	if (r < 0)
		log_event(LOG_ERR, EVENT_CONFIG_INVALID, NULL,
			  "The configuration has errors; going on with the old one");
	else if (*left)
		log_event(LOG_WARNING, EVENT_RELOADED, NULL,
			  "Reloaded the configuration; these need a restart: %s", left);
	else
		log_event(LOG_INFO, EVENT_RELOADED, NULL, "Reloaded the configuration");
	sd_notify(false, "READY=1");
}
