/* SPDX-License-Identifier: MIT */

/* What one site destroys while the other does not have it yet, or is away; and key directories that
 * come back after the start. */

#include <criterion/criterion.h>

#include "common/keyfile.h"
#include "qkd-keyringd/issuer-private.h"
#include "tests/unit/support/issuer-pair.h"

#define SOON (2 * USEC_PER_SEC)

static struct issuer_pair pair;
static bool lease_seen;

static void setup(void)
{
	pair_init(&pair);
	pair_add_keys(&pair, 20);
	pair_start(&pair);
}

static void teardown(void)
{
	pair_done(&pair);
}

TestSuite(issuer_doom, .init = setup, .fini = teardown, .timeout = 60);

static void crash_and_restart(struct pair_site *site, enum memory_crash crash)
{
	pair_kill_site(site, crash);
	pair_start_site(site);
	pair_connect(&pair);
	pair_run_for(&pair, 20 * USEC_PER_MSEC);
}

/* The one that runs ahead of what is chosen. */
static uint64_t mark_on_disk(const struct pair_site *site)
{
	return site->issuer->stores[0]->directories[0]->ahead;
}

/* Alice has keys that bob does not have, and burns all of her half. */
static uint64_t burn_before_arrival(void)
{
	pair_add_keys_at(&pair.alice, 20);
	cr_assert(PAIR_RUN_UNTIL(&pair, mark_on_disk(&pair.alice) >= 40, SOON));
	crash_and_restart(&pair.alice, MEMORY_CRASH_LOSE);
	cr_assert_eq(pair_status(&pair.alice).lost_ahead, 20);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.bob).destroyed == 10, SOON));
	pair_run_for(&pair, 150 * USEC_PER_MSEC);
	return pair_status(&pair.alice).destroyed;
}

Test(issuer_doom, a_key_that_the_peer_destroyed_is_erased_when_it_comes)
{
	uint64_t burnt = burn_before_arrival();

	pair_add_keys_at(&pair.bob, 20);
	cr_assert_eq(pair_status(&pair.bob).destroyed, burnt);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_line(&pair.bob, 38) == '-', SOON));
	cr_assert_neq(pair_line(&pair.bob, 39), '-');
}

Test(issuer_doom, it_is_erased_also_when_the_power_fails_before_it_comes)
{
	uint64_t burnt = burn_before_arrival();

	crash_and_restart(&pair.bob, MEMORY_CRASH_LOSE);
	pair_add_keys_at(&pair.bob, 20);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_line(&pair.bob, 38) == '-', SOON));
	cr_assert_geq(pair_status(&pair.bob).destroyed, burnt);
}

Test(issuer_doom, the_peer_is_told_of_a_key_destroyed_a_moment_before_kill_9)
{
	struct pair_result new = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	pair_cut(&pair);
	cr_assert_eq(issuer_destroy(pair.alice.issuer, "bob", &new.id, 1000), 0);
	pair_run_for(&pair, 5 * USEC_PER_MSEC);
	crash_and_restart(&pair.alice, MEMORY_CRASH_PROCESS);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.bob).destroyed == 1, SOON));
}

static bool see_lease(const char *from, const char *frame, void *userdata)
{
	lease_seen |= strstr(frame, "\"lease\"") != NULL;
	return false;
}

Test(issuer_doom, a_lease_that_is_not_acknowledged_yet_is_let_go_of_at_the_end)
{
	struct pair_result all = {}, more = {};

	pair_ask_new(&pair.bob, 10, 1000, &all);
	cr_assert_eq(pair_finish(&pair, &all), 0);
	pair.drop = see_lease;
	pair_ask_new(&pair.bob, 1, 1000, &more);
	cr_assert(PAIR_RUN_UNTIL(&pair, lease_seen, SOON));
	sd_event_run(pair.event, 0);
}

static void set_store_damaged(struct pair_site *site, bool damaged)
{
	struct storage *keys = memory_storage_storage(site->keys);
	char path[KEYFILE_NAME_MAX];
	int file;

	snprintf(path, sizeof(path), "%s/%s", site->peer, KEYFILE_STORE_FILE);
	file = keys->ops->open(keys, path, STORAGE_WRITE);
	cr_assert(file >= 0);
	cr_assert(keys->ops->write_at(keys, file, damaged ? "}" : "{", 1, 0) >= 0);
	cr_assert(keys->ops->sync(keys, file) >= 0);
	keys->ops->close(keys, file);
}

Test(issuer_doom, a_directory_that_is_repaired_after_the_start_waits_for_the_next_one)
{
	struct pair_result first = {}, again = {};

	pair_ask_label(&pair.alice, "vpn", 1000, &first);
	cr_assert_eq(pair_finish(&pair, &first), 0);
	pair_stop_site(&pair.alice);
	set_store_damaged(&pair.alice, true);
	pair_start_site(&pair.alice);
	set_store_damaged(&pair.alice, false);
	cr_assert_eq(issuer_rescan(pair.alice.issuer), 0);
	cr_assert_eq(issuer_keys_agreed(pair.alice.issuer, "bob", 0, 20), 0);
	cr_assert_eq(pair_status(&pair.alice).available_own, 0);
	pair_stop_site(&pair.alice);
	pair_start_site(&pair.alice);
	pair_connect(&pair);
	cr_assert_eq(pair_status(&pair.alice).available_own, 9);
	pair_ask_label(&pair.alice, "vpn", 1000, &again);
	cr_assert_eq(pair_finish(&pair, &again), -EKEYEXPIRED);
}
