/* SPDX-License-Identifier: MIT */
/* Distilled keys that nobody has taken yet, by block. */

#include "qkd-linkd/distill-stock.h"

#define VERSION_BITS 0x80 /* of byte 6: version 8 */
#define VARIANT_BITS 0x80 /* of byte 8 */
#define SESSION_MASK UINT64_C(0xffffffffffff0fff)
#define BLOCK_MASK   0x00ffffffu

struct stock_block {
	uint64_t session;
	uint32_t block;
	struct secret *key;
	size_t count, taken_count, first; /* first: below it all are taken */
	uint8_t *taken;                   /* one bit a key */
};

struct distill_stock {
	size_t key_bytes, bytes;
	struct stock_block blocks[DISTILL_STOCK_MAX_BLOCKS]; /* oldest first */
	size_t block_count;
};

int distill_stock_new(size_t key_bytes, struct distill_stock **ret)
{
	struct distill_stock *stock = calloc(1, sizeof(*stock));

	if (!stock)
		return -ENOMEM;
	stock->key_bytes = key_bytes;
	*ret = stock;
	return 0;
}

static void drop_block(struct distill_stock *stock, size_t i)
{
	struct stock_block *block = &stock->blocks[i];

	stock->bytes -= (block->count - block->taken_count) * stock->key_bytes;
	secret_free(block->key);
	free(block->taken);
	stock->block_count--;
	memmove(block, block + 1, (stock->block_count - i) * sizeof(*block));
}

struct distill_stock *distill_stock_free(struct distill_stock *stock)
{
	if (!stock)
		return NULL;
	while (stock->block_count > 0)
		drop_block(stock, stock->block_count - 1);
	free(stock);
	return NULL;
}

size_t distill_stock_bytes(const struct distill_stock *stock)
{
	return stock->bytes;
}

int distill_stock_add(struct distill_stock *stock, uint64_t session, uint32_t block,
		      struct secret *key)
{
	_cleanup_(secret_freep) struct secret *owned = key;
	size_t count = key->size_bytes / stock->key_bytes;
	uint8_t *taken;

	if (count == 0)
		return 0;
	taken = calloc(count / 8 + 1, 1);
	if (!taken)
		return -ENOMEM;
	if (stock->block_count == DISTILL_STOCK_MAX_BLOCKS)
		drop_block(stock, 0);
	stock->blocks[stock->block_count++] = (struct stock_block){
		.session = session & SESSION_MASK,
		.block = block & BLOCK_MASK,
		.key = TAKE_PTR(owned),
		.count = count,
		.taken = taken,
	};
	stock->bytes += count * stock->key_bytes;
	return 0;
}

static void build_id(const struct stock_block *block, size_t place, struct uuid *ret)
{
	for (size_t i = 0; i < 8; i++)
		ret->bytes[i] = (uint8_t)(block->session >> (56 - 8 * i));
	ret->bytes[6] |= VERSION_BITS;
	ret->bytes[8] = VARIANT_BITS;
	for (size_t i = 0; i < 3; i++)
		ret->bytes[9 + i] = (uint8_t)(block->block >> (16 - 8 * i));
	for (size_t i = 0; i < 4; i++)
		ret->bytes[12 + i] = (uint8_t)(place >> (24 - 8 * i));
}

bool distill_stock_parse_id(const struct uuid *id, uint64_t *ret_session, uint32_t *ret_block)
{
	uint64_t session = 0;

	if ((id->bytes[6] & 0xf0) != VERSION_BITS || id->bytes[8] != VARIANT_BITS)
		return false;
	for (size_t i = 0; i < 8; i++)
		session = session << 8 | id->bytes[i];
	*ret_session = session & SESSION_MASK;
	*ret_block = (uint32_t)id->bytes[9] << 16 | (uint32_t)id->bytes[10] << 8 | id->bytes[11];
	return true;
}

static bool is_taken(const struct stock_block *block, size_t place)
{
	return block->taken[place / 8] >> place % 8 & 1;
}

static void take(struct distill_stock *stock, struct stock_block *block, size_t place,
		 struct key_batch *batch, size_t to)
{
	uint8_t *key = block->key->bytes + place * stock->key_bytes;

	memcpy(key_batch_key(batch, to), key, stock->key_bytes);
	secret_wipe(key, stock->key_bytes);
	build_id(block, place, &batch->ids[to]);
	block->taken[place / 8] |= (uint8_t)(1u << place % 8);
	block->taken_count++;
	stock->bytes -= stock->key_bytes;
}

static void drop_empty(struct distill_stock *stock)
{
	for (size_t i = stock->block_count; i-- > 0;)
		if (stock->blocks[i].taken_count == stock->blocks[i].count)
			drop_block(stock, i);
}

int distill_stock_take(struct distill_stock *stock, size_t count, struct key_batch **ret)
{
	size_t available = stock->bytes / stock->key_bytes, filled = 0;
	struct key_batch *batch;
	int r;

	available = MIN(available, (size_t)DRIVER_MAX_KEYS);
	count = MIN(count, available);
	if (count == 0)
		return -EAGAIN;
	r = key_batch_new(count, stock->key_bytes, &batch);
	if (r < 0)
		return r;
	for (size_t i = 0; filled < count; i++) {
		struct stock_block *block = &stock->blocks[i];

		for (; block->first < block->count && filled < count; block->first++)
			if (!is_taken(block, block->first))
				take(stock, block, block->first, batch, filled++);
	}
	drop_empty(stock);
	*ret = batch;
	return 0;
}

static struct stock_block *find(struct distill_stock *stock, const struct uuid *id,
				size_t *ret_place)
{
	uint64_t session;
	uint32_t number;

	if (!distill_stock_parse_id(id, &session, &number))
		return NULL;
	*ret_place = (size_t)id->bytes[12] << 24 | (size_t)id->bytes[13] << 16 |
		     (size_t)id->bytes[14] << 8 | id->bytes[15];
	for (size_t i = 0; i < stock->block_count; i++) {
		struct stock_block *block = &stock->blocks[i];

		if (block->session == session && block->block == number)
			return *ret_place < block->count ? block : NULL;
	}
	return NULL;
}

/* Sets or clears the marks of the first count ids, which are there. */
static void mark(struct distill_stock *stock, const struct uuid *ids, size_t count, bool is_taken)
{
	for (size_t i = 0; i < count; i++) {
		size_t place;
		struct stock_block *block = find(stock, &ids[i], &place);
		uint8_t bit = (uint8_t)(1u << place % 8);

		if (is_taken)
			block->taken[place / 8] |= bit;
		else
			block->taken[place / 8] &= (uint8_t)~bit;
	}
}

int distill_stock_take_by_id(struct distill_stock *stock, const struct uuid *ids, size_t count,
			     struct key_batch **ret)
{
	struct key_batch *batch;
	size_t place;
	int r;

	/* Marked as they are found, so that one which is named twice is not found again. */
	for (size_t i = 0; i < count; i++) {
		struct stock_block *block = find(stock, &ids[i], &place);

		if (!block || is_taken(block, place)) {
			mark(stock, ids, i, false);
			return -ENOKEY;
		}
		mark(stock, &ids[i], 1, true);
	}
	r = key_batch_new(count, stock->key_bytes, &batch);
	if (r < 0) {
		mark(stock, ids, count, false);
		return r;
	}
	for (size_t i = 0; i < count; i++) {
		struct stock_block *block = find(stock, &ids[i], &place);

		take(stock, block, place, batch, i);
	}
	drop_empty(stock);
	*ret = batch;
	return 0;
}
