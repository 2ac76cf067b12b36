/* SPDX-License-Identifier: MIT */

/*
 * Computes the tag of `confirm`. It is its own file because it is all the cryptography that the
 * sync protocol has.
 */

#include "qkd-linkd/sync-confirm.h"

#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

DEFINE_CLEANUP(EVP_MAC *, EVP_MAC_free);
DEFINE_CLEANUP(EVP_MAC_CTX *, EVP_MAC_CTX_free);

static const char confirm_label[] = "qkd-confirm";

int sync_confirm_tag(const struct sync_txn *txn, uint8_t ret_tag[static SYNC_TAG_BYTES])
{
	_cleanup_(EVP_MAC_freep) EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	_cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
	const struct key_batch *keys = txn->keys;
	uint64_t number = htobe64(txn->number);
	char digest[] = "SHA256";
	OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
				   OSSL_PARAM_construct_end()};
	uint8_t tag[SYNC_TAG_BYTES];
	size_t size_bytes;

	if (!context)
		return -ENOMEM;
	if (!EVP_MAC_init(context, key_batch_key(keys, keys->count - 1), keys->key_bytes,
			  parameters) ||
	    !EVP_MAC_update(context, (const uint8_t *)confirm_label, sizeof(confirm_label)) ||
	    !EVP_MAC_update(context, (const uint8_t *)&number, sizeof(number)) ||
	    !EVP_MAC_update(context, (const uint8_t *)keys->ids,
			    keys->count * sizeof(*keys->ids)) ||
	    !EVP_MAC_update(context, keys->keys->bytes, (keys->count - 1) * keys->key_bytes) ||
	    !EVP_MAC_final(context, tag, &size_bytes, sizeof(tag)))
		return -EIO;
	memcpy(ret_tag, tag, sizeof(tag));
	return 0;
}

bool sync_confirm_equal(const uint8_t a[static SYNC_TAG_BYTES],
			const uint8_t b[static SYNC_TAG_BYTES])
{
	return CRYPTO_memcmp(a, b, SYNC_TAG_BYTES) == 0;
}
