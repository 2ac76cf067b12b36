/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A strict reader of OpenMetrics 1.0 text, for tests: counters, gauges and summaries, and every
 * rule of the format about them. What it does not know it refuses.
 */

#include "common/macros.h"

#define OPENMETRICS_MAX_FAMILIES 512
#define OPENMETRICS_MAX_SAMPLES  65536
#define OPENMETRICS_MAX_CHARS    512 /* of a line's parts */

struct openmetrics;

/* NULL when the text is correct, else what is wrong with it (static). */
const char *openmetrics_parse(const char *text, size_t size_bytes, struct openmetrics **ret);
struct openmetrics *openmetrics_free(struct openmetrics *metrics);
DEFINE_CLEANUP(struct openmetrics *, openmetrics_free);

/* sample as it stands in the text, labels included: "qkd_keys_total{link=\"x\"}". */
bool openmetrics_find(const struct openmetrics *metrics, const char *sample, double *ret);
size_t openmetrics_family_count(const struct openmetrics *metrics);
const char *openmetrics_family(const struct openmetrics *metrics, size_t i);
