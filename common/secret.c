/* SPDX-License-Identifier: MIT */
/*
 * Secrets as objects and as malloc(3)'s family, on top of secret-arena.c.
 *
 * A struct secret and its bytes are one object of the arena, so that a key costs one allocation and
 * there is nothing of it elsewhere.
 */

#include <openssl/crypto.h>

#include "common/secret-arena.h"
#include "common/secret.h"

int secret_new(size_t size_bytes, struct secret **ret)
{
	struct secret *secret;

	if (size_bytes == 0 || size_bytes > SECRET_MAX_BYTES)
		return -EINVAL;
	secret = secret_arena_allocate(sizeof(*secret) + size_bytes);
	if (!secret)
		return -ENOMEM;
	secret->bytes = (uint8_t *)(secret + 1);
	secret->size_bytes = size_bytes;
	*ret = secret;
	return 0;
}

int secret_new_copy(const void *bytes, size_t size_bytes, struct secret **ret)
{
	struct secret *secret;
	int r = secret_new(size_bytes, &secret);

	if (r < 0)
		return r;
	memcpy(secret->bytes, bytes, size_bytes);
	*ret = secret;
	return 0;
}

struct secret *secret_free(struct secret *secret)
{
	if (secret)
		secret_arena_release(secret);
	return NULL;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return a->size_bytes == b->size_bytes &&
	       CRYPTO_memcmp(a->bytes, b->bytes, a->size_bytes) == 0;
}

void secret_wipe(void *bytes, size_t size_bytes)
{
	explicit_bzero(bytes, size_bytes);
}

void *secret_malloc(size_t size_bytes)
{
	void *pointer = NULL;

	if (size_bytes <= SECRET_MAX_BYTES)
		pointer = secret_arena_allocate(size_bytes);
	if (!pointer)
		errno = ENOMEM;
	return pointer;
}

void *secret_calloc(size_t count, size_t size_bytes)
{
	size_t total;

	if (__builtin_mul_overflow(count, size_bytes, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return secret_malloc(total); /* the arena's memory is zero */
}

void *secret_realloc(void *pointer, size_t size_bytes)
{
	size_t usable;
	void *larger;

	if (!pointer)
		return secret_malloc(size_bytes);
	usable = secret_arena_usable(pointer);
	if (size_bytes <= usable && size_bytes >= usable / 2)
		return pointer;
	larger = secret_malloc(size_bytes);
	if (!larger)
		return NULL;
	memcpy(larger, pointer, MIN(usable, size_bytes));
	secret_arena_release(pointer);
	return larger;
}

char *secret_strdup(const char *text)
{
	size_t size_bytes = strlen(text) + 1;
	char *copy = secret_malloc(size_bytes);

	if (copy)
		memcpy(copy, text, size_bytes);
	return copy;
}

void secret_mfree(void *pointer)
{
	if (pointer)
		secret_arena_release(pointer);
}

const char *secret_backing(void)
{
	return secret_arena_is_memfd() ? "memfd_secret" : "locked memory";
}
