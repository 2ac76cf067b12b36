/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One small function for each keyctl(2) operation that the project uses, answering -errno. Nothing
 * else in the tree calls keyctl or add_key (the upcall helper, which is freestanding, excepted).
 */

#include <keyutils.h>

#include "common/secret.h"

int key_add(const char *type, const char *description, const void *payload, size_t size_bytes,
	    key_serial_t ring, key_serial_t *ret);
/* Into secret memory; -EKEYREVOKED, -EKEYEXPIRED, -ENOKEY, -EACCES as the kernel says. */
int key_read(key_serial_t key, struct secret **ret);
int key_update(key_serial_t key, const void *payload, size_t size_bytes);
int key_search(key_serial_t ring, const char *type, const char *description, key_serial_t *ret);
int key_link(key_serial_t key, key_serial_t ring);
int key_unlink(key_serial_t key, key_serial_t ring);
/* -EEXIST when to has a key of the same type and description: it is not displaced. */
int key_move_exclusive(key_serial_t key, key_serial_t from, key_serial_t to);
int key_clear(key_serial_t ring);
/* Of the payload, without reading it: bytes, of a ring 4 for each link. */
int key_size(key_serial_t key, size_t *ret_bytes);
int key_set_permission(key_serial_t key, uint32_t permission);
int key_set_timeout(key_serial_t key, unsigned seconds);
int key_get_id(key_serial_t special, bool create, key_serial_t *ret);
/* type;uid;gid;perm;description, allocated. */
int key_describe(key_serial_t key, char **ret);
/* The serials in a ring, allocated. */
int key_list(key_serial_t ring, key_serial_t **ret, size_t *ret_count);
/* request_key(2) into a destination ring; NULL callout: no upcall. */
int key_request(const char *type, const char *description, const char *callout, key_serial_t ring,
		key_serial_t *ret);
/* From /proc/key-users and kernel.keys.*: what this uid has and may have. */
struct key_quota {
	uint64_t keys, keys_max, bytes, bytes_max;
};
int key_get_quota(uid_t uid, struct key_quota *ret);
