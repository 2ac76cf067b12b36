/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "qkd-linkd/sync-confirm.h"

#define KEY_BYTES 32
#define COUNT     4

static struct sync_txn *make(void)
{
	struct sync_txn *txn;

	cr_assert_eq(sync_txn_new(9, &txn), 0);
	cr_assert_eq(key_batch_new(COUNT, KEY_BYTES, &txn->keys), 0);
	for (size_t i = 0; i < COUNT; i++) {
		txn->keys->ids[i].bytes[0] = (uint8_t)i;
		memset(key_batch_key(txn->keys, i), (int)(0x10 + i), KEY_BYTES);
	}
	txn->count = COUNT;
	txn->lines = COUNT - 1;
	return txn;
}

static void tag_of(const struct sync_txn *txn, uint8_t *ret_tag)
{
	cr_assert_eq(sync_confirm_tag(txn, ret_tag), 0);
}

Test(sync_confirm, equal_keys_give_equal_tags)
{
	_cleanup_(sync_txn_freep) struct sync_txn *a = make(), *b = make();
	uint8_t tags[2][SYNC_TAG_BYTES];

	tag_of(a, tags[0]);
	tag_of(b, tags[1]);
	cr_assert(sync_confirm_equal(tags[0], tags[1]));
}

Test(sync_confirm, every_bit_of_every_key_id_and_the_number_counts)
{
	_cleanup_(sync_txn_freep) struct sync_txn *txn = make();
	uint8_t first[SYNC_TAG_BYTES], tag[SYNC_TAG_BYTES];

	tag_of(txn, first);
	for (size_t i = 0; i < COUNT * KEY_BYTES; i++) {
		txn->keys->keys->bytes[i] ^= 1u << (i % 8);
		tag_of(txn, tag);
		cr_assert_not(sync_confirm_equal(first, tag), "byte %zu", i);
		txn->keys->keys->bytes[i] ^= 1u << (i % 8);
	}
	txn->keys->ids[2].bytes[9] = 1;
	tag_of(txn, tag);
	cr_assert_not(sync_confirm_equal(first, tag));
	txn->keys->ids[2].bytes[9] = 0;
	txn->number++;
	tag_of(txn, tag);
	cr_assert_not(sync_confirm_equal(first, tag));
}

/* Computed with Python's hmac and hashlib over the same bytes. */
Test(sync_confirm, the_tag_is_hmac_sha256_as_documented)
{
	static const uint8_t expected[SYNC_TAG_BYTES] = {
		0x1b, 0x49, 0x8a, 0xdc, 0xdb, 0x20, 0x45, 0x0f, 0x6c, 0x99, 0xfb,
		0x47, 0x25, 0x55, 0x77, 0xc9, 0x3c, 0x31, 0xb5, 0x3f, 0xa5, 0x31,
		0xd1, 0xea, 0x75, 0x70, 0xb2, 0xcf, 0x16, 0x9a, 0x32, 0x09};
	_cleanup_(sync_txn_freep) struct sync_txn *txn = make();
	uint8_t tag[SYNC_TAG_BYTES];

	tag_of(txn, tag);
	cr_assert_arr_eq(tag, expected, sizeof(tag));
}
