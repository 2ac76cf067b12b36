/* SPDX-License-Identifier: MIT */
/* What a device gave lately is known, and memory stays bounded. */

#include <criterion/criterion.h>

#include "drivers/recent-set.h"

Test(recent_set, what_was_added_is_known_and_nothing_else)
{
	_cleanup_(recent_set_freep) struct recent_set *set = NULL;

	cr_assert_eq(recent_set_new(&set), 0);
	cr_assert(!recent_set_contains(set, "key", 3));
	cr_assert_eq(recent_set_add(set, "key", 3), 0);
	cr_assert(recent_set_contains(set, "key", 3));
	cr_assert(!recent_set_contains(set, "key", 2));
	cr_assert(!recent_set_contains(set, "kez", 3));
	cr_assert_eq(recent_set_add(set, "key", 3), -EEXIST);
}

Test(recent_set, the_last_ones_are_known_and_the_oldest_forgotten)
{
	_cleanup_(recent_set_freep) struct recent_set *set = NULL;
	const uint32_t count = 3 * RECENT_SET_MIN;

	cr_assert_eq(recent_set_new(&set), 0);
	for (uint32_t i = 0; i < count; i++)
		cr_assert_eq(recent_set_add(set, &i, sizeof(i)), 0);
	for (uint32_t i = count - RECENT_SET_MIN; i < count; i++)
		cr_assert(recent_set_contains(set, &i, sizeof(i)));
	for (uint32_t i = 0; i < RECENT_SET_MIN; i++)
		cr_assert(!recent_set_contains(set, &i, sizeof(i)));
}
