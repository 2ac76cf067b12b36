/* SPDX-License-Identifier: MIT */

/*
 * The table of labels. Names come from local requesters and from the peer, so the hash is seeded.
 */

#include "qkd-keyringd/label.h"

#define LABEL_BUCKETS_MIN 64

static uint64_t hash_name(const char *name)
{
	struct uuid id = {};

	for (size_t i = 0; name[i]; i++) {
		uint64_t mixed;

		id.bytes[8] = (uint8_t)name[i];
		mixed = id_table_hash(&id, id_table_seed());
		memcpy(id.bytes, &mixed, sizeof(mixed));
	}
	return id_table_hash(&id, id_table_seed());
}

static struct label **bucket(const struct label_table *table, const char *name)
{
	return &table->buckets[hash_name(name) & (table->bucket_count - 1)];
}

struct label *label_find(const struct label_table *table, const char *name)
{
	struct label *label;

	if (table->count == 0)
		return NULL;
	for (label = *bucket(table, name); label; label = label->next)
		if (str_equal(label->name, name))
			break;
	return label;
}

static int grow(struct label_table *table)
{
	struct label_table larger = {
		.bucket_count = table->bucket_count ? table->bucket_count * 2 : LABEL_BUCKETS_MIN,
		.count = table->count,
	};

	larger.buckets = calloc(larger.bucket_count, sizeof(*larger.buckets));
	if (!larger.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < table->bucket_count; i++)
		for (struct label *label = table->buckets[i], *next; label; label = next) {
			struct label **place = bucket(&larger, label->name);

			next = label->next;
			label->next = *place;
			*place = label;
		}
	free(table->buckets);
	*table = larger;
	return 0;
}

int label_add(struct label_table *table, struct issuer_store *store, const char *name,
	      struct label **ret)
{
	struct label *label, **place;
	int r;

	if (table->count >= table->bucket_count) {
		r = grow(table);
		if (r < 0)
			return r;
	}
	label = calloc(1, sizeof(*label));
	if (!label)
		return -ENOMEM;
	label->store = store;
	strcpy(label->name, name);
	list_init(&label->waiter.link);
	list_init(&label->supply.link);
	list_init(&label->asks);
	list_init(&label->waiting);
	place = bucket(table, name);
	label->next = *place;
	*place = label;
	table->count++;
	*ret = label;
	return 0;
}

static void label_free(struct label *label)
{
	list_remove(&label->waiter.link);
	list_remove(&label->supply.link);
	LIST_FOREACH (link, &label->asks) {
		list_remove(link);
		free(LIST_ENTRY(link, struct label_ask, link));
	}
	free(label);
}

void label_remove(struct label_table *table, struct label *label)
{
	struct label **place = bucket(table, label->name);

	while (*place != label)
		place = &(*place)->next;
	*place = label->next;
	table->count--;
	label_free(label);
}

void label_foreach(struct label_table *table, void (*each)(struct label *label, void *userdata),
		   void *userdata)
{
	for (size_t i = 0; i < table->bucket_count; i++)
		for (struct label *label = table->buckets[i], *next; label; label = next) {
			next = label->next;
			each(label, userdata);
		}
}

void label_table_done(struct label_table *table)
{
	for (size_t i = 0; i < table->bucket_count; i++)
		for (struct label *label = table->buckets[i], *next; label; label = next) {
			next = label->next;
			label_free(label);
		}
	free(table->buckets);
	*table = (struct label_table){};
}
