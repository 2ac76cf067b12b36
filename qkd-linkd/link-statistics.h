/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The statistics of one link, its device, its sync and its distillation as one set, and that on
 * D-Bus; see qkd-statistics(7).
 */

#include "common/name.h"
#include "common/statistics-bus.h"

enum link_statistic {
	LINK_STATISTIC_CONNECTED,
	LINK_STATISTIC_CONNECTIONS,
	LINK_STATISTIC_OPEN,
	LINK_STATISTIC_STOCK,
	LINK_STATISTIC_POOL,
	LINK_STATISTIC_DEPOSITED,
	LINK_STATISTIC_FLUSH,
	LINK_STATISTIC_COUNT_,
};
extern const struct statistics_definition link_statistics_definitions[LINK_STATISTIC_COUNT_];

struct link;

struct link_statistics {
	char site_name[NAME_MAX_CHARS + 1], link_name[NAME_MAX_CHARS + 1],
		peer_name[NAME_MAX_CHARS + 1];
	struct statistic values[LINK_STATISTIC_COUNT_];
	struct statistics set;
	struct statistics_group link, device, sync, distill;
	struct statistics_bus *bus;
};

/* When all parts of the link but its bus are there. */
int link_statistics_open(struct link *link);
void link_statistics_close(struct link *link);
