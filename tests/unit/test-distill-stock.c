/* SPDX-License-Identifier: MIT */
/* Distilled keys: the same ids at both ends, each key once. */

#include <criterion/criterion.h>

#include "qkd-linkd/distill-stock.h"

#define KEY_BYTES 32

static void add(struct distill_stock *stock, uint64_t session, uint32_t block, size_t keys)
{
	struct secret *key;

	cr_assert_eq(secret_new(keys * KEY_BYTES + 5, &key), 0);
	for (size_t i = 0; i < key->size_bytes; i++)
		key->bytes[i] = (uint8_t)(session + block * 7 + i);
	cr_assert_eq(distill_stock_add(stock, session, block, key), 0);
}

Test(distill_stock, what_one_end_takes_the_other_finds_by_its_ids)
{
	_cleanup_(distill_stock_freep) struct distill_stock *leader = NULL, *follower = NULL;
	_cleanup_(key_batch_freep) struct key_batch *a = NULL, *b = NULL;
	uint64_t session;
	uint32_t block;

	cr_assert_eq(distill_stock_new(KEY_BYTES, &leader), 0);
	cr_assert_eq(distill_stock_new(KEY_BYTES, &follower), 0);
	for (uint32_t i = 0; i < 3; i++) {
		add(leader, UINT64_C(0x123456789abcdef0), i, 10);
		add(follower, UINT64_C(0x123456789abcdef0), 2 - i, 10);
	}
	cr_expect_eq(distill_stock_bytes(leader), 30 * KEY_BYTES);
	cr_assert_eq(distill_stock_take(leader, 25, &a), 0);
	cr_assert_eq(a->count, 25);
	cr_assert_eq(distill_stock_take_by_id(follower, a->ids, 25, &b), 0);
	cr_expect(secret_equal(a->keys, b->keys));
	cr_expect_eq(memcmp(a->ids, b->ids, 25 * sizeof(*a->ids)), 0);
	cr_expect_eq(distill_stock_bytes(follower), 5 * KEY_BYTES);
	cr_expect(distill_stock_parse_id(&a->ids[24], &session, &block));
	cr_expect_eq(session, UINT64_C(0x123456789abcdef0) & UINT64_C(0xffffffffffff0fff));
	cr_expect_eq(block, 2);
}

Test(distill_stock, a_key_is_given_once)
{
	_cleanup_(distill_stock_freep) struct distill_stock *stock = NULL;
	_cleanup_(key_batch_freep) struct key_batch *all = NULL, *some = NULL;
	struct key_batch *none = NULL;
	struct uuid twice[2], ids[4];

	cr_assert_eq(distill_stock_new(KEY_BYTES, &stock), 0);
	add(stock, 1, 0, 4);
	cr_assert_eq(distill_stock_take(stock, 4, &all), 0);
	memcpy(ids, all->ids, sizeof(ids));
	cr_expect_eq(distill_stock_take(stock, 1, &none), -EAGAIN);
	cr_expect_eq(distill_stock_take_by_id(stock, ids, 4, &none), -ENOKEY);
	add(stock, 1, 0, 4);
	twice[0] = twice[1] = ids[2];
	cr_expect_eq(distill_stock_take_by_id(stock, twice, 2, &none), -ENOKEY);
	cr_expect_eq(distill_stock_bytes(stock), 4 * KEY_BYTES);
	cr_assert_eq(distill_stock_take_by_id(stock, &ids[2], 1, &some), 0);
	cr_expect_eq(distill_stock_take_by_id(stock, ids, 3, &none), -ENOKEY);
	cr_expect_eq(distill_stock_bytes(stock), 3 * KEY_BYTES);
	key_batch_free(all);
	cr_assert_eq(distill_stock_take(stock, 4, &all), 0);
	cr_expect_eq(all->count, 3);
	cr_expect_eq(distill_stock_bytes(stock), 0);
}

Test(distill_stock, the_oldest_block_goes_when_there_are_too_many)
{
	_cleanup_(distill_stock_freep) struct distill_stock *stock = NULL;

	cr_assert_eq(distill_stock_new(KEY_BYTES, &stock), 0);
	for (uint32_t i = 0; i < DISTILL_STOCK_MAX_BLOCKS + 3; i++)
		add(stock, 1, i, 2);
	cr_expect_eq(distill_stock_bytes(stock), 2 * DISTILL_STOCK_MAX_BLOCKS * KEY_BYTES);
}

Test(distill_stock, ids_of_other_kinds_name_nothing)
{
	_cleanup_(distill_stock_freep) struct distill_stock *stock = NULL;
	struct key_batch *none = NULL;
	struct uuid id;

	cr_assert_eq(distill_stock_new(KEY_BYTES, &stock), 0);
	add(stock, 1, 0, 4);
	cr_assert_eq(uuid_new_random(&id), 0);
	cr_expect_eq(distill_stock_take_by_id(stock, &id, 1, &none), -ENOKEY);
}
