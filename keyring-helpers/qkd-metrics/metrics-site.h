/* SPDX-License-Identifier: MIT */
#pragma once

/* The statistics of every daemon of this site as one OpenMetrics text. */

#include <systemd/sd-bus.h>

#include "common/statistics.h"

#define METRICS_SITE_USEC (3 * USEC_PER_SEC) /* for a daemon to answer */

enum {
	METRICS_SITE_ANSWERED,
	METRICS_SITE_SILENT,
	METRICS_SITE_COUNT_,
};
extern const struct statistics_definition metrics_site_definitions[METRICS_SITE_COUNT_];

/* Free *ret. trouble: a sentence about a daemon that did not answer, or "". */
int metrics_site_build(sd_bus *bus, char **ret, size_t *ret_size_bytes,
		       char ret_trouble[static 160]);
