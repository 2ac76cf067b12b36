/* SPDX-License-Identifier: MIT */
/* A reader is told what is new, not too often, and never of nothing. */

#include <criterion/criterion.h>

#include "common/statistics-reader.h"

enum { KEYS, LEVEL, COUNT };

static const struct statistics_definition definitions[COUNT] = {
	[KEYS] = {"link.keys", STATISTICS_COUNTER, STATISTICS_INTEGER, "keys", "keys"},
	[LEVEL] = {"store.level", STATISTICS_GAUGE, STATISTICS_INTEGER, "keys", "level"},
};

static uint64_t level;

static void collect(void *userdata)
{
	struct statistic *values = userdata;

	statistics_set(&values[LEVEL], level);
}

struct fixture {
	struct statistics set;
	struct statistics_group group;
	struct statistic values[COUNT];
	struct statistics_reader reader;
};

static void set_up(struct fixture *f, const char *name, uint64_t interval_usec)
{
	char *names[] = {(char *)name, NULL};
	struct statistics_filter *filter = NULL;

	*f = (struct fixture){
		.group = {.definitions = definitions,
			  .values = f->values,
			  .count = COUNT,
			  .collect = collect,
			  .userdata = f->values},
	};
	statistics_init(&f->set, 0);
	statistics_add_group(&f->set, &f->group);
	cr_assert_eq(statistics_filter_new(names, false, &filter), 0);
	statistics_reader_init(&f->reader, filter, interval_usec);
}

static enum statistics_due check(struct fixture *f, uint64_t now_usec)
{
	uint64_t when = 0;
	enum statistics_due due = statistics_reader_check(&f->reader, &f->set, now_usec, &when);

	if (due == STATISTICS_DUE_LATER)
		cr_assert_gt(when, now_usec);
	return due;
}

Test(statistics_reader, the_first_time_is_at_once_even_when_nothing_has_happened)
{
	struct fixture f;

	set_up(&f, "link", USEC_PER_SEC);
	cr_assert_eq(check(&f, 5), STATISTICS_DUE_NOW);
	cr_assert_eq(check(&f, 6), STATISTICS_DUE_LATER);
	cr_assert_eq(check(&f, 5 + USEC_PER_SEC), STATISTICS_DUE_NOT);
	cr_assert_eq(check(&f, 5 + 100 * USEC_PER_SEC), STATISTICS_DUE_NOT);
	statistics_reader_done(&f.reader);
}

Test(statistics_reader, what_is_new_is_told_at_the_maximum_rate)
{
	struct fixture f;
	unsigned told = 0;

	set_up(&f, "link", 10 * USEC_PER_SEC);
	for (uint64_t now = 0; now < 100 * USEC_PER_SEC; now += 100 * USEC_PER_MSEC) {
		statistics_update(&f.values[KEYS], 1);
		told += check(&f, now) == STATISTICS_DUE_NOW;
	}
	cr_assert_eq(told, 10, "%u", told);
	statistics_reader_done(&f.reader);
}

Test(statistics_reader, what_the_filter_leaves_out_is_not_news)
{
	struct fixture f;

	set_up(&f, "store", USEC_PER_SEC);
	level = 3;
	cr_assert_eq(check(&f, 0), STATISTICS_DUE_NOW);
	statistics_update(&f.values[KEYS], 1);
	cr_assert_eq(check(&f, 2 * USEC_PER_SEC), STATISTICS_DUE_NOT);
	statistics_reader_done(&f.reader);
}

Test(statistics_reader, a_level_that_nobody_reports_is_noticed)
{
	struct fixture f;

	set_up(&f, "store.level", USEC_PER_SEC);
	level = 3;
	cr_assert_eq(check(&f, 0), STATISTICS_DUE_NOW);
	cr_assert_eq(check(&f, 2 * USEC_PER_SEC), STATISTICS_DUE_NOT);
	level = 4;
	cr_assert_eq(check(&f, 2 * USEC_PER_SEC), STATISTICS_DUE_NOW);
	statistics_reader_done(&f.reader);
}

Test(statistics_reader, a_wish_for_too_much_or_for_hardly_anything_is_brought_within_limits)
{
	struct fixture f;

	set_up(&f, "link", 0);
	cr_assert_eq(f.reader.interval_usec, STATISTICS_READER_MIN_USEC);
	statistics_reader_done(&f.reader);
	set_up(&f, "link", UINT64_MAX);
	cr_assert_eq(f.reader.interval_usec, STATISTICS_READER_MAX_USEC);
	statistics_reader_done(&f.reader);
}
