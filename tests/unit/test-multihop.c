/* SPDX-License-Identifier: MIT */

/* Keys over paths between issuers in one process. */

#include <criterion/criterion.h>

#include "common/encoding.h"
#include "qkd-keyringd/issuer-private.h"
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

static void note_count(int result, const struct uuid *ids, size_t count, void *userdata)
{
	struct net_result *ret = userdata;

	ret->done = true;
	ret->result = result;
	ret->count = count;
}

Test(multihop, many_new_keys_are_built_at_once)
{
	struct net_result new = {};

	net_path(&net, 1, "alice", "bob", "carol", NULL);
	cr_assert(issuer_reserve_new(net_site(&net, "alice")->issuer, "carol", 0, 20, 1000,
				     UINT64_MAX / 2, note_count, &new, &new.operation) >= 0);
	cr_assert_eq(net_finish(&net, &new), 0);
	cr_assert_eq(new.count, 20);
}

static const struct path abc = {3, {"alice", "bob", "carol"}};

static uint64_t count_of(const char *site, enum multihop_statistic which)
{
	return multihop_statistics(net_site(&net, site)->multihop)[which].total.integer;
}

/* No key of any store is spoken for: all that were taken have been destroyed or issued. */
static void assert_nothing_is_reserved(void)
{
	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		for (size_t j = 0; j < ELEMENTSOF(names); j++) {
			struct store_status status;

			if (i == j)
				continue;
			status = net_status(&net, names[i], names[j]);
			cr_assert_eq(status.reserved + status.delivering, 0, "%s at %s: %llu, %llu",
				     names[j], names[i], (unsigned long long)status.reserved,
				     (unsigned long long)status.delivering);
		}
}

/* Both sites of a hop have the same number of available keys: none is left at one of them. */
static void assert_hops_agree(void)
{
	for (size_t i = 0; i + 1 < ELEMENTSOF(names); i++) {
		struct store_status a = net_status(&net, names[i], names[i + 1]);
		struct store_status b = net_status(&net, names[i + 1], names[i]);

		cr_assert_eq(a.available_own, b.available_peer, "%s", names[i]);
		cr_assert_eq(a.available_peer, b.available_own, "%s", names[i]);
	}
}

Test(multihop, many_labels_at_both_ends_at_once)
{
	static struct net_result one[60], two[60];
	char label[16];

	net_path(&net, 1, "alice", "bob", "carol", "dave", NULL);
	for (unsigned i = 0; i < ELEMENTSOF(one); i++) {
		sprintf(label, "l%u", i);
		net_ask_label(&net, "alice", "dave", label, &one[i]);
		net_ask_label(&net, "dave", "alice", label, &two[i]);
	}
	for (unsigned i = 0; i < ELEMENTSOF(one); i++) {
		net_finish(&net, &one[i]);
		net_finish(&net, &two[i]);
		assert_same_key(&one[i], &two[i]);
		for (unsigned j = 0; j < i; j++)
			cr_assert_neq(memcmp(one[i].key, one[j].key, NET_KEY_BYTES), 0);
	}
	net_run_for(&net, 50 * USEC_PER_MSEC);
	assert_hops_agree();
}

/* What a relay, or whoever meddles, does to the combined keys on their way. */

static char *flip_combined(const char *from, const char *to, const char *frame, void *userdata)
{
	const char *liar = userdata;
	char *changed = strdup(frame), *bytes;

	bytes = str_equal(from, liar) ? strstr(changed, "\"bytes\":\"") : NULL;
	if (bytes && bytes[9] != '"')
		bytes[9] = bytes[9] == 'A' ? 'B' : 'A';
	return changed;
}

static char *drop_from(const char *from, const char *to, const char *frame, void *userdata)
{
	return str_equal(from, userdata) ? NULL : strdup(frame);
}

Test(multihop, a_relay_that_lies_is_found_out_before_a_key_is_handed_out)
{
	struct net_result one = {}, two = {};

	net.change = flip_combined;
	net.userdata = (void *)"bob";
	net_path(&net, 1, "alice", "bob", "carol", "dave", NULL);
	net_ask_label(&net, "alice", "dave", "l", &one);
	net_ask_label(&net, "dave", "alice", "l", &two);
	cr_assert_eq(net_finish(&net, &one), -ETIMEDOUT);
	cr_assert_eq(net_finish(&net, &two), -ETIMEDOUT);
	cr_assert_geq(count_of("alice", MULTIHOP_STATISTIC_UNEQUAL), 1);
	cr_assert_eq(net_site(&net, "alice")->down, 1);
	cr_assert_eq(net_status(&net, "alice", "dave").available_own, 0);
	cr_assert_eq(net_status(&net, "dave", "alice").available_peer, 0);
	assert_nothing_is_reserved();
	assert_hops_agree();
	/* It mends its ways. */
	net.change = NULL;
	net_run_for(&net, 5 * USEC_PER_SEC);
	assert_label_is_the_same("alice", "dave", "l2");
	cr_assert_eq(net_site(&net, "alice")->up, 1);
}

Test(multihop, a_relay_that_is_silent_leaves_nothing_reserved)
{
	struct net_result one = {};

	net_path(&net, 1, "alice", "bob", "carol", "dave", NULL);
	net.change = drop_from;
	net.userdata = (void *)"carol";
	net_ask_label(&net, "alice", "dave", "l", &one);
	cr_assert_eq(net_finish(&net, &one), -ETIMEDOUT);
	net.change = NULL;
	net_cut(&net, "carol", "dave");
	net_cut(&net, "carol", "bob");
	net_cut(&net, "carol", "alice");
	net_join(&net, "carol", "dave");
	net_join(&net, "carol", "bob");
	net_join(&net, "carol", "alice");
	net_run_for(&net, 12 * USEC_PER_SEC);
	assert_nothing_is_reserved();
	assert_hops_agree();
	assert_label_is_the_same("dave", "alice", "l2");
}

Test(multihop, a_relay_that_is_killed_and_comes_back_is_used_again)
{
	struct net_result one = {}, two = {};

	net_path(&net, 1, "alice", "bob", "carol", NULL);
	assert_label_is_the_same("alice", "carol", "before");
	net_stop_site(&net, "bob");
	multihop_set(net_site(&net, "carol")->multihop, "alice", NULL);
	/* What is left of what was built before. */
	while (net_status(&net, "alice", "carol").available_own > 0) {
		struct net_result rest = {};

		net_ask_new(&net, "alice", "carol", &rest);
		cr_assert_eq(net_finish(&net, &rest), 0);
	}
	net_ask_label(&net, "alice", "carol", "l", &one);
	net_ask_label(&net, "carol", "alice", "l", &two);
	cr_assert_eq(net_finish(&net, &one), -ETIMEDOUT);
	cr_assert_eq(net_finish(&net, &two), -ETIMEDOUT);
	net_restart_site(&net, "bob", MEMORY_CRASH_PROCESS);
	cr_assert(multihop_allow(net_site(&net, "bob")->multihop, &abc) >= 0);
	net_run_for(&net, 3 * USEC_PER_SEC);
	assert_label_is_the_same("alice", "carol", "after");
}

static void use_path_again(const char *site)
{
	struct path_set set = {.count = 1, .disjoint = 1};
	struct multihop *multihop = net_site(&net, site)->multihop;
	bool is_first = str_equal(site, "alice");

	cr_assert(multihop_allow(multihop, &abc) >= 0);
	set.choices[0].weight = 1;
	if (is_first)
		set.choices[0].path = abc;
	else
		path_reverse(&abc, &set.choices[0].path);
	cr_assert(multihop_set(multihop, is_first ? "carol" : "alice", &set) >= 0);
}

/* Either end dies, by either death, with keys in stock; the others go on. */
static void kill_an_end(const char *site, enum memory_crash crash)
{
	struct net_result new = {}, here = {}, there = {};

	net_path(&net, 1, "alice", "bob", "carol", NULL);
	for (unsigned i = 0; i < 3; i++) {
		char label[16];

		sprintf(label, "before%u", i);
		assert_label_is_the_same("alice", "carol", label);
	}
	net_ask_new(&net, "alice", "carol", &new);
	cr_assert_eq(net_finish(&net, &new), 0);
	net_restart_site(&net, site, crash);
	use_path_again(site);
	net_run_for(&net, 50 * USEC_PER_MSEC);
	assert_label_is_the_same("alice", "carol", "after");
	assert_label_is_the_same("carol", "alice", "after2");
	if (crash != MEMORY_CRASH_PROCESS)
		return; /* a reservation may be burnt then, as on a link */
	net_ask_id(&net, "alice", "carol", &new.id, &here);
	net_ask_id(&net, "carol", "alice", &new.id, &there);
	net_finish(&net, &here);
	net_finish(&net, &there);
	assert_same_key(&here, &there);
}

Test(multihop, the_first_end_is_killed)
{
	kill_an_end("alice", MEMORY_CRASH_PROCESS);
}

Test(multihop, the_other_end_is_killed)
{
	kill_an_end("carol", MEMORY_CRASH_PROCESS);
}

Test(multihop, the_first_end_loses_its_power)
{
	kill_an_end("alice", MEMORY_CRASH_LOSE);
}

Test(multihop, the_other_end_loses_its_power)
{
	kill_an_end("carol", MEMORY_CRASH_LOSE);
}

static int count_built_by_alice(const char *name, void *userdata)
{
	*(unsigned *)userdata += strstr(name, "@alice~") != NULL;
	return 0;
}

static unsigned directories_of(const char *site)
{
	struct storage *keys = memory_storage_storage(net_site(&net, site)->keys);
	unsigned count = 0;

	cr_assert_eq(keys->ops->list(keys, ".", count_built_by_alice, &count), 0);
	return count;
}

/* Uses up what is left of what alice has built. */
static void use_all(void)
{
	while (net_status(&net, "alice", "carol").available_own > 0) {
		struct net_result new = {}, here = {}, there = {};

		net_ask_new(&net, "alice", "carol", &new);
		cr_assert_eq(net_finish(&net, &new), 0);
		net_ask_id(&net, "alice", "carol", &new.id, &here);
		net_ask_id(&net, "carol", "alice", &new.id, &there);
		cr_assert_eq(net_finish(&net, &here), 0);
		cr_assert_eq(net_finish(&net, &there), 0);
	}
}

Test(multihop, a_generation_of_which_nothing_is_left_is_removed_at_both_ends)
{
	net_path(&net, 1, "alice", "bob", "carol", NULL);
	multihop_set(net_site(&net, "carol")->multihop, "alice", NULL);
	assert_label_is_the_same("alice", "carol", "before");
	net_run_for(&net, 200 * USEC_PER_MSEC); /* that it was delivered is on disk */
	net_restart_site(&net, "alice", MEMORY_CRASH_LOSE);
	use_path_again("alice");
	net_run_for(&net, 50 * USEC_PER_MSEC);
	assert_label_is_the_same("alice", "carol", "after");
	use_all();
	net_run_for(&net, 500 * USEC_PER_MSEC);
	cr_assert_eq(directories_of("alice"), 1);
	cr_assert_eq(directories_of("carol"), 1);
	/* The record does not wait for it. */
	net_restart_site(&net, "alice", MEMORY_CRASH_PROCESS);
	net_restart_site(&net, "carol", MEMORY_CRASH_PROCESS);
	cr_assert_not(net_site(&net, "alice")->issuer->foreign_entries);
	cr_assert_not(net_site(&net, "carol")->issuer->foreign_entries);
	use_path_again("alice");
	cr_assert(multihop_allow(net_site(&net, "carol")->multihop, &abc) >= 0);
	net_run_for(&net, 50 * USEC_PER_MSEC);
	assert_label_is_the_same("alice", "carol", "again");
}

Test(multihop, a_path_that_a_relay_was_not_told_of_is_refused)
{
	struct net_result one = {};

	net_path(&net, 1, "alice", "bob", "carol", NULL);
	multihop_forbid(net_site(&net, "bob")->multihop, &abc);
	net_ask_label(&net, "alice", "carol", "l", &one);
	cr_assert_eq(net_finish(&net, &one), -ETIMEDOUT);
	cr_assert_geq(count_of("bob", MULTIHOP_STATISTIC_REFUSED), 1);
	assert_nothing_is_reserved();
	net_run_for(&net, 50 * USEC_PER_MSEC);
	assert_hops_agree();
}

Test(multihop, a_second_relay_that_refuses_is_heard_of_before_the_time_is_up)
{
	static const struct path abcd = {4, {"alice", "bob", "carol", "dave"}};
	struct net_result one = {};

	net_path(&net, 1, "alice", "bob", "carol", "dave", NULL);
	multihop_forbid(net_site(&net, "carol")->multihop, &abcd);
	net_ask_label(&net, "alice", "dave", "l", &one);
	net_run_for(&net, USEC_PER_SEC / 2);
	cr_assert_geq(count_of("alice", MULTIHOP_STATISTIC_FAILED), 1);
	cr_assert_eq(net_finish(&net, &one), -ETIMEDOUT);
}

Test(multihop, a_stock_is_kept_while_the_hops_have_more_than_they_need)
{
	net_path(&net, 1, "alice", "bob", "carol", NULL);
	net_set(&net, "alice", "carol",
		"{\"paths\":[{\"sites\":[\"alice\",\"bob\",\"carol\"]}],\"stock\":40}");
	net_run_for(&net, 500 * USEC_PER_MSEC);
	cr_assert_eq(net_status(&net, "alice", "carol").available_own, 40);
	cr_assert_eq(net_status(&net, "carol", "alice").available_peer, 40);
	assert_label_is_the_same("alice", "carol", "l");
	net_run_for(&net, 500 * USEC_PER_MSEC);
	cr_assert_geq(net_status(&net, "alice", "carol").available_own, 40);
	cr_assert_leq(net_status(&net, "alice", "carol").available_own, 42);
	net_set(&net, "alice", "carol",
		"{\"paths\":[{\"sites\":[\"alice\",\"bob\",\"carol\"]}],\"stock\":400}");
	net_run_for(&net, USEC_PER_SEC);
	cr_assert_geq(net_status(&net, "alice", "bob").available_own, MULTIHOP_SPARE_KEYS - 34);
	assert_nothing_is_reserved();
}

Test(multihop, a_store_goes_from_link_to_path_and_back_and_loses_nothing)
{
	struct net_result by_link = {}, by_path = {}, again = {}, there[3] = {};

	net_add_keys(&net, "alice", "carol", 2);
	net_ask_new(&net, "alice", "carol", &by_link);
	cr_assert_eq(net_finish(&net, &by_link), 0);
	net_path(&net, 1, "alice", "bob", "carol", NULL);
	net_ask_new(&net, "alice", "carol", &by_path);
	cr_assert_eq(net_finish(&net, &by_path), 0);
	multihop_set(net_site(&net, "alice")->multihop, "carol", NULL);
	net_add_keys(&net, "alice", "carol", 20);
	net_ask_new(&net, "alice", "carol", &again);
	cr_assert_eq(net_finish(&net, &again), 0);
	net_ask_id(&net, "carol", "alice", &by_link.id, &there[0]);
	net_ask_id(&net, "carol", "alice", &by_path.id, &there[1]);
	net_ask_id(&net, "carol", "alice", &again.id, &there[2]);
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(net_finish(&net, &there[i]), 0);
}

static void add_other_way(void)
{
	net_add_keys(&net, "alice", "dave", 400);
	net_path(&net, 3, "alice", "bob", "carol", NULL);
	net_path(&net, 1, "alice", "dave", "carol", NULL);
}

Test(multihop, weights_share_keys_out)
{
	static const struct path other = {3, {"alice", "dave", "carol"}};
	struct multihop_path_status one, two;
	char label[16];

	add_other_way();
	for (unsigned i = 0; i < 40; i++) {
		struct net_result result = {};

		sprintf(label, "l%u", i);
		net_ask_label(&net, "alice", "carol", label, &result);
		cr_assert_eq(net_finish(&net, &result), 0);
	}
	cr_assert_eq(multihop_path_status(net_site(&net, "alice")->multihop, &abc, &one), 0);
	cr_assert_eq(multihop_path_status(net_site(&net, "alice")->multihop, &other, &two), 0);
	cr_assert_eq(one.built, 30);
	cr_assert_eq(two.built, 10);
}

/* As after a kill -9 with marks on their way: the mark that runs ahead is far above the first key,
 * which is alone. */
Test(multihop, a_single_key_below_the_mark_that_runs_ahead_keeps_no_build_waiting)
{
	struct issuer_store *store;

	store = issuer_find_store(net_site(&net, "alice")->issuer, "bob");
	for (uint64_t i = 2; i < store->directories[0]->ahead; i += 2)
		store_set_state(store->store, (struct store_place){0, i}, STORE_KEY_DESTROYED);
	net_path(&net, 1, "alice", "bob", "carol", NULL);
	assert_label_is_the_same("alice", "carol", "l");
}

/* All values of a key's size that a site has had: in frames to or from it, and of its hops. */
static struct {
	uint8_t values[64][NET_KEY_BYTES];
	size_t count;
	const char *site;
} seen;

static void note_value(const uint8_t *value)
{
	cr_assert_lt(seen.count, ELEMENTSOF(seen.values));
	memcpy(seen.values[seen.count++], value, NET_KEY_BYTES);
}

static char *note_frames(const char *from, const char *to, const char *frame, void *userdata)
{
	uint8_t bytes[NET_KEY_BYTES * 8];

	if (str_equal(from, seen.site) || str_equal(to, seen.site))
		for (const char *p = frame; (p = strstr(p, "\"bytes\":\""));) {
			size_t chars = strcspn(p += 9, "\""), size = 0;

			if (chars == 0 || base64_size(p, chars, &size) < 0 ||
			    size > sizeof(bytes) || base64_decode(p, chars, bytes, size) < 0)
				continue;
			for (size_t i = 0; i + NET_KEY_BYTES <= size; i += NET_KEY_BYTES)
				note_value(bytes + i);
		}
	return strdup(frame);
}

static size_t leading_bit(const uint8_t *value)
{
	for (size_t i = 0; i < NET_KEY_BYTES * 8; i++)
		if (value[i / 8] >> (7 - i % 8) & 1)
			return i;
	return SIZE_MAX;
}

static void add_to(uint8_t *value, const uint8_t *other)
{
	for (size_t i = 0; i < NET_KEY_BYTES; i++)
		value[i] ^= other[i];
}

/* Whether the key is the XOR of some of what was seen: elimination over GF(2). */
static bool can_compute(const uint8_t *key)
{
	uint8_t rest[NET_KEY_BYTES];

	memcpy(rest, key, sizeof(rest));
	for (size_t i = 0; i < seen.count; i++) {
		size_t bit = leading_bit(seen.values[i]);

		if (bit == SIZE_MAX)
			continue;
		for (size_t j = i + 1; j < seen.count; j++)
			if (seen.values[j][bit / 8] >> (7 - bit % 8) & 1)
				add_to(seen.values[j], seen.values[i]);
		if (rest[bit / 8] >> (7 - bit % 8) & 1)
			add_to(rest, seen.values[i]);
	}
	return leading_bit(rest) == SIZE_MAX;
}

/* The first keys of both owners' halves: those that one build takes, and some more. */
static void note_hop(const char *a, const char *b)
{
	uint8_t key[NET_KEY_BYTES];

	for (uint64_t sequence = 0; sequence < 8; sequence++) {
		net_key(a, b, sequence, key);
		note_value(key);
	}
}

static void see_all_of(const char *relay, const char *other_end, struct net_result *ret)
{
	seen.count = 0;
	seen.site = relay;
	net.change = note_frames;
	net_ask_label(&net, "alice", "carol", relay, ret);
	cr_assert_eq(net_finish(&net, ret), 0);
	net.change = NULL;
	note_hop("alice", relay);
	note_hop(relay, other_end);
}

Test(multihop, all_that_one_relay_saw_gives_the_key_of_one_path)
{
	struct net_result result = {};

	net_path(&net, 1, "alice", "bob", "carol", NULL);
	see_all_of("bob", "carol", &result);
	cr_assert(can_compute(result.key), "the test sees less than the relay");
}

Test(multihop, all_that_one_relay_saw_does_not_give_the_key_of_two_disjoint_paths)
{
	struct net_result one = {}, two = {};

	add_other_way();
	net_set(&net, "alice", "carol",
		"{\"paths\":[{\"sites\":[\"alice\",\"bob\",\"carol\"]},"
		"{\"sites\":[\"alice\",\"dave\",\"carol\"]}],\"disjoint\":2}");
	see_all_of("bob", "carol", &one);
	cr_assert_not(can_compute(one.key));
	see_all_of("dave", "carol", &two);
	cr_assert_not(can_compute(two.key));
	two = (struct net_result){};
	net_ask_label(&net, "carol", "alice", "bob", &two);
	net_finish(&net, &two);
	assert_same_key(&one, &two);
}
