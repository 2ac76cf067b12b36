/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory that key bytes may live in, and nothing else holds them.
 *
 * Regions come from memfd_secret(2) where the kernel has it, else from locked anonymous memory;
 * they are left out of core files, do not survive fork, and every byte is wiped when it is freed.
 * Small objects share a region, so 100,000 keys do not need 100,000 pages. Thread-safe.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/macros.h"

#define SECRET_MAX_BYTES (64u << 20) /* one object */

struct secret {
	uint8_t *bytes;
	size_t size_bytes;
};

/* Zeroed. -ENOMEM (also when RLIMIT_MEMLOCK is reached), -EINVAL for 0 or above the limit. */
int secret_new(size_t size_bytes, struct secret **ret);
int secret_new_copy(const void *bytes, size_t size_bytes, struct secret **ret);
/* Wipes. Takes NULL, returns NULL. */
struct secret *secret_free(struct secret *secret);
DEFINE_CLEANUP(struct secret *, secret_free);

/* Constant time in the contents; false when the sizes differ. */
bool secret_equal(const struct secret *a, const struct secret *b);

/* Wipe memory that is not ours to free: never optimised away. */
void secret_wipe(void *bytes, size_t size_bytes);

/*
 * malloc(3)'s family inside secret memory, for libraries that handle keys (jansson, libcurl):
 * freeing wipes. NULL with errno on failure.
 */
void *secret_malloc(size_t size_bytes);
void *secret_calloc(size_t count, size_t size_bytes);
void *secret_realloc(void *pointer, size_t size_bytes);
char *secret_strdup(const char *text);
void secret_mfree(void *pointer);

/*
 * Once, first thing in main(): core dumps off (PR_SET_DUMPABLE, RLIMIT_CORE), the wiping allocator
 * given to jansson and libcurl, RLIMIT_MEMLOCK raised to its hard limit.
 */
int secret_harden_process(void);

/* "memfd_secret" or "locked memory", for the journal. */
const char *secret_backing(void);
