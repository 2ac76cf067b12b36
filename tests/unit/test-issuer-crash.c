/* SPDX-License-Identifier: MIT */

/*
 * The power fails at one site during each of its disk operations in turn, with whatever a disk may
 * make of it; then it starts again and everything that was asked for is asked for again. Whatever
 * happened: one label is one key, and one key is one label's or one reservation's.
 */

#include <criterion/criterion.h>

#include "tests/unit/support/issuer-pair.h"

#define LABELS 6
#define KEYS   60

static struct issuer_pair pair;
static uint64_t seed;

/* What has left either site: by key, what for. */
static char purpose_of[KEYS][32];

static unsigned choose(unsigned count, void *userdata)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(seed >> 33) % count;
}

static void note(const struct pair_result *result, const char *purpose)
{
	for (uint64_t i = 0; i < KEYS; i++) {
		struct uuid id = pair_id(i);
		uint8_t key[PAIR_KEY_BYTES];

		if (!uuid_equal(&id, &result->id))
			continue;
		pair_key(i, key);
		cr_assert_eq(memcmp(key, result->key, sizeof(key)), 0);
		for (uint64_t j = 0; j < KEYS && !str_equal(purpose, "reserved"); j++)
			cr_assert(i == j || !str_equal(purpose_of[j], purpose), "two keys for %s",
				  purpose);
		if (!*purpose_of[i])
			strcpy(purpose_of[i], purpose);
		cr_assert_str_eq(purpose_of[i], purpose, "key %zu", (size_t)i);
		return;
	}
	cr_assert_fail("a key that nobody agreed");
}

struct wish {
	struct pair_site *site;
	char label[32];
	struct pair_result result;
	bool delivered;
};

static struct wish wishes[2 * LABELS];
static struct pair_result reserved, collected;

static void ask_all(void)
{
	for (size_t i = 0; i < ELEMENTSOF(wishes); i++) {
		struct wish *wish = &wishes[i];

		wish->site = (i + i / 2) % 2 ? &pair.bob : &pair.alice; /* who is first changes */
		snprintf(wish->label, sizeof(wish->label), "label-%zu", i / 2);
		if (wish->delivered)
			continue;
		wish->result = (struct pair_result){};
		pair_ask_label(wish->site, wish->label, 1000, &wish->result);
		/* Some by themselves, some together: more, and fewer, writes. */
		if (i % 3 > 0)
			pair_run_for(&pair, 300);
		if (pair.alice.fatal)
			break;
	}
}

static bool collect(void)
{
	bool all = true;

	for (size_t i = 0; i < ELEMENTSOF(wishes); i++) {
		struct wish *wish = &wishes[i];

		if (wish->result.done && wish->result.result == 0 && !wish->delivered) {
			wish->delivered = true;
			note(&wish->result, wish->label);
		}
		all &= wish->result.done;
	}
	return all;
}

static void collect_reservation(struct pair_site *site)
{
	reserved = collected = (struct pair_result){};
	pair_ask_new(site, 1, 1000, &reserved);
	if (!PAIR_RUN_UNTIL(&pair, reserved.done || pair.alice.fatal, 100 * USEC_PER_MSEC) ||
	    !reserved.done || reserved.result < 0)
		return;
	pair_ask_id(site, &reserved.id, 1000, &collected);
	(void)PAIR_RUN_UNTIL(&pair, collected.done || pair.alice.fatal, 100 * USEC_PER_MSEC);
	if (collected.done && collected.result == 0)
		note(&collected, "reserved");
}

static void cancel_pending(void)
{
	for (size_t i = 0; i < ELEMENTSOF(wishes); i++)
		if (wishes[i].result.operation && !wishes[i].result.done)
			issue_operation_cancel(wishes[i].result.operation);
	if (reserved.operation && !reserved.done)
		issue_operation_cancel(reserved.operation);
	if (collected.operation && !collected.done)
		issue_operation_cancel(collected.operation);
}

static void kill_site(struct pair_site *site, enum memory_crash crash)
{
	struct memory_storage *state, *keys;

	pair_cut(&pair);
	cr_assert(memory_storage_new(&state) >= 0);
	cr_assert(memory_storage_new(&keys) >= 0);
	cr_assert(memory_storage_copy(state, site->state) >= 0);
	cr_assert(memory_storage_copy(keys, site->keys) >= 0);
	memory_storage_crash(state, crash, choose, NULL);
	memory_storage_crash(keys, crash, choose, NULL);
	pair_stop_site(site);
	memory_storage_free(site->state);
	memory_storage_free(site->keys);
	site->state = state;
	site->keys = keys;
	site->boot.bytes[0]++;
	site->fatal = 0;
}

/* True: the power failed; false: the scenario was over before its n-th operation. */
static bool run(uint64_t n, bool in_keys, enum memory_crash crash)
{
	struct memory_storage *storage;
	bool failed;

	memset(wishes, 0, sizeof(wishes));
	memset(purpose_of, 0, sizeof(purpose_of));
	seed = n * 977 + in_keys;
	pair_init(&pair);
	pair_add_keys(&pair, KEYS);
	pair_start(&pair);
	storage = in_keys ? pair.alice.keys : pair.alice.state;
	memory_storage_power_off_at(storage, n);
	ask_all();
	(void)PAIR_RUN_UNTIL(&pair, collect() || pair.alice.fatal, 200 * USEC_PER_MSEC);
	collect();
	if (!pair.alice.fatal)
		collect_reservation(&pair.alice);
	pair_run_for(&pair, in_keys ? 150 * USEC_PER_MSEC : 1000);
	collect();
	failed = memory_storage_is_off(storage);
	cancel_pending();
	kill_site(&pair.alice, crash);
	pair_start_site(&pair.alice);
	pair_connect(&pair);
	pair_run_for(&pair, 1000);
	ask_all();
	cr_assert(PAIR_RUN_UNTIL(&pair, collect(), USEC_PER_SEC), "operation %zu", (size_t)n);
	for (size_t i = 0; i < ELEMENTSOF(wishes); i++)
		cr_assert(wishes[i].delivered, "%s at %s: %s, operation %zu", wishes[i].label,
			  wishes[i].site->name, strerror(-wishes[i].result.result), (size_t)n);
	collect_reservation(&pair.alice);
	collect_reservation(&pair.bob);
	cr_assert_eq(pair.alice.fatal + pair.bob.fatal, 0);
	pair_done(&pair);
	return failed;
}

/* Whatever was delivered for a label at both sites is the same key; note() has checked the rest. */
static void explore(bool in_keys, uint64_t step, enum memory_crash crash)
{
	uint64_t n = 0;

	while (run(n, in_keys, crash))
		n += step;
	cr_assert_gt(n, 10, "next to nothing was written");
}

Test(issuer_crash, the_issue_record_is_cut_off_anywhere, .timeout = 120)
{
	explore(false, 1, MEMORY_CRASH_CHOOSE);
}

Test(issuer_crash, the_issue_record_is_cut_off_anywhere_and_loses_all_that_was_not_synced,
     .timeout = 120)
{
	explore(false, 1, MEMORY_CRASH_LOSE);
}

Test(issuer_crash, erasing_is_cut_off_anywhere, .timeout = 120)
{
	explore(true, 3, MEMORY_CRASH_CHOOSE);
}
