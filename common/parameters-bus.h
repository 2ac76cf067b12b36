/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A daemon's settings on D-Bus, while it runs: SetParameter(s name, s value) and ListParameters()
 * -> a(ssb), the same in org.qkd.Keyring1 and org.qkd.Link1. What is set lasts until the daemon
 * ends or reads its configuration again.
 */

#include <systemd/sd-bus.h>

#include "common/config.h"

#define PARAMETERS_ERROR_UNKNOWN "org.qkd.Error.NoSuchParameter"
#define PARAMETERS_ERROR_FIXED   "org.qkd.Error.NeedsRestart"
#define PARAMETERS_ERROR_INVALID "org.qkd.Error.Invalid"

struct parameters {
	const struct config_setting *settings;
	size_t count;
	const void *values; /* in force; borrowed */
	/* As config_change(), and then makes it take effect. */
	int (*set)(const char *name, const char *value, char **ret_what, void *userdata);
	void *userdata;
};

/* The bodies of the two methods; results are for sd-bus. */
int parameters_bus_set(const struct parameters *parameters, sd_bus_message *message);
int parameters_bus_list(const struct parameters *parameters, sd_bus_message *message);
