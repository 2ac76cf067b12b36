/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Lets one allocation fail: TEST_EACH_ALLOCATION runs a block once for every allocation that it
 * makes, and that one fails. With AddressSanitizer, which has an allocator of its own, the block
 * runs once.
 */

#include <stdbool.h>

/* The so-manieth from now, from 0; -1: none. */
void test_allocation_fail_at(long number);
bool test_allocation_has_failed(void); /* since then */

#define TEST_EACH_ALLOCATION(number, step)                                                       \
	for (long number = 0, goes_on_ = 1; goes_on_ && (test_allocation_fail_at(number), true); \
	     number += (step), goes_on_ = test_allocation_has_failed(),                          \
		  test_allocation_fail_at(-1))
