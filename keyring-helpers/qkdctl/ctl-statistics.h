/* SPDX-License-Identifier: MIT */
#pragma once

/* Statistics as JSON for programs, and as rows of a table for people. */

#include <jansson.h>

#include "common/statistics.h"
#include "ctl-table.h"

extern const struct ctl_column ctl_statistics_columns[];
extern const size_t ctl_statistics_column_count;

/* {"name", "kind", "unit", "labels": {}, "count", "last", "total", "min", "max", "average",
 * "rate"}; NULL without memory. */
json_t *ctl_statistics_object(const struct statistics_reading *reading);
/* The members of the columns, as text: of each kind what matters. */
json_t *ctl_statistics_row(const struct statistics_reading *reading);
/* name{label="value",...}, the same for the same statistic; free it. */
char *ctl_statistics_key(const struct statistics_reading *reading);
