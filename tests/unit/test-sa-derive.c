/* SPDX-License-Identifier: MIT */
/* Keys of associations: the same at both ends, different wherever anything differs. */

#include <criterion/criterion.h>

#include "common/encoding.h"
#include "keyring-helpers/qkd-xfrmd/sa-derive.h"

static const struct sa_derive_context context = {
	.connection = "office",
	.generation = 0x0123456789abcdef,
	.direction = SA_DERIVE_FROM_LEADER,
	.spi = 0xc0ffee01,
	.nonce_leader = "leader's nonce!",
	.nonce_follower = "follower's nonc",
};

static struct secret *quantum_key(size_t size_bytes)
{
	struct secret *key;

	cr_assert_eq(secret_new(size_bytes, &key), 0);
	memset(key->bytes, 0x5a, size_bytes);
	return key;
}

static struct secret *derive(const struct secret *key, const struct sa_derive_context *c)
{
	struct secret *out;

	cr_assert_eq(sa_derive_key(key, c, &out), 0);
	cr_assert_eq(out->size_bytes, SA_DERIVE_KEY_BYTES);
	return out;
}

/* From: openssl kdf -keylen 36 -kdfopt digest:SHA256 -kdfopt hexkey:5a..5a (32)
 * -kdfopt salt:"qkd-xfrmd 1" -kdfopt hexinfo:... HKDF */
Test(sa_derive, gives_what_openssl_gives_on_its_command_line)
{
	_cleanup_(secret_freep) struct secret *key = quantum_key(32);
	_cleanup_(secret_freep) struct secret *out = derive(key, &context);
	char digits[2 * SA_DERIVE_KEY_BYTES + 1] = "";

	hex_encode(out->bytes, out->size_bytes, digits);
	cr_assert_str_eq(
		digits, "ec178e5f6c570cb43335b0d28f491a4531a9c556a9b2db5167f426805793079c62fdad16");
}

Test(sa_derive, gives_another_key_for_whatever_differs)
{
	_cleanup_(secret_freep) struct secret *key = quantum_key(32), *other = quantum_key(64);
	_cleanup_(secret_freep) struct secret *control = NULL;
	struct sa_derive_context different[7];
	struct secret *keys[9];

	for (size_t i = 0; i < ELEMENTSOF(different); i++)
		different[i] = context;
	different[1].connection = "offic";
	different[2].generation++;
	different[3].direction = SA_DERIVE_FROM_FOLLOWER;
	different[4].spi++;
	different[5].nonce_leader[0]++;
	different[6].nonce_follower[0]++;
	for (size_t i = 0; i < ELEMENTSOF(different); i++)
		keys[i] = derive(key, &different[i]);
	keys[7] = derive(other, &context);
	cr_assert_eq(sa_derive_control(key, "office", context.generation, &control), 0);
	cr_assert_eq(secret_new_copy(control->bytes, control->size_bytes, &keys[8]), 0);
	for (size_t i = 0; i < ELEMENTSOF(keys); i++)
		for (size_t k = 0; k < i; k++)
			cr_assert_neq(
				memcmp(keys[i]->bytes, keys[k]->bytes, SA_DERIVE_CONTROL_BYTES), 0,
				"%zu and %zu", i, k);
	for (size_t i = 0; i < ELEMENTSOF(keys); i++)
		secret_free(keys[i]);
}

Test(sa_derive, refuses_a_key_of_less_than_256_bits)
{
	_cleanup_(secret_freep) struct secret *key = quantum_key(31);
	struct secret *out = NULL;

	cr_assert_eq(sa_derive_key(key, &context, &out), -EKEYREJECTED);
	cr_assert_eq(sa_derive_control(key, "office", 1, &out), -EKEYREJECTED);
	cr_assert_null(out);
}
