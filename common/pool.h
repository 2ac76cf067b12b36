/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The pool of unissued keys in the kernel (design section 7): linkd deposits, keyringd takes.
 *
 * Ring "qkd-pool" or "qkd-pool@SITE", owned by the service's user, anchored in its @u; keys
 * "qkd-pool:PEER:KEY-ID", type user. Ring and keys have permission POOL_PERMISSION: only that user
 * finds, reads or updates them. A key taken is wiped at once by an update to one byte; wiped keys
 * are unlinked together, because every unlink makes the kernel scan all keys.
 */

#include "common/keys.h"
#include "common/name.h"

#define POOL_PERMISSION       0x003f0000u
#define POOL_UNLINK_BLOCK     256   /* wiped keys that are unlinked together */
#define POOL_PEER_CAP_DEFAULT 1024  /* both owner halves together */
#define POOL_RING_MAX_LINKS   16000 /* the kernel's counter wraps at 16384 */

struct pool;

/* site NULL: "qkd-pool". Finds the ring in @u or makes it in the session and links it there. */
int pool_open(const char *site, struct pool **ret);
struct pool *pool_free(struct pool *pool); /* the ring stays */
DEFINE_CLEANUP(struct pool *, pool_free);
key_serial_t pool_ring(const struct pool *pool);

/* -EDQUOT when the user's quota is used up, -ENOSPC at POOL_RING_MAX_LINKS. */
int pool_deposit(struct pool *pool, const char *peer, const struct uuid *id, const uint8_t *key,
		 size_t key_bytes);
/* Reads the key, wipes it in the kernel. -ENOKEY when it is not there (or already wiped). */
int pool_take(struct pool *pool, const char *peer, const struct uuid *id, struct secret **ret);
/* Wipes without reading; absent is no error. */
int pool_discard(struct pool *pool, const char *peer, const struct uuid *id);
/* Unlinks what was wiped when a block is full, or all of it when force is set. */
int pool_unlink_wiped(struct pool *pool, bool force);
/* Calls back for every unwiped key in the ring; for counting at start and dropping strays. */
int pool_foreach(struct pool *pool,
		 int (*each)(const char *peer, const struct uuid *id, void *userdata),
		 void *userdata);
