/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Ownership and small conveniences that every file uses.
 *
 * A local that owns something carries _cleanup_(fooep); ownership passes on with TAKE_PTR or
 * TAKE_FD. DEFINE_CLEANUP(type, foo_free) makes the function foo_freep that _cleanup_ wants.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _pure_         __attribute__((pure))
#define _warn_unused_  __attribute__((warn_unused_result))

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b)                                  \
	({                                         \
		__auto_type min_a_ = (a);          \
		__auto_type min_b_ = (b);          \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                                  \
	({                                         \
		__auto_type max_a_ = (a);          \
		__auto_type max_b_ = (b);          \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)

#define TAKE_PTR(pointer)                       \
	({                                      \
		__auto_type taken_ = (pointer); \
		(pointer) = NULL;               \
		taken_;                         \
	})
#define TAKE_FD(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	})

#define DEFINE_CLEANUP(type, function)                \
	static inline void function##p(type *pointer) \
	{                                             \
		if (*pointer)                         \
			function(*pointer);           \
	}                                             \
	struct macros_swallow_semicolon_

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline bool str_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}
