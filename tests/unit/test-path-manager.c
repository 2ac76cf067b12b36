/* SPDX-License-Identifier: MIT */

/* StartNode and EndKeyExchange over several sites. */

#include <criterion/criterion.h>

#include "tests/unit/support/issuer-net.h"

static const char *const names[] = {"alice", "bob", "carol", "dave"};
static struct issuer_net net;

static void setup(void)
{
	net_init(&net, ELEMENTSOF(names), names);
	net_add_keys(&net, "alice", "bob", 200);
	net_add_keys(&net, "bob", "carol", 200);
	net_add_keys(&net, "carol", "dave", 200);
	net_start(&net);
}

static void teardown(void)
{
	net_done(&net);
}

TestSuite(path_manager, .init = setup, .fini = teardown, .timeout = 120);

static size_t links_that_run(void)
{
	size_t count = 0;

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		for (size_t j = 0; j < ELEMENTSOF(names); j++)
			count += net_link_runs(&net, names[i], names[j]);
	return count;
}

static const struct path_definition *first_path(const char *site)
{
	return path_manager_get(net_site(&net, site)->paths, 0);
}

static void assert_keys(const char *a, const char *b, const char *label)
{
	struct net_result one = {}, two = {};

	net_ask_label(&net, a, b, label, &one);
	net_ask_label(&net, b, a, label, &two);
	cr_assert_eq(net_finish(&net, &one), 0);
	cr_assert_eq(net_finish(&net, &two), 0);
	cr_assert_eq(memcmp(one.key, two.key, NET_KEY_BYTES), 0);
}

Test(path_manager, starting_a_path_starts_both_ends_of_each_link_and_gives_keys)
{
	struct net_answer answer = net_start_path(&net, 3, "alice", "bob", "carol", "dave", NULL);

	cr_assert_eq(answer.result, 0, "%s: %s", answer.site, strerror(-answer.result));
	cr_assert_eq(links_that_run(), 6);
	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		cr_assert_eq(first_path(names[i])->weight, 3);
	assert_keys("alice", "dave", "l");
}

Test(path_manager, starting_it_twice_changes_nothing)
{
	net_start_path(&net, 1, "alice", "bob", "carol", NULL);
	cr_assert_eq(net_start_path(&net, 1, "alice", "bob", "carol", NULL).result, 0);
	cr_assert_eq(net_start_path(&net, 1, "carol", "bob", "alice", NULL).result, 0);
	cr_assert_eq(links_that_run(), 4);
	cr_assert_null(path_manager_get(net_site(&net, "bob")->paths, 1));
	cr_assert_eq(net_stop_path(&net, "alice", "bob", "carol", NULL).result, 0);
	cr_assert_eq(links_that_run(), 0);
	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		cr_assert_null(first_path(names[i]));
}

Test(path_manager, a_hop_that_fails_leaves_nothing_begun)
{
	struct net_answer answer;

	strcpy(net_site(&net, "alice")->running[0], "bob"); /* by somebody else */
	net_site(&net, "carol")->broken = "dave";
	answer = net_start_path(&net, 1, "alice", "bob", "carol", "dave", NULL);
	cr_assert_eq(answer.result, -ENODEV);
	cr_assert_str_eq(answer.site, "carol");
	cr_assert_eq(links_that_run(), 1);
	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		cr_assert_null(first_path(names[i]));
}

Test(path_manager, a_site_that_does_not_answer_is_named_and_nothing_is_left)
{
	struct net_answer answer;

	net_stop_site(&net, "carol");
	answer = net_start_path(&net, 1, "alice", "bob", "carol", "dave", NULL);
	cr_assert_eq(answer.result, -ETIMEDOUT);
	cr_assert_eq(links_that_run(), 0);
	cr_assert_null(first_path("bob"));
}

Test(path_manager, a_link_of_two_paths_runs_until_both_have_ended)
{
	net_start_path(&net, 1, "alice", "bob", "carol", NULL);
	net_start_path(&net, 1, "bob", "carol", "dave", NULL);
	cr_assert_eq(net_stop_path(&net, "alice", "bob", "carol", NULL).result, 0);
	cr_assert(net_link_runs(&net, "bob", "carol"));
	cr_assert_not(net_link_runs(&net, "alice", "bob"));
	assert_keys("bob", "dave", "l");
}

Test(path_manager, paths_are_there_again_after_a_restart)
{
	net_start_path(&net, 1, "alice", "bob", "carol", NULL);
	for (size_t i = 0; i < 3; i++)
		net_restart_site(&net, names[i], MEMORY_CRASH_PROCESS);
	net_run_for(&net, 20 * USEC_PER_MSEC);
	assert_keys("alice", "carol", "l");
	cr_assert_eq(net_stop_path(&net, "carol", "bob", "alice", NULL).result, 0);
}

Test(path_manager, a_path_that_does_not_fit_this_site_is_refused)
{
	struct path_definition d = {.weight = 1, .disjoint = 1};
	struct path_manager *paths = net_site(&net, "bob")->paths;

	d.path = (struct path){3, {"alice", "bob", "carol"}};
	cr_assert_eq(path_manager_start(paths, &d, NULL, NULL), -EINVAL);
	d.path = (struct path){2, {"bob", "zoe"}};
	cr_assert_eq(path_manager_start(paths, &d, NULL, NULL), -EINVAL);
}

Test(path_manager, a_set_takes_only_what_was_started)
{
	struct path_set set = {.count = 1, .disjoint = 1};
	struct path_manager *paths = net_site(&net, "alice")->paths;

	set.choices[0] = (struct path_choice){{3, {"alice", "bob", "carol"}}, .weight = 1};
	cr_assert_eq(path_manager_set(paths, "carol", &set), -ENOENT);
	net_start_path(&net, 1, "alice", "bob", "carol", NULL);
	cr_assert_eq(path_manager_set(paths, "carol", &set), 0);
	set.stock = 10;
	cr_assert_eq(path_manager_set(paths, "carol", &set), 0);
	cr_assert_eq(multihop_get(net_site(&net, "alice")->multihop, "carol")->stock, 10);
	cr_assert_eq(path_manager_set(paths, "carol", NULL), 0);
	cr_assert_eq(multihop_get(net_site(&net, "alice")->multihop, "carol")->stock, 0);
	set.disjoint = 2;
	cr_assert_eq(path_manager_set(paths, "carol", &set), -EINVAL);
}
