/* SPDX-License-Identifier: MIT */
/* Prints tables. Text comes from daemons: whatever could move a terminal's cursor is replaced. */

#include "ctl-table.h"

#include <ctype.h>
#include <inttypes.h>

#include "common/macros.h"

#define CELL_MAX_CHARS 96
#define GAP            2
#define NARROWEST      4 /* a column is not shortened below that */

static void format_cell(const json_t *value, char ret[static CELL_MAX_CHARS])
{
	if (json_is_string(value))
		snprintf(ret, CELL_MAX_CHARS, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(ret, CELL_MAX_CHARS, "%" PRIdMAX, (intmax_t)json_integer_value(value));
	else if (json_is_real(value))
		snprintf(ret, CELL_MAX_CHARS, "%.1f", json_real_value(value));
	else if (json_is_boolean(value))
		snprintf(ret, CELL_MAX_CHARS, "%s", json_is_true(value) ? "yes" : "no");
	else
		ret[0] = '\0';
	for (char *p = ret; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	if (!ret[0])
		snprintf(ret, CELL_MAX_CHARS, "-");
}

static size_t width_of(const json_t *objects, const struct ctl_column *column)
{
	char cell[CELL_MAX_CHARS];
	size_t width = strlen(column->title), i;
	json_t *object;

	json_array_foreach (objects, i, object) {
		format_cell(json_object_get(object, column->member), cell);
		width = MAX(width, strlen(cell));
	}
	return width;
}

static size_t sum_of(const size_t *widths, size_t count)
{
	size_t sum = (count - 1) * GAP;

	for (size_t c = 0; c < count; c++)
		sum += widths[c];
	return sum;
}

static void fit(size_t *widths, size_t count, size_t limit)
{
	while (sum_of(widths, count) > limit) {
		size_t widest = 0;

		for (size_t c = 1; c < count; c++)
			if (widths[c] > widths[widest])
				widest = c;
		if (widths[widest] <= NARROWEST)
			return;
		widths[widest]--;
	}
}

/* Nothing is filled up behind the last. */
static void print_cell(char *text, size_t width, bool last, FILE *stream)
{
	if (strlen(text) > width) {
		text[width - 1] = '~';
		text[width] = '\0';
	}
	if (last)
		fputs(text, stream);
	else
		fprintf(stream, "%-*s%*s", (int)width, text, GAP, "");
}

static void print_titles(const struct ctl_column *columns, const size_t *widths, size_t count,
			 FILE *stream)
{
	char cell[CELL_MAX_CHARS];

	for (size_t c = 0; c < count; c++) {
		snprintf(cell, sizeof(cell), "%s", columns[c].title);
		print_cell(cell, widths[c], c == count - 1, stream);
	}
	fputc('\n', stream);
}

static void print_row(const json_t *object, const struct ctl_column *columns, const size_t *widths,
		      size_t count, const struct ctl_terminal *terminal, FILE *stream)
{
	char cell[CELL_MAX_CHARS];

	for (size_t c = 0; c < count; c++) {
		enum ctl_colour colour = columns[c].colour ? columns[c].colour(object)
							   : CTL_COLOUR_NONE;

		format_cell(json_object_get(object, columns[c].member), cell);
		if (colour != CTL_COLOUR_NONE)
			fputs(ctl_terminal_colour(terminal, colour), stream);
		print_cell(cell, widths[c], c == count - 1, stream);
		if (colour != CTL_COLOUR_NONE)
			fputs(ctl_terminal_colour(terminal, CTL_COLOUR_NONE), stream);
	}
	fputc('\n', stream);
}

void ctl_table_print_fitted(const json_t *objects, const struct ctl_column *columns, size_t count,
			    const struct ctl_terminal *terminal, FILE *stream)
{
	size_t widths[CTL_TABLE_MAX_COLUMNS], i;
	json_t *object;

	count = MIN(count, (size_t)CTL_TABLE_MAX_COLUMNS);
	for (size_t c = 0; c < count; c++)
		widths[c] = width_of(objects, &columns[c]);
	if (terminal->width)
		fit(widths, count, terminal->width);
	print_titles(columns, widths, count, stream);
	json_array_foreach (objects, i, object)
		print_row(object, columns, widths, count, terminal, stream);
}

void ctl_table_print(const json_t *objects, const struct ctl_column *columns, size_t count,
		     FILE *stream)
{
	static const struct ctl_terminal anything = {0};

	ctl_table_print_fitted(objects, columns, count, &anything, stream);
}
