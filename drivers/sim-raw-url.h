/* SPDX-License-Identifier: MIT */
#pragma once

/* The parameters of the simulator's raw mode. */

#include "drivers/device-url.h"
#include "drivers/sim-optics.h"

extern const char *const sim_raw_parameters[]; /* NULL-terminated */

struct sim_raw_settings {
	struct sim_optics_parameters optics;
	double pace; /* simulated seconds a second, at most */
	bool has_seed;
};

/* -EINVAL with a sentence in ret_what (free() it). */
int sim_raw_url_read(const struct device_url *url, struct sim_raw_settings *ret, char **ret_what);
