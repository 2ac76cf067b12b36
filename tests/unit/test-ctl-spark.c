/* SPDX-License-Identifier: MIT */
/* Small graphs. */

#include <criterion/criterion.h>
#include <math.h>

#include "keyring-helpers/qkdctl/ctl-spark.h"

static struct ctl_history history;

static const struct ctl_series *series(const char *name, const double *values, size_t count)
{
	const struct ctl_series *last = NULL;

	for (size_t i = 0; i < count; i++) {
		ctl_history_begin(&history);
		last = ctl_history_add(&history, name, values[i]);
	}
	return last;
}

static void assert_spark(const struct ctl_series *s, unsigned width, double top, bool utf8,
			 const char *expected)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	ctl_spark_print(s, width, top, utf8, stream);
	fclose(stream);
	cr_assert_str_eq(text, expected);
}

static void tear_down(void)
{
	ctl_history_done(&history);
}

TestSuite(ctl_spark, .fini = tear_down);

Test(ctl_spark, bars_are_as_high_as_the_values_and_stand_at_the_right)
{
	static const double values[] = {0, 1, 4, 8};
	const struct ctl_series *s = series("a", values, ELEMENTSOF(values));

	assert_spark(s, 6, 1, true, "   ▁▄█");
	assert_spark(s, 6, 1, false, "   .=@");
	assert_spark(s, 2, 1, false, "=@");
}

Test(ctl_spark, a_little_is_not_nothing_and_little_is_not_much)
{
	static const double values[] = {0.001, 0.05, -1, NAN};
	const struct ctl_series *s = series("a", values, ELEMENTSOF(values));

	assert_spark(s, 4, 1, false, "..  ");
}

Test(ctl_spark, of_no_series_is_empty)
{
	assert_spark(NULL, 3, 1, true, "   ");
}

Test(ctl_spark, the_oldest_samples_are_forgotten)
{
	double values[CTL_SPARK_SAMPLES + 3];
	const struct ctl_series *s;

	for (size_t i = 0; i < ELEMENTSOF(values); i++)
		values[i] = (double)i;
	s = series("a", values, ELEMENTSOF(values));
	cr_assert_eq(s->count, (unsigned)CTL_SPARK_SAMPLES);
	cr_assert_eq(s->samples[0], 3);
}

Test(ctl_spark, a_series_that_gets_no_samples_is_forgotten)
{
	static const double value = 7;

	series("gone", &value, 1);
	ctl_history_begin(&history);
	for (int i = 0; i < 40; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%d", i);
		cr_assert_neq(ctl_history_add(&history, name, i), NULL);
	}
	ctl_history_begin(&history);
	cr_assert_eq(history.count, 40u);
	cr_assert_eq(ctl_history_add(&history, "39", 1)->count, 2u);
	cr_assert_eq(ctl_history_add(&history, "gone", 1)->count, 1u);
}
