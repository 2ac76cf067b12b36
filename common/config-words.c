// SPDX-License-Identifier: MIT
/*
 * Words for people: the known name nearest to an unknown one, the check of a nested object's
 * members that names it, and the settings as --help shows them.
 */

#include <inttypes.h>

#include "common/config-internal.h"

#define NEAREST_MAX_CHARS 64
#define HELP_COLUMN       34

/* Edit distance with transpositions (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NEAREST_MAX_CHARS + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	size_t a_length = strlen(a), b_length = strlen(b);

	for (size_t j = 0; j <= b_length; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *oldest = before;

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			row[j] = MIN(MIN(last[j], row[j - 1]) + 1,
				     last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = oldest;
	}
	return last[b_length];
}

const char *config_nearest(const char *word, const char *const *known)
{
	const char *nearest = NULL;
	size_t length = strlen(word), best = length / 3 + 2; /* farther is not near */

	for (; *known && length <= NEAREST_MAX_CHARS; known++) {
		size_t d;

		if (strlen(*known) > NEAREST_MAX_CHARS)
			continue;
		d = distance(word, *known);
		if (d < best && d < strlen(*known)) {
			best = d;
			nearest = *known;
		}
	}
	return nearest;
}

void config_check_members(struct config *config, const char *pointer, json_t *object,
			  const char *const *known)
{
	const char *member;
	json_t *value;

	json_object_foreach (object, member, value) {
		char at[CONFIG_POINTER_MAX_CHARS];
		const char *nearest = config_nearest(member, known);
		size_t i = 0;

		while (known[i] && !str_equal(known[i], member))
			i++;
		if (known[i])
			continue;
		snprintf(at, sizeof(at), "%s", pointer);
		config_pointer_append(at, member);
		if (nearest)
			config_error(config, at, "no such member; \"%s\" is the nearest", nearest);
		else
			config_error(config, at, "no such member");
	}
}

static void print_bounds(const struct config_setting *setting, FILE *stream)
{
	if (setting->type == CONFIG_UINT && setting->max)
		fprintf(stream, " (%" PRIu64 " to %" PRIu64 ")", setting->min, setting->max);
	if (setting->type != CONFIG_CHOICE)
		return;
	for (size_t i = 0; setting->choices[i]; i++)
		fprintf(stream, "%s%s", i ? ", " : " (", setting->choices[i]);
	fputc(')', stream);
}

void config_print_help(const struct config_setting *settings, size_t count, FILE *stream)
{
	for (size_t i = 0; i < count; i++) {
		const struct config_setting *setting = &settings[i];
		int used =
			fprintf(stream, "  --%s=%s", setting->name, setting->argument ?: "VALUE");

		if (used < HELP_COLUMN)
			fprintf(stream, "%*s", HELP_COLUMN - used, "");
		else
			fprintf(stream, "\n%*s", HELP_COLUMN, "");
		fputs(setting->help ?: "", stream);
		print_bounds(setting, stream);
		fputs(setting->required ? "; required\n" : "\n", stream);
	}
}
