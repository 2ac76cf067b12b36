/* SPDX-License-Identifier: MIT */
/*
 * keyctl(2), one call a function, with -errno as everywhere else in the tree and payloads in secret
 * memory.
 */

#include <inttypes.h>

#include "common/keys.h"

#define READ_FIRST_BYTES 64u /* nearly every key of ours is shorter: one system call */
#define READ_TRIES_MAX   4   /* the payload may be updated between two looks */

static int result_of(long result)
{
	return result < 0 ? -errno : 0;
}

int key_add(const char *type, const char *description, const void *payload, size_t size_bytes,
	    key_serial_t ring, key_serial_t *ret)
{
	key_serial_t key = add_key(type, description, payload, size_bytes, ring);

	if (key < 0)
		return -errno;
	*ret = key;
	return 0;
}

int key_read(key_serial_t key, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *secret = NULL;
	size_t size = READ_FIRST_BYTES;
	long n;
	int r;

	for (int i = 0; i < READ_TRIES_MAX; i++) {
		secret = secret_free(secret);
		r = secret_new(size, &secret);
		if (r < 0)
			return r;
		n = keyctl_read(key, (char *)secret->bytes, size);
		if (n < 0)
			return -errno;
		if (n > 0 && (size_t)n <= size) {
			secret->size_bytes = (size_t)n;
			*ret = TAKE_PTR(secret);
			return 0;
		}
		if (n == 0)
			return -ENODATA;
		size = (size_t)n;
	}
	return -EBUSY;
}

int key_update(key_serial_t key, const void *payload, size_t size_bytes)
{
	return result_of(keyctl_update(key, payload, size_bytes));
}

int key_search(key_serial_t ring, const char *type, const char *description, key_serial_t *ret)
{
	long key = keyctl_search(ring, type, description, 0);

	if (key < 0)
		return -errno;
	*ret = (key_serial_t)key;
	return 0;
}

int key_link(key_serial_t key, key_serial_t ring)
{
	return result_of(keyctl_link(key, ring));
}

int key_unlink(key_serial_t key, key_serial_t ring)
{
	return result_of(keyctl_unlink(key, ring));
}

int key_move_exclusive(key_serial_t key, key_serial_t from, key_serial_t to)
{
	return result_of(keyctl_move(key, from, to, KEYCTL_MOVE_EXCL));
}

int key_clear(key_serial_t ring)
{
	return result_of(keyctl_clear(ring));
}

int key_size(key_serial_t key, size_t *ret_bytes)
{
	long n = keyctl_read(key, NULL, 0);

	if (n < 0)
		return -errno;
	*ret_bytes = (size_t)n;
	return 0;
}

int key_set_permission(key_serial_t key, uint32_t permission)
{
	return result_of(keyctl_setperm(key, permission));
}

int key_set_timeout(key_serial_t key, unsigned seconds)
{
	return result_of(keyctl_set_timeout(key, seconds));
}

int key_get_id(key_serial_t special, bool create, key_serial_t *ret)
{
	long key = keyctl_get_keyring_ID(special, create);

	if (key < 0)
		return -errno;
	*ret = (key_serial_t)key;
	return 0;
}

int key_describe(key_serial_t key, char **ret)
{
	char *text;

	if (keyctl_describe_alloc(key, &text) < 0)
		return -errno;
	*ret = text;
	return 0;
}

int key_list(key_serial_t ring, key_serial_t **ret, size_t *ret_count)
{
	void *serials;
	int n = keyctl_read_alloc(ring, &serials);

	if (n < 0)
		return -errno;
	*ret = serials;
	*ret_count = (size_t)n / sizeof(key_serial_t);
	return 0;
}

int key_request(const char *type, const char *description, const char *callout, key_serial_t ring,
		key_serial_t *ret)
{
	key_serial_t key = request_key(type, description, callout, ring);

	if (key < 0)
		return -errno;
	*ret = key;
	return 0;
}

static void fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

static int read_limit(const char *name, uint64_t *ret)
{
	_cleanup_(fclosep) FILE *file = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/sys/kernel/keys/%s", name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	return fscanf(file, "%" SCNu64, ret) == 1 ? 0 : -EIO;
}

/* Of a uid that has no key yet. */
static int read_limits(uid_t uid, struct key_quota *ret)
{
	struct key_quota quota = {0};
	int r;

	r = read_limit(uid == 0 ? "root_maxkeys" : "maxkeys", &quota.keys_max);
	if (r < 0)
		return r;
	r = read_limit(uid == 0 ? "root_maxbytes" : "maxbytes", &quota.bytes_max);
	if (r < 0)
		return r;
	*ret = quota;
	return 0;
}

int key_get_quota(uid_t uid, struct key_quota *ret)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/key-users", "re");
	char line[256];

	if (!file)
		return -errno;
	/* "UID: usage total/instantiated keys/max bytes/max", keyrings(7) */
	while (fgets(line, sizeof(line), file)) {
		struct key_quota quota;
		unsigned line_uid;

		if (sscanf(line, "%u: %*u %*u/%*u %" SCNu64 "/%" SCNu64 " %" SCNu64 "/%" SCNu64,
			   &line_uid, &quota.keys, &quota.keys_max, &quota.bytes,
			   &quota.bytes_max) != 5 ||
		    line_uid != uid)
			continue;
		*ret = quota;
		return 0;
	}
	return read_limits(uid, ret);
}
