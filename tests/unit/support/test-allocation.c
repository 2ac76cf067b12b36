// SPDX-License-Identifier: MIT
/*
 * The allocator with a fault that tests switch on. It stands before glibc's in every test program
 * that asks for it, so libraries meet the fault as well.
 */

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/support/test-allocation.h"

static long countdown = -1;
static bool has_failed;

void test_allocation_fail_at(long number)
{
	countdown = number;
	if (number >= 0)
		has_failed = false;
}

bool test_allocation_has_failed(void)
{
	return has_failed;
}

#ifndef __SANITIZE_ADDRESS__

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

static bool fails(void)
{
	if (countdown < 0 || countdown-- > 0)
		return false;
	has_failed = true;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
	return fails() ? NULL : __libc_realloc(pointer, size);
}

#endif
