/* SPDX-License-Identifier: MIT */
/* Numbers are shown as short as they say something; JSON has them whole. */

#include "ctl-statistics.h"

#include <math.h>

#define EXACT_REAL 9007199254740992.0 /* 2^53 */

const struct ctl_column ctl_statistics_columns[] = {
	{"NAME", "name"},   {"LABELS", "labels"}, {"VALUE", "value"}, {"UNIT", "unit"},
	{"RATE/S", "rate"}, {"MIN", "min"},       {"MAX", "max"},
};
const size_t ctl_statistics_column_count = ELEMENTSOF(ctl_statistics_columns);

static json_t *number(double value)
{
	if (floor(value) == value && fabs(value) <= EXACT_REAL)
		return json_integer((json_int_t)value);
	return json_real(value); /* NULL for what is no number */
}

static json_t *label_object(const struct statistics_reading *reading)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < reading->label_count; i++)
		json_object_set_new(labels, reading->labels[i].name,
				    json_string(reading->labels[i].value));
	return labels;
}

json_t *ctl_statistics_object(const struct statistics_reading *reading)
{
	return json_pack("{s:s,s:s,s:s,s:o,s:I,s:o*,s:o*,s:o*,s:o*,s:o*,s:o*}", "name",
			 reading->name, "kind", statistics_kind_name(reading->kind), "unit",
			 reading->unit, "labels", label_object(reading), "count",
			 (json_int_t)reading->count, "last", number(reading->last), "total",
			 number(reading->total), "min", number(reading->min), "max",
			 number(reading->max), "average", number(reading->average), "rate",
			 number(reading->rate));
}

static json_t *figure(double value)
{
	char text[32];

	if (floor(value) == value && fabs(value) < 1e15)
		snprintf(text, sizeof(text), "%.0f", value);
	else
		snprintf(text, sizeof(text), "%.4g", value);
	return json_string(text);
}

/* link=alice-bob,peer=bob: the site is that of all of them. */
static json_t *label_text(const struct statistics_reading *reading)
{
	char text[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < reading->label_count && n < sizeof(text); i++)
		if (!str_equal(reading->labels[i].name, "site"))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%s",
					      n > 0 ? "," : "", reading->labels[i].name,
					      reading->labels[i].value);
	return json_string(text);
}

static double value_of(const struct statistics_reading *reading)
{
	switch (reading->kind) {
	case STATISTICS_COUNTER:
		return reading->total;
	case STATISTICS_GAUGE:
		return reading->last;
	case STATISTICS_SUMMARY:
	case STATISTICS_KIND_COUNT_:
		break;
	}
	return reading->average;
}

json_t *ctl_statistics_row(const struct statistics_reading *reading)
{
	json_t *row = json_pack("{s:s,s:s,s:o}", "name", reading->name, "unit", reading->unit,
				"labels", label_text(reading));
	bool is_known = reading->count > 0 || reading->kind == STATISTICS_COUNTER;

	if (!row || !is_known)
		return row;
	json_object_set_new(row, "value", figure(value_of(reading)));
	if (reading->kind != STATISTICS_GAUGE)
		json_object_set_new(row, "rate", figure(reading->rate));
	if (reading->kind != STATISTICS_COUNTER) {
		json_object_set_new(row, "min", figure(reading->min));
		json_object_set_new(row, "max", figure(reading->max));
	}
	return row;
}

char *ctl_statistics_key(const struct statistics_reading *reading)
{
	char *key = NULL;
	size_t size;
	FILE *stream = open_memstream(&key, &size);

	if (!stream)
		return NULL;
	fprintf(stream, "%s{", reading->name);
	for (size_t i = 0; i < reading->label_count; i++)
		fprintf(stream, "%s%s=\"%s\"", i > 0 ? "," : "", reading->labels[i].name,
			reading->labels[i].value);
	fputc('}', stream);
	if (fclose(stream) != 0) {
		free(key);
		return NULL;
	}
	return key;
}
