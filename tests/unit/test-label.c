/* SPDX-License-Identifier: MIT */

/* The table of labels. */

#include <criterion/criterion.h>

#include "qkd-keyringd/label.h"

#define COUNT 500

static struct label_table table;

static void name_of(size_t i, char *ret)
{
	snprintf(ret, LABEL_MAX_CHARS + 1, "label-%zu", i);
}

static void fill(void)
{
	char name[LABEL_MAX_CHARS + 1];
	struct label *label;

	for (size_t i = 0; i < COUNT; i++) {
		name_of(i, name);
		cr_assert_eq(label_add(&table, NULL, name, &label), 0);
		label->bits = (uint32_t)i;
	}
}

static void teardown(void)
{
	label_table_done(&table);
}

TestSuite(label, .fini = teardown);

Test(label, is_found_by_its_whole_name)
{
	char name[LABEL_MAX_CHARS + 1];

	cr_assert_null(label_find(&table, "label-1"));
	fill();
	for (size_t i = 0; i < COUNT; i++) {
		name_of(i, name);
		cr_assert_eq(label_find(&table, name)->bits, i);
	}
	cr_assert_null(label_find(&table, "label-"));
	cr_assert_null(label_find(&table, "Label-1"));
}

Test(label, is_not_found_after_its_removal)
{
	struct label *label;

	fill();
	label = label_find(&table, "label-77");
	label_remove(&table, label);
	cr_assert_null(label_find(&table, "label-77"));
	cr_assert_not_null(label_find(&table, "label-78"));
	cr_assert_eq(table.count, COUNT - 1);
}

static void remove_odd(struct label *label, void *userdata)
{
	if (label->bits % 2)
		label_remove(&table, label);
}

Test(label, may_be_removed_while_all_are_looked_at)
{
	fill();
	label_foreach(&table, remove_odd, NULL);
	cr_assert_eq(table.count, COUNT / 2);
}

Test(label, takes_the_questions_it_holds_along)
{
	struct label *label;
	struct label_ask *ask = calloc(1, sizeof(*ask));

	cr_assert_eq(label_add(&table, NULL, "vpn", &label), 0);
	list_init(&ask->link);
	list_append(&label->asks, &ask->link);
	label_remove(&table, label);
	cr_assert_eq(table.count, 0);
}
