/* SPDX-License-Identifier: MIT */
/* Prints tables. Text comes from daemons: whatever could move a terminal's cursor is replaced. */

#include "ctl-table.h"

#include <ctype.h>
#include <inttypes.h>

#include "common/macros.h"

#define CELL_MAX_CHARS 96

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

static void print_cell(const char *text, size_t width, bool last, FILE *stream)
{
	if (last)
		fprintf(stream, "%s\n", text);
	else
		fprintf(stream, "%-*s  ", (int)width, text);
}

void ctl_table_print(const json_t *objects, const struct ctl_column *columns, size_t count,
		     FILE *stream)
{
	size_t widths[CTL_TABLE_MAX_COLUMNS], i;
	char cell[CELL_MAX_CHARS];
	json_t *object;

	count = MIN(count, (size_t)CTL_TABLE_MAX_COLUMNS);
	for (size_t c = 0; c < count; c++) {
		widths[c] = width_of(objects, &columns[c]);
		print_cell(columns[c].title, widths[c], c == count - 1, stream);
	}
	json_array_foreach (objects, i, object)
		for (size_t c = 0; c < count; c++) {
			format_cell(json_object_get(object, columns[c].member), cell);
			print_cell(cell, widths[c], c == count - 1, stream);
		}
}
