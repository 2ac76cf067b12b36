/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Statistics as OpenMetrics text (OpenMetrics 1.0, section "Text format"), for Prometheus and
 * others. Pure.
 *
 * "link.keys" in "keys" becomes the metric family qkd_link_keys; a unit that the name does not end
 * in is appended. Counters give their total, gauges what is last, summaries count and sum, and the
 * extremes as gauges of their own, *_min and *_max. A gauge that was never set is left out.
 */

#include "common/statistics.h"

#define METRICS_TEXT_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_TEXT_MAX_BYTES    (8u << 20)
#define METRICS_TEXT_PREFIX       "qkd"

/* Sorts the readings. -EINVAL when one has a name, unit or label that cannot be written, -EEXIST
 * when two have the same name and labels, -E2BIG. Free *ret. */
int metrics_text_build(struct statistics_reading *readings, size_t count, char **ret,
		       size_t *ret_size_bytes);
