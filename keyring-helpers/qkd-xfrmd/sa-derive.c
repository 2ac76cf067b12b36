/* SPDX-License-Identifier: MIT */
/* Key derivation for security associations: HKDF with an info that names all there is to name. */

#include "sa-derive.h"

#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define SALT           "qkd-xfrmd 1"
#define INFO_MAX_BYTES 128
#define NAME_MAX_BYTES 64

DEFINE_CLEANUP(EVP_KDF *, EVP_KDF_free);
DEFINE_CLEANUP(EVP_KDF_CTX *, EVP_KDF_CTX_free);

struct info {
	uint8_t bytes[INFO_MAX_BYTES];
	size_t size_bytes;
};

static void info_add(struct info *info, const void *bytes, size_t size_bytes)
{
	memcpy(info->bytes + info->size_bytes, bytes, size_bytes);
	info->size_bytes += size_bytes;
}

/* Purpose and connection end with NUL, all else has a fixed size: one info, one meaning. */
static void info_begin(struct info *info, const char *purpose, const char *connection,
		       uint64_t generation)
{
	uint64_t big = htobe64(generation);

	info_add(info, purpose, strlen(purpose) + 1);
	info_add(info, connection, strnlen(connection, NAME_MAX_BYTES - 1));
	info_add(info, "", 1);
	info_add(info, &big, sizeof(big));
}

static int derive(const struct secret *key, const struct info *info, size_t size_bytes,
		  struct secret **ret)
{
	_cleanup_(EVP_KDF_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	_cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	_cleanup_(secret_freep) struct secret *out = NULL;
	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key->bytes, key->size_bytes),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (char *)SALT, strlen(SALT)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info->bytes,
						  info->size_bytes),
		OSSL_PARAM_construct_end(),
	};
	int r;

	if (!context)
		return -ENOMEM;
	if (key->size_bytes < SA_DERIVE_MIN_BYTES)
		return -EKEYREJECTED;
	r = secret_new(size_bytes, &out);
	if (r < 0)
		return r;
	if (EVP_KDF_derive(context, out->bytes, out->size_bytes, parameters) != 1)
		return -EIO;
	*ret = TAKE_PTR(out);
	return 0;
}

int sa_derive_control(const struct secret *key, const char *connection, uint64_t generation,
		      struct secret **ret)
{
	struct info info = {0};

	info_begin(&info, "control", connection, generation);
	return derive(key, &info, SA_DERIVE_CONTROL_BYTES, ret);
}

int sa_derive_key(const struct secret *key, const struct sa_derive_context *context,
		  struct secret **ret)
{
	struct info info = {0};
	uint8_t direction = (uint8_t)context->direction;
	uint32_t spi = htobe32(context->spi);

	info_begin(&info, "esp", context->connection, context->generation);
	info_add(&info, &direction, sizeof(direction));
	info_add(&info, &spi, sizeof(spi));
	info_add(&info, context->nonce_leader, sizeof(context->nonce_leader));
	info_add(&info, context->nonce_follower, sizeof(context->nonce_follower));
	return derive(key, &info, SA_DERIVE_KEY_BYTES, ret);
}
