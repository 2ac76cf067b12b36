/* SPDX-License-Identifier: MIT */
/*
 * A memory of bounded size for what a device has given, so that a key it gives twice is noticed.
 * Two tables: when the younger is half full it becomes the elder, and the elder is forgotten.
 */

#include "drivers/recent-set.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "common/secret.h"

#define KEY_BYTES 32

struct recent_set {
	uint8_t key[KEY_BYTES]; /* of this process alone: fingerprints tell nobody anything */
	uint64_t *young, *old;  /* 0: empty slot */
	size_t young_count;
};

int recent_set_new(struct recent_set **ret)
{
	_cleanup_(recent_set_freep) struct recent_set *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	if (getrandom(set->key, sizeof(set->key), 0) != sizeof(set->key))
		return -EIO;
	*ret = TAKE_PTR(set);
	return 0;
}

struct recent_set *recent_set_free(struct recent_set *set)
{
	if (!set)
		return NULL;
	secret_wipe(set->key, sizeof(set->key));
	free(set->young);
	free(set->old);
	free(set);
	return NULL;
}

static uint64_t fingerprint(const struct recent_set *set, const void *bytes, size_t size_bytes)
{
	uint8_t digest[EVP_MAX_MD_SIZE] = {};
	uint64_t print;

	HMAC(EVP_sha256(), set->key, KEY_BYTES, bytes, size_bytes, digest, NULL);
	memcpy(&print, digest, sizeof(print));
	secret_wipe(digest, sizeof(digest));
	return print ?: 1;
}

/* Where it is, or where it would be put: a table is never more than half full. */
static uint64_t *slot_of(uint64_t *table, uint64_t print)
{
	size_t i = print % RECENT_SET_SLOTS;

	while (table[i] != 0 && table[i] != print)
		i = (i + 1) % RECENT_SET_SLOTS;
	return &table[i];
}

static bool is_known(const struct recent_set *set, uint64_t print)
{
	return (set->young && *slot_of(set->young, print) == print) ||
	       (set->old && *slot_of(set->old, print) == print);
}

bool recent_set_contains(const struct recent_set *set, const void *bytes, size_t size_bytes)
{
	return is_known(set, fingerprint(set, bytes, size_bytes));
}

static int make_room(struct recent_set *set)
{
	uint64_t *fresh;

	if (set->young && set->young_count < RECENT_SET_MIN)
		return 0;
	fresh = calloc(RECENT_SET_SLOTS, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	free(set->old);
	set->old = set->young;
	set->young = fresh;
	set->young_count = 0;
	return 0;
}

int recent_set_add(struct recent_set *set, const void *bytes, size_t size_bytes)
{
	uint64_t print = fingerprint(set, bytes, size_bytes);
	int r;

	if (is_known(set, print))
		return -EEXIST;
	r = make_room(set);
	if (r < 0)
		return r;
	*slot_of(set->young, print) = print;
	set->young_count++;
	return 0;
}
