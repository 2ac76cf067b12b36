/* SPDX-License-Identifier: MIT */

/* Two stores that disagree, and a site that was restored from an old disk. */

#include <criterion/criterion.h>

#include "common/keyfile.h"
#include "common/log.h"
#include "tests/unit/support/issuer-pair.h"

static struct issuer_pair pair;

static void setup(void)
{
	pair_init(&pair);
	log_set_max_level(-1);
}

static void teardown(void)
{
	pair_done(&pair);
}

TestSuite(issuer_reconcile, .init = setup, .fini = teardown, .timeout = 60);

/* Gives a line of bob's another key id, as if its device had lied or its disk had. */
static void change_id(uint64_t sequence)
{
	size_t size;
	uint8_t *ids = memory_storage_content(pair.bob.keys, "alice/alice_0.ids", &size);

	ids[sequence * KEYFILE_ID_STRIDE] ^= 1;
}

Test(issuer_reconcile, equal_stores_lose_nothing)
{
	pair_add_keys(&pair, 5000);
	pair_start(&pair);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	cr_assert_eq(pair_status(&pair.alice).destroyed + pair_status(&pair.bob).destroyed, 0);
}

Test(issuer_reconcile, only_common_keys_survive)
{
	struct pair_result new = {};
	struct uuid first = pair_id(2);

	pair_add_keys(&pair, 100);
	change_id(0);
	change_id(7);
	pair_start(&pair);
	cr_assert(PAIR_RUN_UNTIL(&pair,
				 pair_status(&pair.alice).destroyed == 2 &&
					 pair_status(&pair.bob).destroyed == 2,
				 USEC_PER_SEC));
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_line(&pair.alice, 0) == '-', USEC_PER_SEC));
	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	cr_assert(uuid_equal(&new.id, &first));
}

Test(issuer_reconcile, lines_that_one_side_does_not_have_yet_say_nothing)
{
	pair_add_keys(&pair, 100);
	pair_add_keys_at(&pair.alice, 50);
	change_id(8);
	pair_start(&pair);
	cr_assert(PAIR_RUN_UNTIL(&pair,
				 pair_status(&pair.alice).destroyed == 1 &&
					 pair_status(&pair.bob).destroyed == 1,
				 USEC_PER_SEC));
	pair_add_keys_at(&pair.bob, 50);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	cr_assert_eq(pair_status(&pair.alice).destroyed, 1);
	cr_assert_eq(pair_status(&pair.bob).destroyed, 1);
}

Test(issuer_reconcile, a_file_that_is_used_up_at_one_side_is_used_up_at_both)
{
	struct storage *keys;

	pair_add_keys(&pair, KEYFILE_LINES + 10);
	keys = memory_storage_storage(pair.bob.keys);
	cr_assert_eq(keys->ops->remove(keys, "alice/alice_0"), 0);
	cr_assert_eq(keys->ops->remove(keys, "alice/alice_0.ids"), 0);
	pair_start(&pair);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_status(&pair.alice).destroyed == KEYFILE_LINES,
				 USEC_PER_SEC));
	cr_assert_eq(pair_status(&pair.alice).available_own, 5);
}

static struct memory_storage *old_state, *old_keys;

static void take_image(struct pair_site *site)
{
	cr_assert_eq(memory_storage_new(&old_state), 0);
	cr_assert_eq(memory_storage_new(&old_keys), 0);
	cr_assert_eq(memory_storage_copy(old_state, site->state), 0);
	cr_assert_eq(memory_storage_copy(old_keys, site->keys), 0);
	memory_storage_crash(old_state, MEMORY_CRASH_PROCESS, NULL, NULL);
	memory_storage_crash(old_keys, MEMORY_CRASH_PROCESS, NULL, NULL);
}

static void restore_image(struct pair_site *site)
{
	pair_cut(&pair);
	pair_stop_site(site);
	memory_storage_free(site->state);
	memory_storage_free(site->keys);
	site->state = old_state;
	site->keys = old_keys;
	site->boot.bytes[0]++;
	pair_start_site(site);
	pair_connect(&pair);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
}

Test(issuer_reconcile, an_old_disk_delivers_nothing_a_second_time)
{
	struct pair_result waiting = {}, here = {}, there = {}, again = {}, next = {};

	pair_add_keys(&pair, 400);
	pair_start(&pair);
	pair_ask_new(&pair.alice, 1, 1000, &waiting);
	cr_assert_eq(pair_finish(&pair, &waiting), 0);
	pair_ask_label(&pair.bob, "vpn", 1000, &there);
	cr_assert_eq(pair_finish(&pair, &there), 0);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	take_image(&pair.alice);
	/* After the image was taken, both are issued. */
	pair_ask_id(&pair.alice, &waiting.id, 1000, &here);
	cr_assert_eq(pair_finish(&pair, &here), 0);
	here = (struct pair_result){};
	pair_ask_label(&pair.alice, "vpn", 1000, &here);
	cr_assert_eq(pair_finish(&pair, &here), 0);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	pair_ask_new(&pair.alice, 1, 1000, &next); /* tells bob how far the record is */
	cr_assert_eq(pair_finish(&pair, &next), 0);
	pair_run_for(&pair, 150 * USEC_PER_MSEC);
	restore_image(&pair.alice);
	pair_ask_id(&pair.alice, &waiting.id, 1000, &again);
	cr_assert_eq(pair_finish(&pair, &again), -EKEYEXPIRED);
	again = (struct pair_result){};
	pair_ask_label(&pair.alice, "vpn", 1000, &again);
	cr_assert_eq(pair_finish(&pair, &again), -EKEYEXPIRED);
	again = (struct pair_result){};
	pair_ask_new(&pair.alice, 1, 1000, &again);
	cr_assert_eq(pair_finish(&pair, &again), 0);
	cr_assert_not(uuid_equal(&again.id, &next.id));
	cr_assert_not(uuid_equal(&again.id, &waiting.id));
}

Test(issuer_reconcile, a_power_cut_is_not_taken_for_an_old_disk)
{
	struct pair_result new = {}, here = {};

	pair_add_keys(&pair, 400);
	pair_start(&pair);
	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	pair_run_for(&pair, 200 * USEC_PER_MSEC);
	pair_kill_site(&pair.alice, MEMORY_CRASH_LOSE);
	pair_start_site(&pair.alice);
	pair_connect(&pair);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	pair_ask_id(&pair.alice, &new.id, 1000, &here);
	cr_assert_eq(pair_finish(&pair, &here), 0);
}
