/* SPDX-License-Identifier: MIT */
#pragma once

/* JSON objects as a table for people: a column for each of the members that are wanted. */

#include <jansson.h>
#include <stdio.h>

#define CTL_TABLE_MAX_COLUMNS 12

struct ctl_column {
	const char *title;
	const char *member; /* of each object */
};

/* Columns as wide as they need; "-" for what an object does not have. */
void ctl_table_print(const json_t *objects, const struct ctl_column *columns, size_t count,
		     FILE *stream);
