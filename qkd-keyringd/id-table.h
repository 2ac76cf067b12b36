/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A hash table of objects that have a UUID: reservations by key id, requests by request id. The
 * node is a member of the object; the table owns nothing but its buckets. Ids come from devices and
 * peers, so the hash is seeded.
 */

#include "common/name.h"

struct id_node {
	struct uuid id;
	struct id_node *next;
};

struct id_table {
	struct id_node **buckets;
	size_t bucket_count, count;
	uint64_t seed;
};

/* The seed of this process, from getrandom(2). */
uint64_t id_table_seed(void);
uint64_t id_table_hash(const struct uuid *id, uint64_t seed) _pure_;

void id_table_done(struct id_table *table);
struct id_node *id_table_find(const struct id_table *table, const struct uuid *id);
/* -EEXIST, -ENOMEM */
int id_table_add(struct id_table *table, struct id_node *node);
void id_table_remove(struct id_table *table, struct id_node *node);
/* Any one of them, or NULL: for emptying the table. */
struct id_node *id_table_first(const struct id_table *table);
/* each() may remove the node that it is given, and add none. */
void id_table_foreach(struct id_table *table, void (*each)(struct id_node *node, void *userdata),
		      void *userdata);
