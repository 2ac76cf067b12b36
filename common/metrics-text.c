/* SPDX-License-Identifier: MIT */

/*
 * One family after another, each with all of its samples together, as the format demands. What
 * cannot be written is refused rather than bent: names and units are the daemons' own.
 */

#include "common/metrics-text.h"

#include <math.h>

#define FAMILY_MAX_CHARS (2 * STATISTICS_NAME_MAX_CHARS)

struct family {
	char name[FAMILY_MAX_CHARS];
	const struct statistics_reading *readings;
	size_t count;
};

static bool is_word(const char *text)
{
	return statistics_name_is_valid(text) && !strchr(text, '.');
}

static bool can_be_written(const struct statistics_reading *reading)
{
	if (!statistics_name_is_valid(reading->name) ||
	    (*reading->unit && !is_word(reading->unit)) || strpbrk(reading->help, "\n\\\""))
		return false;
	for (size_t i = 0; i < reading->label_count; i++)
		if (!is_word(reading->labels[i].name))
			return false;
	return true;
}

static int compare_labels(const struct statistics_reading *a, const struct statistics_reading *b)
{
	int r = (a->label_count > b->label_count) - (a->label_count < b->label_count);

	for (size_t i = 0; r == 0 && i < a->label_count; i++) {
		r = strcmp(a->labels[i].name, b->labels[i].name);
		if (r == 0)
			r = strcmp(a->labels[i].value, b->labels[i].value);
	}
	return r;
}

static int compare_readings(const void *a_pointer, const void *b_pointer)
{
	const struct statistics_reading *a = a_pointer, *b = b_pointer;
	int r = strcmp(a->name, b->name);

	return r != 0 ? r : compare_labels(a, b);
}

static bool ends_in(const char *name, const char *unit)
{
	size_t n = strlen(name), u = strlen(unit);

	return n > u && name[n - u - 1] == '_' && str_equal(name + n - u, unit);
}

/* The unit comes last: qkd_link_latency_max_seconds. */
static int name_family(const struct statistics_reading *reading, const char *suffix,
		       char ret[static FAMILY_MAX_CHARS])
{
	char base[STATISTICS_NAME_MAX_CHARS + 1];
	bool has_unit;
	int n;

	n = snprintf(base, sizeof(base), "%s", reading->name);
	for (int i = 0; i < n; i++)
		if (base[i] == '.')
			base[i] = '_';
	has_unit = *reading->unit == '\0' || (*suffix == '\0' && ends_in(base, reading->unit));
	n = snprintf(ret, FAMILY_MAX_CHARS, METRICS_TEXT_PREFIX "_%s%s%s%s", base, suffix,
		     has_unit ? "" : "_", has_unit ? "" : reading->unit);
	return n < FAMILY_MAX_CHARS ? 0 : -EINVAL;
}

/* As short as it comes back the same. */
static void write_number(FILE *stream, double number)
{
	char text[32];

	if (isnan(number))
		snprintf(text, sizeof(text), "NaN");
	else if (isinf(number))
		snprintf(text, sizeof(text), "%sInf", number > 0 ? "+" : "-");
	else {
		snprintf(text, sizeof(text), "%.15g", number);
		if (strtod(text, NULL) != number)
			snprintf(text, sizeof(text), "%.17g", number);
	}
	fputs(text, stream);
}

static void write_label_value(FILE *stream, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', stream);
		if (*value == '\n')
			fputs("\\n", stream);
		else
			fputc(*value, stream);
	}
}

static void write_sample(FILE *stream, const struct family *family, const char *suffix,
			 const struct statistics_reading *reading, double number)
{
	fprintf(stream, "%s%s", family->name, suffix);
	for (size_t i = 0; i < reading->label_count; i++) {
		fprintf(stream, "%c%s=\"", i == 0 ? '{' : ',', reading->labels[i].name);
		write_label_value(stream, reading->labels[i].value);
		fputc('"', stream);
	}
	fputs(reading->label_count > 0 ? "} " : " ", stream);
	write_number(stream, number);
	fputc('\n', stream);
}

static void write_head(FILE *stream, const struct family *family, const char *type,
		       const char *which)
{
	const struct statistics_reading *first = family->readings;

	fprintf(stream, "# TYPE %s %s\n", family->name, type);
	if (*first->unit)
		fprintf(stream, "# UNIT %s %s\n", family->name, first->unit);
	fprintf(stream, "# HELP %s %s%s\n", family->name, which, first->help);
}

static void write_counter(FILE *stream, const struct family *family)
{
	write_head(stream, family, "counter", "");
	for (size_t i = 0; i < family->count; i++)
		write_sample(stream, family, "_total", &family->readings[i],
			     family->readings[i].total);
}

/* A member of the readings as a gauge; of those that have a value. */
static int write_gauge(FILE *stream, const struct family *of, const char *suffix, const char *which,
		       size_t member)
{
	struct family family = *of;
	int r = name_family(of->readings, suffix, family.name);

	if (r < 0)
		return r;
	write_head(stream, &family, "gauge", which);
	for (size_t i = 0; i < of->count; i++)
		if (of->readings[i].count > 0)
			write_sample(stream, &family, "", &of->readings[i],
				     *(const double *)((const char *)&of->readings[i] + member));
	return 0;
}

static int write_summary(FILE *stream, const struct family *family)
{
	int r;

	write_head(stream, family, "summary", "");
	for (size_t i = 0; i < family->count; i++) {
		const struct statistics_reading *reading = &family->readings[i];

		write_sample(stream, family, "_count", reading, (double)reading->count);
		write_sample(stream, family, "_sum", reading, reading->total);
	}
	r = write_gauge(stream, family, "_min",
			"smallest: ", offsetof(struct statistics_reading, min));
	if (r >= 0)
		r = write_gauge(stream, family, "_max",
				"largest: ", offsetof(struct statistics_reading, max));
	return r;
}

static int write_family(FILE *stream, const struct family *family)
{
	switch (family->readings->kind) {
	case STATISTICS_COUNTER:
		write_counter(stream, family);
		return 0;
	case STATISTICS_GAUGE:
		return write_gauge(stream, family, "", "",
				   offsetof(struct statistics_reading, last));
	case STATISTICS_SUMMARY:
		return write_summary(stream, family);
	case STATISTICS_KIND_COUNT_:
		break;
	}
	return -EINVAL;
}

/* How many of the sorted readings are of the first one's family. */
static int count_family(const struct statistics_reading *readings, size_t count, size_t *ret)
{
	size_t n = 1;

	for (; n < count && str_equal(readings[n].name, readings[0].name); n++) {
		if (readings[n].kind != readings[0].kind ||
		    !str_equal(readings[n].unit, readings[0].unit))
			return -EINVAL;
		if (compare_labels(&readings[n - 1], &readings[n]) == 0)
			return -EEXIST;
	}
	*ret = n;
	return 0;
}

static int write_all(FILE *stream, const struct statistics_reading *readings, size_t count)
{
	for (size_t i = 0, n = 0; i < count; i += n) {
		struct family family = {.readings = &readings[i]};
		int r = count_family(&readings[i], count - i, &n);

		if (r >= 0)
			r = name_family(&readings[i], "", family.name);
		family.count = n;
		if (r >= 0)
			r = write_family(stream, &family);
		if (r < 0)
			return r;
		if (ftell(stream) > (long)METRICS_TEXT_MAX_BYTES)
			return -E2BIG;
	}
	fputs("# EOF\n", stream);
	return 0;
}

int metrics_text_build(struct statistics_reading *readings, size_t count, char **ret,
		       size_t *ret_size_bytes)
{
	_cleanup_(freep) char *text = NULL;
	size_t size_bytes = 0;
	FILE *stream;
	int r;

	for (size_t i = 0; i < count; i++)
		if (!can_be_written(&readings[i]))
			return -EINVAL;
	if (count > 0)
		qsort(readings, count, sizeof(*readings), compare_readings);
	stream = open_memstream(&text, &size_bytes);
	if (!stream)
		return -ENOMEM;
	r = write_all(stream, readings, count);
	if (fclose(stream) != 0 && r >= 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(text);
	*ret_size_bytes = size_bytes;
	return 0;
}
