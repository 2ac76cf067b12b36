/* SPDX-License-Identifier: MIT */

/* The table of objects by UUID, and the lists that go with it. */

#include <criterion/criterion.h>

#include "qkd-keyringd/id-table.h"
#include "qkd-keyringd/list.h"

#define COUNT 1000

static struct id_node nodes[COUNT];

static void fill(struct id_table *table)
{
	for (size_t i = 0; i < COUNT; i++) {
		memcpy(nodes[i].id.bytes, &i, sizeof(i));
		cr_assert_eq(id_table_add(table, &nodes[i]), 0);
	}
}

Test(id_table, finds_what_was_added_and_not_what_was_removed)
{
	struct id_table table = {};

	fill(&table);
	for (size_t i = 0; i < COUNT; i += 2)
		id_table_remove(&table, &nodes[i]);
	cr_assert_eq(table.count, COUNT / 2);
	for (size_t i = 0; i < COUNT; i++)
		cr_assert_eq(id_table_find(&table, &nodes[i].id), i % 2 ? &nodes[i] : NULL);
	id_table_done(&table);
}

Test(id_table, refuses_an_id_twice)
{
	struct id_table table = {};
	struct id_node twin = {};

	fill(&table);
	cr_assert_eq(id_table_add(&table, &twin), -EEXIST);
	id_table_done(&table);
}

static void remove_node(struct id_node *node, void *userdata)
{
	id_table_remove(userdata, node);
}

Test(id_table, may_be_emptied_while_it_is_walked)
{
	struct id_table table = {};

	fill(&table);
	id_table_foreach(&table, remove_node, &table);
	cr_assert_eq(table.count, 0);
	cr_assert_null(id_table_first(&table));
	id_table_done(&table);
}

Test(id_table, removes_nothing_when_the_node_is_not_there)
{
	struct id_table table = {};
	struct id_node stranger = {.id = {{0xff}}};

	fill(&table);
	id_table_remove(&table, &stranger);
	cr_assert_eq(table.count, COUNT);
	id_table_done(&table);
}

Test(list, moves_all_and_may_be_emptied_while_it_is_walked)
{
	struct list a, b, links[5];
	size_t count = 0;

	list_init(&a);
	list_init(&b);
	for (size_t i = 0; i < 5; i++) {
		list_init(&links[i]);
		list_append(&a, &links[i]);
	}
	list_move_all(&b, &a);
	cr_assert(list_is_empty(&a));
	LIST_FOREACH (link, &b) {
		cr_assert_eq(link, &links[count++]);
		list_remove(link);
		list_remove(link);
	}
	cr_assert_eq(count, 5);
	cr_assert(list_is_empty(&b));
}
