/* SPDX-License-Identifier: MIT */

/*
 * Written after the standard's section "Text format", without a look at the writer: a family's
 * metadata stand before its samples, families do not come back, and every sample is one of its
 * type's.
 */

#include "openmetrics.h"

#include <ctype.h>
#include <math.h>

struct family {
	char name[OPENMETRICS_MAX_CHARS];
	char type[16];
	bool has_type, has_unit, has_help, has_samples;
};

struct sample {
	char *text; /* name and labels */
	double value;
};

struct openmetrics {
	struct family families[OPENMETRICS_MAX_FAMILIES];
	size_t family_count;
	struct sample samples[OPENMETRICS_MAX_SAMPLES];
	size_t sample_count;
};

struct openmetrics *openmetrics_free(struct openmetrics *metrics)
{
	if (!metrics)
		return NULL;
	for (size_t i = 0; i < metrics->sample_count; i++)
		free(metrics->samples[i].text);
	free(metrics);
	return NULL;
}

/* Takes characters of a name; "" when there is none. */
static const char *take_name(const char **at, bool colons, char ret[static OPENMETRICS_MAX_CHARS])
{
	size_t n = 0;

	while (isalpha((unsigned char)(*at)[n]) || (*at)[n] == '_' || (colons && (*at)[n] == ':') ||
	       (n > 0 && isdigit((unsigned char)(*at)[n])))
		n++;
	if (n >= OPENMETRICS_MAX_CHARS)
		n = 0;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n;
	return ret;
}

static struct family *current(struct openmetrics *m)
{
	return m->family_count > 0 ? &m->families[m->family_count - 1] : NULL;
}

/* The family that a line of metadata speaks of: the current one, or a new one. */
static const char *open_family(struct openmetrics *m, const char *name, struct family **ret)
{
	for (size_t i = 0; i < m->family_count; i++) {
		if (!str_equal(m->families[i].name, name))
			continue;
		*ret = &m->families[i];
		return *ret == current(m) ? NULL : "a family comes back";
	}
	if (m->family_count == OPENMETRICS_MAX_FAMILIES)
		return "too many families";
	*ret = &m->families[m->family_count++];
	strcpy((*ret)->name, name);
	return NULL;
}

static const char *parse_type(struct family *family, const char *rest)
{
	if (family->has_type)
		return "a second TYPE";
	if (!str_equal(rest, "counter") && !str_equal(rest, "gauge") && !str_equal(rest, "summary"))
		return "a type that we do not use";
	family->has_type = true;
	strcpy(family->type, rest);
	return NULL;
}

static const char *parse_unit(struct family *family, const char *rest)
{
	size_t n = strlen(family->name), u = strlen(rest);

	if (family->has_unit)
		return "a second UNIT";
	family->has_unit = true;
	if (u == 0 || n <= u + 1 || family->name[n - u - 1] != '_' ||
	    !str_equal(family->name + n - u, rest))
		return "the family's name does not end in its unit";
	return NULL;
}

static const char *parse_help(struct family *family, const char *rest)
{
	if (family->has_help)
		return "a second HELP";
	family->has_help = true;
	for (; *rest; rest++) {
		if (*rest == '"')
			return "a bare quotation mark in HELP";
		if (*rest == '\\' && !strchr("\\n\"", *++rest))
			return "a bad escape in HELP";
	}
	return NULL;
}

static const char *parse_metadata(struct openmetrics *m, const char *line)
{
	static const struct {
		const char *word;
		const char *(*parse)(struct family *family, const char *rest);
	} words[] = {{"TYPE ", parse_type}, {"UNIT ", parse_unit}, {"HELP ", parse_help}};
	char name[OPENMETRICS_MAX_CHARS];
	struct family *family = NULL;
	const char *wrong;

	for (size_t i = 0; i < ELEMENTSOF(words); i++) {
		if (strncmp(line, words[i].word, strlen(words[i].word)) != 0)
			continue;
		line += strlen(words[i].word);
		if (*take_name(&line, true, name) == '\0' || *line++ != ' ')
			return "metadata without a name, or nothing after it";
		wrong = open_family(m, name, &family);
		if (!wrong && family->has_samples)
			wrong = "metadata after samples";
		return wrong ? wrong : words[i].parse(family, line);
	}
	return "metadata of no known word";
}

static const char *parse_label_value(const char **at)
{
	if (*(*at)++ != '"')
		return "a label's value without quotation marks";
	for (; **at != '"'; (*at)++) {
		if (**at == '\0')
			return "a label's value without end";
		if (**at == '\\' && !strchr("\\n\"", *++*at))
			return "a bad escape in a label's value";
	}
	(*at)++;
	return NULL;
}

static const char *parse_labels(const char **at)
{
	char names[16][OPENMETRICS_MAX_CHARS];
	const char *wrong;
	size_t n = 0;

	do {
		(*at)++; /* the brace, or a comma */
		if (n == ELEMENTSOF(names))
			return "too many labels";
		take_name(at, false, names[n]);
		if (names[n][0] == '\0' || strncmp(names[n], "__", 2) == 0 || *(*at)++ != '=')
			return "a label without a proper name";
		for (size_t i = 0; i < n; i++)
			if (str_equal(names[i], names[n]))
				return "a label twice";
		wrong = parse_label_value(at);
		if (wrong)
			return wrong;
		n++;
	} while (**at == ',');
	return *(*at)++ == '}' ? NULL : "labels that do not end";
}

/* What follows the family's name in the sample's; NULL when it is not of this family. */
static const char *suffix_of(const struct family *family, const char *sample)
{
	size_t n = strlen(family->name);

	return strncmp(family->name, sample, n) == 0 ? sample + n : NULL;
}

static const char *check_value(const struct family *family, const char *suffix, double value)
{
	if (str_equal(family->type, "gauge"))
		return *suffix == '\0' ? NULL : "no sample of a gauge";
	if (str_equal(family->type, "counter")) {
		if (!str_equal(suffix, "_total"))
			return "no sample of a counter";
		return value >= 0 ? NULL : "a counter below zero";
	}
	if (str_equal(suffix, "_count"))
		return value >= 0 && floor(value) == value ? NULL : "a count that is no number";
	if (str_equal(suffix, "_sum"))
		return value >= 0 ? NULL : "a sum below zero";
	return "no sample of a summary";
}

static const char *parse_value(const char *text, double *ret)
{
	char *end;

	if (strspn(text, "0123456789+-.eEInfNa") != strlen(text) || *text == '\0')
		return "a value that is no number, or something after it";
	*ret = strtod(text, &end);
	return *end == '\0' ? NULL : "a value that is no number";
}

static const char *keep(struct openmetrics *m, const char *text, size_t length, double value)
{
	struct sample *sample = &m->samples[m->sample_count];

	if (m->sample_count == OPENMETRICS_MAX_SAMPLES)
		return "too many samples";
	sample->text = strndup(text, length);
	sample->value = value;
	for (size_t i = 0; i < m->sample_count; i++)
		if (str_equal(m->samples[i].text, sample->text)) {
			free(sample->text);
			return "a sample twice";
		}
	m->sample_count++;
	return NULL;
}

static const char *parse_sample(struct openmetrics *m, const char *line)
{
	struct family *family = current(m);
	const char *at = line, *wrong = NULL, *suffix;
	char name[OPENMETRICS_MAX_CHARS];
	double value = 0;
	size_t length;

	take_name(&at, true, name);
	suffix = family ? suffix_of(family, name) : NULL;
	if (!suffix || !family->has_type)
		return "a sample of no family that has a type";
	if (*at == '{')
		wrong = parse_labels(&at);
	length = (size_t)(at - line);
	if (!wrong && *at++ != ' ')
		wrong = "no value";
	if (!wrong)
		wrong = parse_value(at, &value);
	if (!wrong)
		wrong = check_value(family, suffix, value);
	if (wrong)
		return wrong;
	family->has_samples = true;
	return keep(m, line, length, value);
}

/* Two families whose samples could be taken for each other's. */
static const char *check_clashes(const struct openmetrics *m)
{
	static const char *const suffixes[] = {"_total", "_created", "_count",
					       "_sum",   "_bucket",  "_info"};

	for (size_t i = 0; i < m->family_count; i++)
		for (size_t j = 0; j < m->family_count; j++) {
			const char *suffix = suffix_of(&m->families[i], m->families[j].name);

			for (size_t s = 0; i != j && suffix && s < ELEMENTSOF(suffixes); s++)
				if (str_equal(suffix, suffixes[s]))
					return "two families whose samples clash";
		}
	return NULL;
}

static const char *parse_lines(struct openmetrics *m, char *text)
{
	const char *wrong = NULL;
	char *line, *rest = text;

	while (!wrong && (line = strsep(&rest, "\n"))) {
		if (!rest)
			return "the last line has no end";
		if (str_equal(line, "# EOF"))
			return *rest == '\0' ? check_clashes(m) : "something after # EOF";
		if (strncmp(line, "# ", 2) == 0)
			wrong = parse_metadata(m, line + 2);
		else
			wrong = parse_sample(m, line);
		if (wrong)
			fprintf(stderr, "%s: %s\n", wrong, line);
	}
	return wrong ? wrong : "no # EOF";
}

const char *openmetrics_parse(const char *text, size_t size_bytes, struct openmetrics **ret)
{
	_cleanup_(openmetrics_freep) struct openmetrics *m = calloc(1, sizeof(*m));
	_cleanup_(freep) char *copy = strndup(text, size_bytes);
	const char *wrong;

	if (!m || !copy)
		return "out of memory";
	if (strlen(copy) != size_bytes)
		return "a NUL in it";
	wrong = parse_lines(m, copy);
	if (wrong)
		return wrong;
	*ret = TAKE_PTR(m);
	return NULL;
}

bool openmetrics_find(const struct openmetrics *metrics, const char *sample, double *ret)
{
	for (size_t i = 0; i < metrics->sample_count; i++) {
		if (!str_equal(metrics->samples[i].text, sample))
			continue;
		*ret = metrics->samples[i].value;
		return true;
	}
	return false;
}

size_t openmetrics_family_count(const struct openmetrics *metrics)
{
	return metrics->family_count;
}

const char *openmetrics_family(const struct openmetrics *metrics, size_t i)
{
	return metrics->families[i].name;
}
