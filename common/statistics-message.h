/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Statistics in a D-Bus message, both ways: an array of (name, kind, unit, help, labels, count,
 * last, total, min, max, average, rate), see org.qkd.Statistics1(5).
 */

#include <systemd/sd-bus.h>

#include "common/statistics.h"

#define STATISTICS_MESSAGE_ENTRY     "ssssa{ss}tdddddd"
#define STATISTICS_MESSAGE_SIGNATURE "a(" STATISTICS_MESSAGE_ENTRY ")"
#define STATISTICS_LIST_MAX          65536

int statistics_message_append(sd_bus_message *message, struct statistics *set,
			      const struct statistics_filter *filter, uint64_t now_usec);

/* What came from one daemon or several. */
struct statistics_list {
	struct statistics_reading *readings; /* may be sorted */
	size_t count;

	/* Of reading i as it came, STATISTICS_MAX_LABELS from i * STATISTICS_MAX_LABELS on. */
	struct statistics_label *labels;
	sd_bus_message **messages; /* which the strings lie in */
	size_t message_count;
};

/* Adds what the message holds, which has been read up to the array; or nothing, and -EBADMSG,
 * -E2BIG, -ENOMEM. Only while the list has not been sorted. */
int statistics_message_read(sd_bus_message *message, struct statistics_list *list);
void statistics_list_done(struct statistics_list *list);
