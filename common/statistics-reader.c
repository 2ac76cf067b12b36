/* SPDX-License-Identifier: MIT */
/* When a reader is told: pure, so that a test plays hours in a moment. */

#include "common/statistics-reader.h"

void statistics_reader_init(struct statistics_reader *reader, struct statistics_filter *filter,
			    uint64_t interval_usec)
{
	*reader = (struct statistics_reader){
		.filter = filter,
		.interval_usec = MIN(MAX(interval_usec, STATISTICS_READER_MIN_USEC),
				     STATISTICS_READER_MAX_USEC),
	};
}

void statistics_reader_done(struct statistics_reader *reader)
{
	reader->filter = statistics_filter_free(reader->filter);
}

enum statistics_due statistics_reader_check(struct statistics_reader *reader,
					    const struct statistics *set, uint64_t now_usec,
					    uint64_t *ret_usec)
{
	uint64_t count;

	if (now_usec < reader->next_usec) {
		*ret_usec = reader->next_usec;
		return STATISTICS_DUE_LATER;
	}
	statistics_collect(set);
	count = statistics_update_count(set, reader->filter);
	if (reader->was_told && count == reader->seen)
		return STATISTICS_DUE_NOT;
	reader->was_told = true;
	reader->seen = count;
	reader->next_usec = now_usec + reader->interval_usec;
	return STATISTICS_DUE_NOW;
}
