/* SPDX-License-Identifier: MIT */

/* The tag over everything that the two ends have to agree in: which build, over which sites, which
 * keys. */

#include "qkd-keyringd/path-tag.h"

#include <openssl/evp.h>

#define TAG_CONTEXT "qkd-keyring path 1"

/* Length first, so that no two rows of sites look alike. */
static bool add_sites(EVP_MAC_CTX *context, const struct path *path)
{
	uint8_t count = (uint8_t)path->count;
	bool ok = EVP_MAC_update(context, &count, 1);

	for (size_t i = 0; ok && i < path->count; i++)
		ok = EVP_MAC_update(context, (const uint8_t *)path->sites[i],
				    strlen(path->sites[i]) + 1);
	return ok;
}

static bool add_all(EVP_MAC_CTX *context, const struct path_message *message, const uint8_t *keys,
		    size_t size_bytes)
{
	uint8_t numbers[8];
	bool ok = EVP_MAC_update(context, (const uint8_t *)TAG_CONTEXT, sizeof(TAG_CONTEXT)) &&
		  EVP_MAC_update(context, message->build.bytes, sizeof(message->build.bytes));

	for (size_t i = 0; ok && i < message->leg_count; i++)
		ok = add_sites(context, &message->legs[i]);
	for (unsigned i = 0; i < 4; i++) {
		numbers[i] = (uint8_t)(message->bits >> (8 * i));
		numbers[4 + i] = (uint8_t)(message->count >> (8 * i));
	}
	return ok && EVP_MAC_update(context, numbers, sizeof(numbers)) &&
	       EVP_MAC_update(context, keys, size_bytes);
}

int path_tag(const struct path_message *message, const struct secret *keys,
	     uint8_t ret_tag[static PATH_MESSAGE_TAG_BYTES])
{
	static EVP_MAC *poly1305; /* looked up once */
	size_t key_bytes = message->bits / 8;
	size_t size_bytes = (message->count - path_tag_keys(message->bits)) * key_bytes;
	size_t tag_bytes = 0;
	EVP_MAC_CTX *context;
	bool ok;

	if (!poly1305)
		poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	context = poly1305 ? EVP_MAC_CTX_new(poly1305) : NULL;
	ok = context && EVP_MAC_init(context, keys->bytes + size_bytes, PATH_TAG_KEY_BYTES, NULL) &&
	     add_all(context, message, keys->bytes, size_bytes) &&
	     EVP_MAC_final(context, ret_tag, &tag_bytes, PATH_MESSAGE_TAG_BYTES);
	EVP_MAC_CTX_free(context);
	return ok && tag_bytes == PATH_MESSAGE_TAG_BYTES ? 0 : -EIO;
}
