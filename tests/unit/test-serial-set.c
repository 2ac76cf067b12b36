/* SPDX-License-Identifier: MIT */
/* Serial numbers: each only once, in bounded memory. */

#include <criterion/criterion.h>

#include "drivers/serial-set.h"

Test(serial_set, a_number_is_added_once)
{
	struct serial_set set = {};

	cr_assert(!serial_set_contains(&set, 7));
	cr_assert_eq(serial_set_add(&set, 7), 0);
	cr_assert(serial_set_contains(&set, 7));
	cr_assert_eq(serial_set_add(&set, 7), -EEXIST);
	cr_assert(!serial_set_contains(&set, 6));
	cr_assert(!serial_set_contains(&set, 8));
	serial_set_done(&set);
}

Test(serial_set, neighbours_become_one_range)
{
	struct serial_set set = {};

	cr_assert_eq(serial_set_add(&set, 5), 0);
	cr_assert_eq(serial_set_add(&set, 7), 0);
	cr_assert_eq(set.count, 2);
	cr_assert_eq(serial_set_add(&set, 6), 0);
	cr_assert_eq(set.count, 1);
	cr_assert_eq(serial_set_add(&set, 4), 0);
	cr_assert_eq(serial_set_add(&set, 8), 0);
	cr_assert_eq(set.count, 1);
	cr_assert_eq(set.ranges[0].first, 4);
	cr_assert_eq(set.ranges[0].last, 8);
	serial_set_done(&set);
}

Test(serial_set, the_ends_of_the_number_line_are_numbers_too)
{
	struct serial_set set = {};

	cr_assert_eq(serial_set_add(&set, UINT64_MAX), 0);
	cr_assert_eq(serial_set_add(&set, 0), 0);
	cr_assert_eq(set.count, 2);
	cr_assert_eq(serial_set_add(&set, UINT64_MAX - 1), 0);
	cr_assert_eq(serial_set_add(&set, 1), 0);
	cr_assert_eq(set.count, 2);
	serial_set_done(&set);
}

Test(serial_set, it_agrees_with_a_plain_table_in_any_order)
{
	struct serial_set set = {};
	bool table[1024] = {};
	uint32_t state = 1;

	for (unsigned i = 0; i < 4096; i++) {
		uint32_t n;

		state = state * 1664525u + 1013904223u;
		n = state >> 22;
		cr_assert_eq(serial_set_add(&set, n), table[n] ? -EEXIST : 0);
		table[n] = true;
	}
	for (uint32_t n = 0; n < 1024; n++)
		cr_assert_eq(serial_set_contains(&set, n), table[n]);
	serial_set_done(&set);
}

Test(serial_set, with_too_many_ranges_the_nearest_are_joined_and_nothing_is_forgotten)
{
	struct serial_set set = {};

	for (uint64_t i = 0; i < 2 * SERIAL_SET_MAX_RANGES; i++) {
		cr_assert_eq(serial_set_add(&set, i * 1000 + (i == 3 ? 990 : 0)), 0);
		cr_assert_lt(set.count, SERIAL_SET_MAX_RANGES);
	}
	for (uint64_t i = 0; i < 2 * SERIAL_SET_MAX_RANGES; i++)
		cr_assert(serial_set_contains(&set, i * 1000 + (i == 3 ? 990 : 0)));
	cr_assert(serial_set_contains(&set, 3995)); /* the smallest gap went first */
	serial_set_done(&set);
}
