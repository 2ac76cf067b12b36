/* SPDX-License-Identifier: MIT */

/*
 * All that relays say is captured, and the hop keys that they say it of: each hop key belongs to
 * one build, each build has one answer of each relay, and two answers never share a pad, whoever is
 * killed, cut off or late.
 */

#include <criterion/criterion.h>

#include "common/encoding.h"
#include "qkd-keyringd/issuer-private.h"
#include "tests/unit/support/issuer-net.h"

#define MAX_KEYS 33

/* What one site has bound of the hop to its right. */
struct binding {
	char from[NAME_MAX_CHARS + 1], to[NAME_MAX_CHARS + 1], build[UUID_CHARS + 1];
	size_t count;
	uint64_t sequences[MAX_KEYS];
};

/* What one relay has told the end. */
struct answer {
	char relay[NAME_MAX_CHARS + 1], build[UUID_CHARS + 1];
	size_t size_bytes;
	uint8_t bytes[MAX_KEYS * NET_KEY_BYTES];
};

static struct {
	struct binding bindings[1024];
	struct answer answers[1024];
	size_t binding_count, answer_count, repeated;
	const char *mute; /* nothing of what this site says arrives ... */
	const char *deaf; /* ... at this one; NULL: at nobody */
	bool waits;       /* ... from its first answer on */
} captured;

static const char *const names[] = {"alice", "bob", "carol", "dave"};
static const struct path row = {4, {"alice", "bob", "carol", "dave"}};
static struct issuer_net net;

static const struct binding *find_binding(const char *from, const char *to, const char *build)
{
	for (size_t i = 0; i < captured.binding_count; i++) {
		const struct binding *binding = &captured.bindings[i];

		if (str_equal(binding->build, build) &&
		    (from ? str_equal(binding->from, from) : str_equal(binding->to, to)))
			return binding;
	}
	return NULL;
}

static void note_binding(const char *from, const char *to, const json_t *body)
{
	const json_t *sequences = json_object_get(body, "sequences");
	struct binding binding = {.count = json_array_size(sequences)};
	const struct binding *old;

	cr_assert(binding.count > 1 && binding.count <= MAX_KEYS);
	strcpy(binding.from, from);
	strcpy(binding.to, to);
	strcpy(binding.build, json_string_value(json_object_get(body, "build")));
	for (size_t i = 0; i < binding.count; i++)
		binding.sequences[i] = (uint64_t)json_integer_value(json_array_get(sequences, i));
	old = find_binding(from, NULL, binding.build);
	if (old)
		cr_assert_eq(memcmp(old, &binding, sizeof(binding)), 0,
			     "%s binds other keys for the same build", from);
	if (old)
		return;
	cr_assert_lt(captured.binding_count, ELEMENTSOF(captured.bindings));
	captured.bindings[captured.binding_count++] = binding;
}

static void note_answer(const char *from, const json_t *body)
{
	const char *text = json_string_value(json_object_get(body, "bytes"));
	struct answer *answer = &captured.answers[captured.answer_count];

	if (!*text)
		return; /* an error */
	cr_assert_lt(captured.answer_count, ELEMENTSOF(captured.answers));
	memset(answer, 0, sizeof(*answer));
	strcpy(answer->relay, from);
	strcpy(answer->build, json_string_value(json_object_get(body, "build")));
	cr_assert(base64_size(text, strlen(text), &answer->size_bytes) >= 0);
	cr_assert_leq(answer->size_bytes, sizeof(answer->bytes));
	cr_assert(base64_decode(text, strlen(text), answer->bytes, answer->size_bytes) >= 0);
	for (size_t i = 0; i < captured.answer_count; i++) {
		const struct answer *old = &captured.answers[i];

		if (!str_equal(old->relay, from) || !str_equal(old->build, answer->build))
			continue;
		cr_assert_eq(memcmp(old, answer, sizeof(*answer)), 0,
			     "%s answers twice for one build, and not the same", from);
		captured.repeated++;
		return;
	}
	captured.answer_count++;
}

static void note(const char *from, const char *to, const char *frame)
{
	json_t *json = json_loads(frame, 0, NULL), *message;
	size_t i;

	json_array_foreach (json_object_get(json, "messages"), i, message) {
		const json_t *body = json_object_get(message, "body");
		const char *step = json_string_value(json_object_get(body, "step"));

		if (step && str_equal(step, "bind-key"))
			note_binding(from, to, body);
		else if (step && str_equal(step, "combined-key"))
			note_answer(from, body);
		else
			continue;
		if (captured.waits && str_equal(step, "combined-key") &&
		    str_equal(from, captured.mute))
			captured.waits = false;
	}
	json_decref(json);
}

static char *capture(const char *from, const char *to, const char *frame, void *userdata)
{
	note(from, to, frame);
	if (captured.mute && !captured.waits && str_equal(from, captured.mute) &&
	    (!captured.deaf || str_equal(to, captured.deaf)))
		return NULL;
	return strdup(frame);
}

static void setup(void)
{
	memset(&captured, 0, sizeof(captured));
	net_init(&net, ELEMENTSOF(names), names);
	net.change = capture;
	for (size_t i = 0; i + 1 < ELEMENTSOF(names); i++)
		net_add_keys(&net, names[i], names[i + 1], 600);
	net_start(&net);
	net_path(&net, 1, "alice", "bob", "carol", "dave", NULL);
}

/* The XOR of the keys of both its hops, and of no others. */
static void check_answer(const struct answer *answer)
{
	const struct binding *left = find_binding(NULL, answer->relay, answer->build);
	const struct binding *right = find_binding(answer->relay, NULL, answer->build);
	uint8_t a[NET_KEY_BYTES], b[NET_KEY_BYTES];

	cr_assert(left && right, "%s answers without keys", answer->relay);
	cr_assert_eq(left->count, right->count);
	cr_assert_eq(answer->size_bytes, left->count * NET_KEY_BYTES);
	for (size_t i = 0; i < left->count; i++) {
		net_key(left->from, left->to, left->sequences[i], a);
		net_key(right->from, right->to, right->sequences[i], b);
		for (size_t j = 0; j < NET_KEY_BYTES; j++)
			cr_assert_eq(a[j] ^ b[j], answer->bytes[i * NET_KEY_BYTES + j]);
	}
}

static bool is_same_hop(const struct binding *one, const struct binding *two)
{
	return (str_equal(one->from, two->from) && str_equal(one->to, two->to)) ||
	       (str_equal(one->from, two->to) && str_equal(one->to, two->from));
}

static void check_apart(const struct binding *one, const struct binding *two)
{
	for (size_t i = 0; is_same_hop(one, two) && i < one->count; i++)
		for (size_t j = 0; j < two->count; j++)
			cr_assert_neq(one->sequences[i], two->sequences[j],
				      "one key of %s and %s is in two builds", one->from, one->to);
}

static void check_differs(const struct answer *one, const struct answer *two)
{
	for (size_t i = 0; i < one->size_bytes; i += NET_KEY_BYTES)
		for (size_t j = 0; j < two->size_bytes; j += NET_KEY_BYTES)
			cr_assert_neq(memcmp(one->bytes + i, two->bytes + j, NET_KEY_BYTES), 0);
}

static void check_pads(size_t answers_min)
{
	cr_assert_geq(captured.answer_count, answers_min);
	for (size_t i = 0; i < captured.answer_count; i++) {
		check_answer(&captured.answers[i]);
		for (size_t j = 0; j < i; j++)
			check_differs(&captured.answers[i], &captured.answers[j]);
	}
	for (size_t i = 0; i < captured.binding_count; i++)
		for (size_t j = 0; j < i; j++)
			check_apart(&captured.bindings[i], &captured.bindings[j]);
}

/* All hop keys of captured bindings are over at both sites. */
static void check_nothing_reserved(void)
{
	for (size_t i = 0; i + 1 < ELEMENTSOF(names); i++) {
		struct store_status a = net_status(&net, names[i], names[i + 1]);
		struct store_status b = net_status(&net, names[i + 1], names[i]);

		cr_assert_eq(a.reserved + a.delivering + b.reserved + b.delivering, 0);
		cr_assert_eq(a.available_own, b.available_peer);
		cr_assert_eq(a.available_peer, b.available_own);
	}
}

static void teardown(void)
{
	check_pads(1);
	net_done(&net);
}

TestSuite(relay, .init = setup, .fini = teardown, .timeout = 60);

static int ask_both(const char *label)
{
	struct net_result one = {}, two = {};

	net_ask_label(&net, "alice", "dave", label, &one);
	net_ask_label(&net, "dave", "alice", label, &two);
	net_finish(&net, &one);
	net_finish(&net, &two);
	if (one.result >= 0 && two.result >= 0)
		cr_assert_eq(memcmp(one.key, two.key, NET_KEY_BYTES), 0);
	return one.result < 0 ? one.result : two.result;
}

static void ask_many(const char *prefix)
{
	char label[16];

	for (unsigned i = 0; i < 40; i++) {
		sprintf(label, "%s%u", prefix, i);
		cr_assert_eq(ask_both(label), 0);
	}
}

/* Runs until this site has begun its first answer, which does not arrive. */
static void run_until_answered(const char *relay, const char *deaf, struct net_result *request)
{
	captured.mute = relay;
	captured.deaf = deaf;
	captured.waits = true;
	net_ask_label(&net, "alice", "dave", "l", request);
	for (unsigned i = 0; captured.waits && i < 1000; i++)
		cr_assert(sd_event_run(net.event, 10 * USEC_PER_MSEC) >= 0);
	cr_assert_not(captured.waits);
}

static void hear_again(void)
{
	captured.mute = captured.deaf = NULL;
}

Test(relay, every_hop_key_pads_the_answers_of_one_build)
{
	ask_many("l");
	check_pads(8);
	net_run_for(&net, 50 * USEC_PER_MSEC);
	check_nothing_reserved();
}

static void die_after_an_answer(enum memory_crash crash)
{
	struct net_result request = {};

	run_until_answered("bob", NULL, &request);
	net_restart_site(&net, "bob", crash);
	cr_assert(multihop_allow(net_site(&net, "bob")->multihop, &row) >= 0);
	hear_again();
	net_finish(&net, &request);
	ask_many("after");
	check_pads(4);
}

Test(relay, one_that_is_killed_after_its_answer_never_gives_another_for_the_same_keys)
{
	die_after_an_answer(MEMORY_CRASH_PROCESS);
}

Test(relay, one_that_loses_its_power_after_its_answer_never_gives_another_for_the_same_keys)
{
	die_after_an_answer(MEMORY_CRASH_LOSE);
}

static void use_path_again(const char *site)
{
	struct path_set set = {.count = 1, .disjoint = 1, .choices = {{.path = row, .weight = 1}}};

	cr_assert(multihop_allow(net_site(&net, site)->multihop, &row) >= 0);
	cr_assert(multihop_set(net_site(&net, site)->multihop, "dave", &set) >= 0);
}

Test(relay, a_leased_key_is_not_bound_before_the_lease_is_on_disk)
{
	struct issuer_store *store = issuer_find_store(net_site(&net, "alice")->issuer, "bob");
	struct net_result request = {}, another = {};

	for (uint64_t i = 0; i < 600; i += 2) /* alice has none of her own half */
		store_set_state(store->store, (struct store_place){0, i}, STORE_KEY_DESTROYED);
	net_ask_label(&net, "alice", "dave", "l", &request);
	for (unsigned i = 0; store_counts(store->store)->available_own == 0 && i < 1000; i++)
		cr_assert(sd_event_run(net.event, 10 * USEC_PER_MSEC) >= 0);
	net_ask_label(&net, "alice", "dave", "k", &another); /* who looks for keys just then */
	for (unsigned i = 0; captured.binding_count == 0 && i < 1000; i++)
		cr_assert(sd_event_run(net.event, 10 * USEC_PER_MSEC) >= 0);
	cr_assert_eq(captured.bindings[0].sequences[0] % 2, 1);
	net_restart_site(&net, "alice", MEMORY_CRASH_LOSE);
	use_path_again("alice");
	net_run_for(&net, 50 * USEC_PER_MSEC);
	ask_many("after");
	check_pads(4);
}

Test(relay, a_binding_that_is_told_on_a_new_connection_gets_no_second_answer)
{
	struct net_result request = {};

	run_until_answered("bob", "alice", &request);
	net_cut(&net, "alice", "bob");
	net_join(&net, "alice", "bob");
	hear_again();
	net_finish(&net, &request);
	ask_many("after");
	check_pads(4);
}

Test(relay, an_answer_that_is_told_again_on_a_new_connection_is_the_same)
{
	struct net_result request = {};

	run_until_answered("bob", "dave", &request);
	net_cut(&net, "bob", "dave");
	net_join(&net, "bob", "dave");
	hear_again();
	cr_assert_eq(net_finish(&net, &request), 0);
	cr_assert_geq(captured.repeated, 1);
	check_pads(2);
}

Test(relay, keys_of_a_build_that_timed_out_are_not_used_for_another)
{
	struct net_result request = {};

	run_until_answered("bob", "dave", &request);
	cr_assert_eq(net_finish(&net, &request), -ETIMEDOUT);
	hear_again();
	net_cut(&net, "bob", "dave");
	net_join(&net, "bob", "dave");
	ask_many("after");
	net_run_for(&net, 10 * USEC_PER_SEC);
	check_nothing_reserved();
}
