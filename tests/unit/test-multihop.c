/* SPDX-License-Identifier: MIT */

/* Keys over paths between issuers in one process. */

#include <criterion/criterion.h>

#include "tests/unit/support/issuer-net.h"

static const char *const names[] = {"alice", "bob", "carol", "dave", "erin"};
static struct issuer_net net;

static void setup(void)
{
	net_init(&net, ELEMENTSOF(names), names);
	net_add_keys(&net, "alice", "bob", 400);
	net_add_keys(&net, "bob", "carol", 400);
	net_add_keys(&net, "carol", "dave", 400);
	net_add_keys(&net, "dave", "erin", 400);
	net_start(&net);
}

static void teardown(void)
{
	net_done(&net);
}

TestSuite(multihop, .init = setup, .fini = teardown, .timeout = 60);

static void assert_same_key(const struct net_result *a, const struct net_result *b)
{
	cr_assert_eq(a->result, 0, "%s", strerror(-a->result));
	cr_assert_eq(b->result, 0, "%s", strerror(-b->result));
	cr_assert(uuid_equal(&a->id, &b->id));
	cr_assert_eq(memcmp(a->key, b->key, NET_KEY_BYTES), 0);
}

static void assert_label_is_the_same(const char *a, const char *b, const char *label)
{
	struct net_result one = {}, two = {};

	net_ask_label(&net, a, b, label, &one);
	net_ask_label(&net, b, a, label, &two);
	net_finish(&net, &one);
	net_finish(&net, &two);
	assert_same_key(&one, &two);
}

Test(multihop, two_ends_get_the_same_key_for_a_label_over_one_relay)
{
	net_path(&net, 1, "alice", "bob", "carol", NULL);
	assert_label_is_the_same("alice", "carol", "l1");
	assert_label_is_the_same("carol", "alice", "l2");
}

Test(multihop, a_new_key_over_three_relays_is_had_by_its_id_at_the_other_end)
{
	struct net_result new = {}, here = {}, there = {};

	net_path(&net, 1, "alice", "bob", "carol", "dave", "erin", NULL);
	net_ask_new(&net, "erin", "alice", &new);
	cr_assert_eq(net_finish(&net, &new), 0);
	net_ask_id(&net, "erin", "alice", &new.id, &here);
	net_ask_id(&net, "alice", "erin", &new.id, &there);
	net_finish(&net, &here);
	net_finish(&net, &there);
	assert_same_key(&here, &there);
}
