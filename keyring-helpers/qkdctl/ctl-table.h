/* SPDX-License-Identifier: MIT */
#pragma once

/* JSON objects as a table for people: a column for each of the members that are wanted. */

#include <jansson.h>
#include <stdio.h>

#include "ctl-terminal.h"

#define CTL_TABLE_MAX_COLUMNS 12

struct ctl_column {
	const char *title;
	const char *member; /* of each object */
	enum ctl_colour (*colour)(const json_t *object);
};

/* Columns as wide as they need; "-" for what an object does not have. */
void ctl_table_print(const json_t *objects, const struct ctl_column *columns, size_t count,
		     FILE *stream);
/* The same, but not wider than the terminal: the widest columns are shortened, "~" shows where. */
void ctl_table_print_fitted(const json_t *objects, const struct ctl_column *columns, size_t count,
			    const struct ctl_terminal *terminal, FILE *stream);
