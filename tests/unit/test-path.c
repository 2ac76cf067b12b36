/* SPDX-License-Identifier: MIT */

/* Paths, and which of several are taken. */

#include <criterion/criterion.h>

#include "qkd-keyringd/path.h"

static bool usable(const struct path *path, void *userdata)
{
	return !userdata || path_find(path, userdata) < 0;
}

static struct path_set parse(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	struct path_set set;

	cr_assert_not_null(json);
	cr_assert_eq(path_set_parse(json, "a", "z", &set), 0, "%s", text);
	json_decref(json);
	return set;
}

/* How many of 1000 keys go over the first path. */
static unsigned share(struct path_set *set, size_t batch, const char *without)
{
	struct path_choice *picked[PATH_MAX_DISJOINT];
	unsigned first = 0;

	for (unsigned i = 0; i < 1000; i++) {
		cr_assert(path_set_pick(set, usable, (void *)without, picked));
		path_set_charge(set, picked, batch, usable, (void *)without);
		first += picked[0] == &set->choices[0];
	}
	return first;
}

Test(path, shares_are_as_the_weights)
{
	struct path_set set = parse("{\"paths\":[{\"sites\":[\"a\",\"b\",\"z\"],\"weight\":3},"
				    "{\"sites\":[\"a\",\"c\",\"z\"]}]}");

	cr_assert_eq(share(&set, 1, NULL), 750);
	cr_assert_eq(share(&set, 32, NULL), 750);
}

Test(path, a_path_that_rests_does_not_earn_meanwhile)
{
	struct path_set set = parse("{\"paths\":[{\"sites\":[\"a\",\"b\",\"z\"],\"weight\":3},"
				    "{\"sites\":[\"a\",\"c\",\"z\"]}]}");

	cr_assert_eq(share(&set, 1, "b"), 0);
	cr_assert_eq(share(&set, 1, NULL), 750);
}

Test(path, two_disjoint_paths_have_no_relay_in_common)
{
	struct path_set set = parse("{\"disjoint\":2,\"paths\":["
				    "{\"sites\":[\"a\",\"b\",\"c\",\"z\"],\"weight\":9},"
				    "{\"sites\":[\"a\",\"d\",\"c\",\"z\"],\"weight\":9},"
				    "{\"sites\":[\"a\",\"d\",\"z\"]}]}");
	struct path_choice *picked[PATH_MAX_DISJOINT];

	cr_assert_eq(path_set_check(&set), 0);
	for (unsigned i = 0; i < 100; i++) {
		cr_assert(path_set_pick(&set, usable, NULL, picked));
		path_set_charge(&set, picked, 1, usable, NULL);
		cr_assert(path_is_disjoint(&picked[0]->path, &picked[1]->path));
	}
	cr_assert_not(path_set_pick(&set, usable, "d", picked));
}

Test(path, a_set_without_disjoint_paths_is_told)
{
	struct path_set set = parse("{\"disjoint\":2,\"paths\":[{\"sites\":[\"a\",\"b\",\"z\"]},"
				    "{\"sites\":[\"a\",\"b\",\"c\",\"z\"]}]}");

	cr_assert_eq(path_set_check(&set), -EINVAL);
}

Test(path, a_set_is_written_as_it_was_read)
{
	struct path_set set = parse("{\"paths\":[{\"sites\":[\"a\",\"b\",\"z\"],\"weight\":3}],"
				    "\"stock\":100,\"disjoint\":1}");
	struct path_set again;
	json_t *json = path_set_to_json(&set);

	cr_assert_eq(path_set_parse(json, "a", "z", &again), 0);
	cr_assert_eq(again.stock, 100);
	cr_assert_eq(again.choices[0].weight, 3);
	cr_assert(path_equal(&again.choices[0].path, &set.choices[0].path));
	json_decref(json);
}

Test(path, other_ends_and_wild_numbers_are_refused)
{
	static const char *const bad[] = {
		"{\"paths\":[{\"sites\":[\"b\",\"a\",\"z\"]}]}",
		"{\"paths\":[{\"sites\":[\"a\",\"z\",\"b\"]}]}",
		"{\"paths\":[{\"sites\":[\"a\",\"b\",\"z\"],\"weight\":0}]}",
		"{\"paths\":[],\"stock\":1000000}",
		"{\"paths\":[],\"disjoint\":3}",
		"{\"paths\":[],\"unknown\":3}",
	};
	struct path_set set;

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		json_t *json = json_loads(bad[i], 0, NULL);

		cr_assert_lt(path_set_parse(json, "a", "z", &set), 0, "%s", bad[i]);
		json_decref(json);
	}
}
