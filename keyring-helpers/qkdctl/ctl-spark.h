/* SPDX-License-Identifier: MIT */
#pragma once

/* A few numbers as a line of small bars, and the memory of how numbers have been. */

#include "common/macros.h"

#define CTL_SPARK_SAMPLES 128
#define CTL_SPARK_NAME    160

/* One series: the newest sample is the last one. */
struct ctl_series {
	char name[CTL_SPARK_NAME];
	double samples[CTL_SPARK_SAMPLES];
	unsigned count;
	bool is_seen; /* since ctl_history_begin() */
};

struct ctl_history {
	struct ctl_series *series;
	size_t count, allocated;
};

/* A round of samples; series that get none in it are forgotten at the next. */
void ctl_history_begin(struct ctl_history *history);
/* Adds a sample to the series of this name; NULL without memory. Borrowed until the next call. */
const struct ctl_series *ctl_history_add(struct ctl_history *history, const char *name,
					 double value);
void ctl_history_done(struct ctl_history *history);

/* The last width samples as bars, right-aligned, from 0 to the largest of them or least_top. Bytes
 * of UTF-8, or of ASCII. */
void ctl_spark_print(const struct ctl_series *series, unsigned width, double least_top, bool utf8,
		     FILE *stream);
