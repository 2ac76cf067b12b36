/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which statistics a reader wants: a list of full names to include, or to exclude. The name of an
 * inner node of the tree stands for all that lies below it.
 */

#include "common/macros.h"

#define STATISTICS_FILTER_MAX_NAMES 256

struct statistics_filter;

/* names, NULL-terminated or NULL, come from anybody and are copied. An empty list selects
 * everything. -EINVAL for what is no name, -E2BIG. */
int statistics_filter_new(char *const *names, bool exclude, struct statistics_filter **ret);
struct statistics_filter *statistics_filter_free(struct statistics_filter *filter);
DEFINE_CLEANUP(struct statistics_filter *, statistics_filter_free);

/* filter NULL: everything is. */
bool statistics_filter_selects(const struct statistics_filter *filter, const char *name) _pure_;
