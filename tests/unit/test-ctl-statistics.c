/* SPDX-License-Identifier: MIT */
/* Statistics as people and programs get them from qkdctl. */

#include <criterion/criterion.h>
#include <math.h>

#include "keyring-helpers/qkdctl/ctl-statistics.h"

static const struct statistics_label labels[] = {
	{"site", "alice"}, {"link", "alice-bob"}, {"peer", "bob"}};

static struct statistics_reading reading(enum statistics_kind kind)
{
	return (struct statistics_reading){
		.name = "link.thing",
		.unit = "seconds",
		.help = "a thing",
		.kind = kind,
		.labels = labels,
		.label_count = 3,
		.count = 4,
		.last = 0.5,
		.total = 3,
		.min = 0.25,
		.max = 1.5,
		.average = 0.75,
		.rate = 2,
	};
}

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

Test(ctl_statistics, a_program_gets_every_figure)
{
	struct statistics_reading r = reading(STATISTICS_COUNTER);
	_cleanup_(json_decrefp) json_t *object = ctl_statistics_object(&r);

	cr_assert_not_null(object);
	cr_assert_str_eq(text(object, "name"), "link.thing");
	cr_assert_str_eq(text(object, "kind"), "counter");
	cr_assert_str_eq(text(object, "unit"), "seconds");
	cr_assert_str_eq(text(json_object_get(object, "labels"), "link"), "alice-bob");
	cr_assert_eq(json_integer_value(json_object_get(object, "count")), 4);
	cr_assert_eq(json_number_value(json_object_get(object, "last")), 0.5);
	cr_assert(json_is_integer(json_object_get(object, "total")));
	cr_assert_eq(json_number_value(json_object_get(object, "total")), 3);
	cr_assert_eq(json_number_value(json_object_get(object, "min")), 0.25);
	cr_assert_eq(json_number_value(json_object_get(object, "max")), 1.5);
	cr_assert_eq(json_number_value(json_object_get(object, "average")), 0.75);
	cr_assert_eq(json_number_value(json_object_get(object, "rate")), 2);
	cr_assert_eq(json_object_size(object), 11);
}

Test(ctl_statistics, what_is_no_number_is_left_out)
{
	struct statistics_reading r = reading(STATISTICS_GAUGE);
	_cleanup_(json_decrefp) json_t *object = NULL;

	r.last = NAN;
	r.max = INFINITY;
	object = ctl_statistics_object(&r);
	cr_assert_not_null(object);
	cr_assert_null(json_object_get(object, "last"));
	cr_assert_null(json_object_get(object, "max"));
}

Test(ctl_statistics, people_get_what_matters_of_each_kind)
{
	static const struct {
		enum statistics_kind kind;
		const char *value, *rate, *min;
	} rows[] = {
		{STATISTICS_COUNTER, "3", "2", NULL},
		{STATISTICS_GAUGE, "0.5", NULL, "0.25"},
		{STATISTICS_SUMMARY, "0.75", "2", "0.25"},
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct statistics_reading r = reading(rows[i].kind);
		_cleanup_(json_decrefp) json_t *row = ctl_statistics_row(&r);

		cr_assert_str_eq(text(row, "labels"), "link=alice-bob,peer=bob");
		cr_assert_str_eq(text(row, "value"), rows[i].value);
		cr_assert_eq(!text(row, "rate"), !rows[i].rate);
		cr_assert_eq(!text(row, "min"), !rows[i].min);
	}
}

Test(ctl_statistics, what_was_never_measured_is_not_shown_as_zero)
{
	struct statistics_reading summary = reading(STATISTICS_SUMMARY);
	struct statistics_reading counter = reading(STATISTICS_COUNTER);
	_cleanup_(json_decrefp) json_t *nothing = NULL;
	_cleanup_(json_decrefp) json_t *zero = NULL;

	summary.count = counter.count = 0;
	counter.total = 0;
	nothing = ctl_statistics_row(&summary);
	zero = ctl_statistics_row(&counter);
	cr_assert_null(text(nothing, "value"));
	cr_assert_str_eq(text(zero, "value"), "0");
}

Test(ctl_statistics, a_key_tells_statistics_apart)
{
	struct statistics_reading one = reading(STATISTICS_COUNTER), other = one;
	_cleanup_(freep) char *key = ctl_statistics_key(&one);
	_cleanup_(freep) char *other_key = NULL;

	other.label_count = 2;
	other_key = ctl_statistics_key(&other);
	cr_assert_str_eq(key, "link.thing{site=\"alice\",link=\"alice-bob\",peer=\"bob\"}");
	cr_assert_str_neq(key, other_key);
}
