/* SPDX-License-Identifier: MIT */

/*
 * The table of UUIDs: chained buckets, doubled when they are full on average. It exists because
 * several parts of the issuer look objects up by an id that somebody else has chosen.
 */

#include "qkd-keyringd/id-table.h"

#include <sys/random.h>

#define ID_TABLE_BUCKETS_MIN 64

uint64_t id_table_seed(void)
{
	static uint64_t seed;

	while (seed == 0)
		if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
			seed = (uint64_t)(uintptr_t)&seed ^ (uint64_t)getpid();
	return seed;
}

uint64_t id_table_hash(const struct uuid *id, uint64_t seed)
{
	return uuid_hash(id, seed);
}

static struct id_node **bucket(const struct id_table *table, const struct uuid *id)
{
	return &table->buckets[id_table_hash(id, table->seed) & (table->bucket_count - 1)];
}

static int grow(struct id_table *table)
{
	size_t count = table->bucket_count ? table->bucket_count * 2 : ID_TABLE_BUCKETS_MIN;
	struct id_table larger = {.bucket_count = count, .seed = id_table_seed()};

	larger.buckets = calloc(count, sizeof(*larger.buckets));
	if (!larger.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < table->bucket_count; i++)
		for (struct id_node *node = table->buckets[i], *next; node; node = next) {
			struct id_node **place = bucket(&larger, &node->id);

			next = node->next;
			node->next = *place;
			*place = node;
		}
	larger.count = table->count;
	free(table->buckets);
	*table = larger;
	return 0;
}

void id_table_done(struct id_table *table)
{
	free(table->buckets);
	*table = (struct id_table){};
}

struct id_node *id_table_find(const struct id_table *table, const struct uuid *id)
{
	struct id_node *node;

	if (table->count == 0)
		return NULL;
	for (node = *bucket(table, id); node; node = node->next)
		if (uuid_equal(&node->id, id))
			break;
	return node;
}

int id_table_add(struct id_table *table, struct id_node *node)
{
	struct id_node **place;
	int r;

	if (id_table_find(table, &node->id))
		return -EEXIST;
	if (table->count >= table->bucket_count) {
		r = grow(table);
		if (r < 0)
			return r;
	}
	place = bucket(table, &node->id);
	node->next = *place;
	*place = node;
	table->count++;
	return 0;
}

void id_table_remove(struct id_table *table, struct id_node *node)
{
	struct id_node **place = bucket(table, &node->id);

	while (*place && *place != node)
		place = &(*place)->next;
	if (!*place)
		return;
	*place = node->next;
	node->next = NULL;
	table->count--;
}

struct id_node *id_table_first(const struct id_table *table)
{
	for (size_t i = 0; table->count > 0 && i < table->bucket_count; i++)
		if (table->buckets[i])
			return table->buckets[i];
	return NULL;
}

void id_table_foreach(struct id_table *table, void (*each)(struct id_node *node, void *userdata),
		      void *userdata)
{
	for (size_t i = 0; i < table->bucket_count; i++)
		for (struct id_node *node = table->buckets[i], *next; node; node = next) {
			next = node->next;
			each(node, userdata);
		}
}
