/* SPDX-License-Identifier: MIT */
/* A list of names includes or excludes, nodes stand for what is below, and a bad list is refused.
 */

#include <criterion/criterion.h>

#include "common/statistics-filter.h"
#include "common/statistics.h"

static struct statistics_filter *filter_of(bool exclude, const char *a, const char *b)
{
	char *names[] = {(char *)a, (char *)b, NULL};
	struct statistics_filter *filter = NULL;

	cr_assert_eq(statistics_filter_new(names, exclude, &filter), 0);
	return filter;
}

Test(statistics_filter, an_empty_list_selects_everything)
{
	for (int exclude = 0; exclude < 2; exclude++) {
		_cleanup_(statistics_filter_freep) struct statistics_filter *none = NULL;
		_cleanup_(statistics_filter_freep) struct statistics_filter *empty =
			filter_of(exclude, NULL, NULL);

		cr_assert_eq(statistics_filter_new(NULL, exclude, &none), 0);
		cr_assert(statistics_filter_selects(none, "link.keys"));
		cr_assert(statistics_filter_selects(empty, "link.keys"));
	}
	cr_assert(statistics_filter_selects(NULL, "link.keys"));
}

Test(statistics_filter, included_names_are_selected_and_no_others)
{
	_cleanup_(statistics_filter_freep) struct statistics_filter *filter =
		filter_of(false, "link.keys", "store");

	cr_assert(statistics_filter_selects(filter, "link.keys"));
	cr_assert(statistics_filter_selects(filter, "store"));
	cr_assert(statistics_filter_selects(filter, "store.available.own"));
	cr_assert(!statistics_filter_selects(filter, "link"));
	cr_assert(!statistics_filter_selects(filter, "link.keys_lost"));
	cr_assert(!statistics_filter_selects(filter, "stores.x"));
	cr_assert(!statistics_filter_selects(filter, "other.store"));
}

Test(statistics_filter, excluded_names_are_left_out_and_no_others)
{
	_cleanup_(statistics_filter_freep) struct statistics_filter *filter =
		filter_of(true, "link.keys", "store");

	cr_assert(!statistics_filter_selects(filter, "link.keys"));
	cr_assert(!statistics_filter_selects(filter, "store.available"));
	cr_assert(statistics_filter_selects(filter, "link.keys_lost"));
	cr_assert(statistics_filter_selects(filter, "upcall"));
}

Test(statistics_filter, what_is_no_name_is_refused)
{
	static const char *const bad[] = {"", "*", "link.", "LINK", "link keys", "../x", "a\nb"};
	struct statistics_filter *filter = NULL;

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		char *names[] = {(char *)"link", (char *)bad[i], NULL};

		cr_assert_eq(statistics_filter_new(names, false, &filter), -EINVAL, "%s", bad[i]);
		cr_assert_null(filter);
	}
}

Test(statistics_filter, a_list_has_a_limit)
{
	char *names[STATISTICS_FILTER_MAX_NAMES + 2] = {NULL};
	_cleanup_(statistics_filter_freep) struct statistics_filter *filter = NULL;

	for (size_t i = 0; i <= STATISTICS_FILTER_MAX_NAMES; i++)
		names[i] = (char *)"link";
	cr_assert_eq(statistics_filter_new(names, false, &filter), -E2BIG);
	names[STATISTICS_FILTER_MAX_NAMES] = NULL;
	cr_assert_eq(statistics_filter_new(names, false, &filter), 0);
}

Test(statistics_filter, the_longest_name_is_kept_whole)
{
	char name[STATISTICS_NAME_MAX_CHARS + 1];
	_cleanup_(statistics_filter_freep) struct statistics_filter *filter = NULL;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	filter = filter_of(false, name, NULL);
	cr_assert(statistics_filter_selects(filter, name));
	name[sizeof(name) - 2] = '\0';
	cr_assert(!statistics_filter_selects(filter, name));
}
