/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The allocator behind common/secret.h, which is what callers use. All its book-keeping lies in
 * ordinary memory, so that nothing but the callers' bytes is ever in secret memory. Free memory is
 * always zero. Thread-safe.
 */

#include "common/macros.h"

/* Zeroed, aligned to 16. NULL when secret memory is used up. */
void *secret_arena_allocate(size_t size_bytes);
/* Wipes. What a parent process allocated before fork() is let go without a look. */
void secret_arena_release(void *pointer);
/* Bytes usable at pointer, at least what was asked for. */
size_t secret_arena_usable(const void *pointer);
/* True when regions come from memfd_secret(2). */
bool secret_arena_is_memfd(void);
