/* SPDX-License-Identifier: MIT */
/* What is counted is told: totals, extremes, averages, rates, by name and label. */

#include <criterion/criterion.h>
#include <pthread.h>

#include "common/statistics-filter.h"
#include "common/statistics.h"

enum { KEYS, STOCK, LATENCY, QBER, COUNT };

static const struct statistics_definition definitions[COUNT] = {
	[KEYS] = {"link.keys", STATISTICS_COUNTER, STATISTICS_INTEGER, "keys", "keys agreed"},
	[STOCK] = {"link.stock", STATISTICS_GAUGE, STATISTICS_INTEGER, "keys", "lines there"},
	[LATENCY] = {"link.latency", STATISTICS_SUMMARY, STATISTICS_TIME, "seconds", "how long"},
	[QBER] = {"link.distill.qber", STATISTICS_GAUGE, STATISTICS_REAL, "", "error rate"},
};

struct fixture {
	struct statistics set;
	struct statistics_group group;
	struct statistic values[COUNT];
};

static void set_up(struct fixture *f)
{
	*f = (struct fixture){
		.group = {.definitions = definitions,
			  .values = f->values,
			  .count = COUNT,
			  .labels = {{"link", "alice-bob"}},
			  .label_count = 1},
	};
	statistics_init(&f->set, 0);
	statistics_add_group(&f->set, &f->group);
}

struct wanted {
	const char *name;
	size_t seen;
	struct statistics_reading reading;
};

static int pick(const struct statistics_reading *reading, void *userdata)
{
	struct wanted *wanted = userdata;

	if (wanted->name && !str_equal(reading->name, wanted->name))
		return 0;
	wanted->seen++;
	wanted->reading = *reading;
	return 0;
}

static struct statistics_reading read_at(struct fixture *f, const char *name, uint64_t now_usec)
{
	struct wanted wanted = {.name = name};

	cr_assert_eq(statistics_read(&f->set, NULL, now_usec, pick, &wanted), 0);
	cr_assert_eq(wanted.seen, 1);
	return wanted.reading;
}

Test(statistics, what_was_never_updated_reads_as_zero)
{
	struct fixture f;
	struct statistics_reading r;

	set_up(&f);
	r = read_at(&f, "link.keys", USEC_PER_SEC);
	cr_assert_eq(r.count, 0);
	cr_assert(r.last == 0 && r.total == 0 && r.min == 0 && r.max == 0);
	cr_assert(r.average == 0 && r.rate == 0);
}

Test(statistics, an_update_is_seen_in_every_figure)
{
	struct fixture f;
	struct statistics_reading r;

	set_up(&f);
	statistics_update(&f.values[KEYS], 64);
	statistics_update(&f.values[KEYS], 8);
	statistics_update(&f.values[KEYS], 24);
	r = read_at(&f, "link.keys", 2 * USEC_PER_SEC);
	cr_assert_eq(r.count, 3);
	cr_assert(r.last == 24 && r.total == 96 && r.min == 8 && r.max == 64);
	cr_assert(r.average == 32 && r.rate == 48, "average %g, rate %g", r.average, r.rate);
	cr_assert_str_eq(r.unit, "keys");
	cr_assert_eq(r.kind, STATISTICS_COUNTER);
	cr_assert_eq(r.label_count, 1);
	cr_assert_str_eq(r.labels[0].value, "alice-bob");
}

Test(statistics, a_first_update_of_zero_or_of_something_negative_counts_as_extreme)
{
	struct fixture f;
	struct statistics_reading r;

	set_up(&f);
	statistics_update(&f.values[KEYS], 0);
	statistics_update(&f.values[KEYS], 5);
	r = read_at(&f, "link.keys", 1);
	cr_assert(r.min == 0 && r.max == 5);
	statistics_update_real(&f.values[QBER], -0.5);
	r = read_at(&f, "link.distill.qber", 1);
	cr_assert(r.min == -0.5 && r.max == -0.5 && r.last == -0.5);
}

Test(statistics, times_are_kept_in_microseconds_and_read_in_seconds)
{
	struct fixture f;
	struct statistics_reading r;

	set_up(&f);
	statistics_update(&f.values[LATENCY], 1500);
	statistics_update(&f.values[LATENCY], 500);
	r = read_at(&f, "link.latency", 4 * USEC_PER_SEC);
	cr_assert_float_eq(r.total, 0.002, 1e-12);
	cr_assert_float_eq(r.average, 0.001, 1e-12);
	cr_assert_float_eq(r.max, 0.0015, 1e-12);
	cr_assert_float_eq(r.rate, 0.5, 1e-12); /* measurements a second */
}

Test(statistics, a_level_that_stays_is_no_update)
{
	struct fixture f;

	set_up(&f);
	statistics_set(&f.values[STOCK], 0);
	statistics_set(&f.values[STOCK], 0);
	statistics_set(&f.values[STOCK], 7);
	statistics_set(&f.values[STOCK], 7);
	statistics_set_real(&f.values[QBER], 0.02);
	statistics_set_real(&f.values[QBER], 0.02);
	cr_assert_eq(read_at(&f, "link.stock", 1).count, 2);
	cr_assert_eq(read_at(&f, "link.distill.qber", 1).count, 1);
	cr_assert_eq(statistics_update_count(&f.set, NULL), 3);
}

Test(statistics, a_rate_is_that_of_the_last_seconds_and_falls_when_nothing_comes)
{
	struct fixture f;
	uint64_t now = 0;
	double rate;

	set_up(&f);
	for (; now < 60 * USEC_PER_SEC; now += USEC_PER_SEC) {
		statistics_update(&f.values[KEYS], 1000);
		statistics_sample(&f.set, now);
	}
	rate = read_at(&f, "link.keys", now).rate;
	cr_assert(rate >= 900 && rate <= 1000, "%g", rate);
	for (; now < 120 * USEC_PER_SEC; now += USEC_PER_SEC)
		statistics_sample(&f.set, now);
	rate = read_at(&f, "link.keys", now).rate;
	cr_assert_eq(rate, 0);
}

Test(statistics, the_rate_after_a_long_silence_is_that_of_the_time_since)
{
	struct fixture f;
	uint64_t now = 3600 * USEC_PER_SEC;
	double rate;

	set_up(&f);
	for (unsigned i = 0; i < 10; i++, now += USEC_PER_SEC) {
		statistics_update(&f.values[KEYS], 1000);
		statistics_sample(&f.set, now);
	}
	rate = read_at(&f, "link.keys", now).rate;
	cr_assert(rate > 800 && rate < 1200, "%g", rate);
}

Test(statistics, two_readers_a_second_apart_see_the_same_rate)
{
	struct fixture f;
	double first, second;

	set_up(&f);
	statistics_update(&f.values[KEYS], 1000);
	first = read_at(&f, "link.keys", 4 * USEC_PER_SEC).rate;
	second = read_at(&f, "link.keys", 4 * USEC_PER_SEC + 1).rate;
	cr_assert_float_eq(first, second, 0.01);
}

static void count_calls(void *userdata)
{
	struct fixture *f = userdata;

	statistics_set(&f->values[STOCK], 41 + f->values[STOCK].count);
}

Test(statistics, levels_are_looked_at_before_they_are_read)
{
	struct fixture f;

	set_up(&f);
	f.group.collect = count_calls;
	f.group.userdata = &f;
	cr_assert_eq(read_at(&f, "link.stock", 1).last, 41);
	cr_assert_eq(read_at(&f, "link.stock", 1).last, 42);
}

Test(statistics, a_group_that_is_removed_is_not_told_of)
{
	struct fixture f, other;
	struct wanted all = {.name = NULL};

	set_up(&f);
	set_up(&other);
	statistics_remove_group(&other.group);
	statistics_remove_group(&other.group);
	statistics_add_group(&f.set, &other.group);
	cr_assert_eq(statistics_read(&f.set, NULL, 1, pick, &all), 0);
	cr_assert_eq(all.seen, 2 * COUNT);
	statistics_remove_group(&f.group);
	all.seen = 0;
	cr_assert_eq(statistics_read(&f.set, NULL, 1, pick, &all), 0);
	cr_assert_eq(all.seen, COUNT);
	statistics_remove_group(&other.group);
	all.seen = 0;
	cr_assert_eq(statistics_read(&f.set, NULL, 1, pick, &all), 0);
	cr_assert_eq(all.seen, 0);
}

static int refuse(const struct statistics_reading *reading, void *userdata)
{
	++*(unsigned *)userdata;
	return -ENOBUFS;
}

Test(statistics, a_reader_that_has_enough_ends_the_reading)
{
	struct fixture f;
	unsigned calls = 0;

	set_up(&f);
	cr_assert_eq(statistics_read(&f.set, NULL, 1, refuse, &calls), -ENOBUFS);
	cr_assert_eq(calls, 1);
}

Test(statistics, a_filter_selects_what_is_read_and_counted)
{
	_cleanup_(statistics_filter_freep) struct statistics_filter *filter = NULL;
	char *names[] = {(char *)"link.distill", NULL};
	struct wanted all = {.name = NULL};
	struct fixture f;

	set_up(&f);
	cr_assert_eq(statistics_filter_new(names, false, &filter), 0);
	statistics_update(&f.values[KEYS], 1);
	cr_assert_eq(statistics_update_count(&f.set, filter), 0);
	statistics_update_real(&f.values[QBER], 0.01);
	cr_assert_eq(statistics_update_count(&f.set, filter), 1);
	cr_assert_eq(statistics_read(&f.set, filter, 1, pick, &all), 0);
	cr_assert_eq(all.seen, 1);
	cr_assert_str_eq(all.reading.name, "link.distill.qber");
}

Test(statistics, names_are_words_joined_by_dots)
{
	static const struct {
		const char *name;
		bool valid;
	} names[] = {
		{"link", true},       {"link.keys", true},    {"a.b2.c_d", true},
		{"", false},          {".", false},           {"link.", false},
		{".link", false},     {"link..keys", false},  {"Link", false},
		{"link-keys", false}, {"link.2keys", false},  {"link._keys", false},
		{"link keys", false}, {"link.keys\n", false}, {"k\xc3\xb6y", false},
	};
	char longest[STATISTICS_NAME_MAX_CHARS + 2];

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		cr_assert_eq(statistics_name_is_valid(names[i].name), names[i].valid, "%s",
			     names[i].name);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	cr_assert(!statistics_name_is_valid(longest));
	longest[sizeof(longest) - 2] = '\0';
	cr_assert(statistics_name_is_valid(longest));
}

Test(statistics, kinds_have_names)
{
	enum statistics_kind kind;

	for (int i = 0; i < STATISTICS_KIND_COUNT_; i++) {
		cr_assert_eq(statistics_kind_parse(statistics_kind_name(i), &kind), 0);
		cr_assert_eq((int)kind, i);
	}
	cr_assert_eq(statistics_kind_parse("histogram", &kind), -EINVAL);
}

#define THREAD_UPDATES 2000000

static void *update_much(void *userdata)
{
	struct statistic *statistic = userdata;

	for (uint64_t i = 0; i < THREAD_UPDATES; i++)
		statistics_update(statistic, UINT64_C(0x100000001));
	return NULL;
}

Test(statistics, another_thread_reads_whole_numbers_that_never_go_back, .timeout = 30)
{
	struct fixture f;
	double before = 0;
	pthread_t thread;

	set_up(&f);
	cr_assert_eq(pthread_create(&thread, NULL, update_much, &f.values[KEYS]), 0);
	while (before < THREAD_UPDATES) {
		struct statistics_reading r = read_at(&f, "link.keys", 1);

		cr_assert(r.last == 0 || r.last == (double)UINT64_C(0x100000001), "%g", r.last);
		cr_assert_geq((double)r.count, before);
		before = (double)r.count;
	}
	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_assert_eq(f.values[KEYS].total.integer, THREAD_UPDATES * UINT64_C(0x100000001));
}
