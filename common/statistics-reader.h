/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A reader that is told again and again: what it wants, how often at most, and when it is due. It
 * is due only when something that it wants has changed, so an idle daemon stays asleep.
 */

#include "common/statistics-filter.h"
#include "common/statistics.h"

#define STATISTICS_READER_MIN_USEC (100 * USEC_PER_MSEC)
#define STATISTICS_READER_MAX_USEC (3600 * USEC_PER_SEC)

enum statistics_due {
	STATISTICS_DUE_NOT,   /* nothing new: look again when something has happened */
	STATISTICS_DUE_LATER, /* too soon to tell anything: look again at *ret_usec */
	STATISTICS_DUE_NOW,
};

struct statistics_reader {
	struct statistics_filter *filter;
	uint64_t interval_usec;
	uint64_t next_usec; /* not before */
	uint64_t seen;      /* updates that it has been told of */
	bool was_told;
};

/* Takes the filter. The interval is brought within the limits. */
void statistics_reader_init(struct statistics_reader *reader, struct statistics_filter *filter,
			    uint64_t interval_usec);
void statistics_reader_done(struct statistics_reader *reader);

/* After DUE_NOW the caller tells, and the next interval has begun. The first time is now. */
enum statistics_due statistics_reader_check(struct statistics_reader *reader,
					    const struct statistics *set, uint64_t now_usec,
					    uint64_t *ret_usec);
