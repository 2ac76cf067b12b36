/* SPDX-License-Identifier: MIT */
/* Bars of eighths of a line's height, as block characters are. */

#include "ctl-spark.h"

#include <math.h>

#define FIRST_SERIES 16

void ctl_history_begin(struct ctl_history *history)
{
	size_t kept = 0;

	for (size_t i = 0; i < history->count; i++) {
		if (!history->series[i].is_seen)
			continue;
		if (kept != i)
			history->series[kept] = history->series[i];
		history->series[kept++].is_seen = false;
	}
	history->count = kept;
}

static struct ctl_series *find(struct ctl_history *history, const char *name)
{
	for (size_t i = 0; i < history->count; i++)
		if (str_equal(history->series[i].name, name))
			return &history->series[i];
	return NULL;
}

static struct ctl_series *add_series(struct ctl_history *history, const char *name)
{
	struct ctl_series *series = history->series;

	if (history->count == history->allocated) {
		size_t more = MAX(2 * history->allocated, (size_t)FIRST_SERIES);

		series = reallocarray(history->series, more, sizeof(*series));
		if (!series)
			return NULL;
		history->series = series;
		history->allocated = more;
	}
	series = &history->series[history->count++];
	*series = (struct ctl_series){0};
	snprintf(series->name, sizeof(series->name), "%s", name);
	return series;
}

const struct ctl_series *ctl_history_add(struct ctl_history *history, const char *name,
					 double value)
{
	struct ctl_series *series = find(history, name);

	if (!series)
		series = add_series(history, name);
	if (!series)
		return NULL;
	if (series->count == CTL_SPARK_SAMPLES) {
		memmove(series->samples, series->samples + 1,
			sizeof(series->samples) - sizeof(series->samples[0]));
		series->count--;
	}
	series->samples[series->count++] = isfinite(value) && value > 0 ? value : 0;
	series->is_seen = true;
	return series;
}

void ctl_history_done(struct ctl_history *history)
{
	free(history->series);
	*history = (struct ctl_history){0};
}

/* Nothing is an empty place, and what is not nothing is never one. */
static unsigned height(double value, double top, unsigned levels)
{
	unsigned level = (unsigned)ceil(value / top * levels);

	return MIN(level, levels);
}

void ctl_spark_print(const struct ctl_series *series, unsigned width, double least_top, bool utf8,
		     FILE *stream)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const marks[] = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};
	unsigned shown = series ? MIN(series->count, width) : 0;
	double top = least_top;

	fprintf(stream, "%*s", (int)(width - shown), "");
	for (unsigned i = 0; i < shown; i++)
		top = MAX(top, series->samples[series->count - shown + i]);
	for (unsigned i = 0; i < shown; i++) {
		unsigned level = height(series->samples[series->count - shown + i], top,
					ELEMENTSOF(blocks) - 1);

		fputs(utf8 ? blocks[level] : marks[level], stream);
	}
}
