/* SPDX-License-Identifier: MIT */

/* What a link's new generation does to the keys of the older ones. */

#include <criterion/criterion.h>

#include "common/issue-record.h"
#include "common/keyfile.h"
#include "tests/unit/support/issuer-pair.h"

#define OLD_KEYS 100
#define NEW_KEYS 20
#define NEW_IDS  1000000 /* sequence numbers that their ids and keys are made from */

static struct issuer_pair pair;

static void setup(void)
{
	pair_init(&pair);
	pair_add_keys(&pair, OLD_KEYS);
	pair_start(&pair);
}

static void teardown(void)
{
	pair_done(&pair);
}

TestSuite(issuer_retire, .init = setup, .fini = teardown, .timeout = 60);

static void write_at(struct storage *keys, const char *path, size_t offset, const char *text,
		     size_t chars)
{
	int file = keys->ops->open(keys, path, STORAGE_WRITE | STORAGE_CREATE);

	cr_assert_geq(file, 0);
	cr_assert_geq(keys->ops->write_at(keys, file, text, chars, offset), 0);
	cr_assert_geq(keys->ops->sync(keys, file), 0);
	keys->ops->close(keys, file);
}

static void write_new_key(struct storage *keys, const char *directory, const char *peer,
			  uint64_t sequence)
{
	char path[KEYFILE_NAME_MAX], line[PAIR_KEY_BYTES * 2 + 1], id[UUID_CHARS + 1];
	struct uuid uuid = pair_id(NEW_IDS + sequence);
	uint8_t key[PAIR_KEY_BYTES];

	pair_key(NEW_IDS + sequence, key);
	keyfile_build_line(key, sizeof(key), line);
	uuid_format(&uuid, id);
	id[UUID_CHARS] = '\n';
	cr_assert_geq(keyfile_ids_path(directory, peer, 0, path), 0);
	write_at(keys, path, sequence * KEYFILE_ID_STRIDE, id, KEYFILE_ID_STRIDE);
	cr_assert_geq(keyfile_path(directory, peer, 0, path), 0);
	write_at(keys, path, sequence * sizeof(line), line, sizeof(line));
}

/* As linkd does when the other site's store is new. */
static void begin_generation(struct pair_site *site)
{
	struct storage *keys = memory_storage_storage(site->keys);
	struct keyfile_store store;
	char directory[KEYFILE_NAME_MAX];

	snprintf(directory, sizeof(directory), "%s~1", site->peer);
	cr_assert_geq(keyfile_store_read(keys, site->peer, &store), 0);
	store.generation = 1;
	cr_assert_geq(keys->ops->make_directory(keys, directory), 0);
	cr_assert_geq(keyfile_store_write(keys, directory, &store), 0);
	for (uint64_t i = 0; i < NEW_KEYS; i++)
		write_new_key(keys, directory, site->peer, i);
	cr_assert_geq(keys->ops->sync_directory(keys, directory), 0);
	cr_assert_geq(keys->ops->sync_directory(keys, "."), 0);
	cr_assert_geq(issuer_keys_agreed(site->issuer, directory, 0, NEW_KEYS), 0);
}

static void assert_new_keys_only(struct pair_site *site)
{
	struct store_status status = pair_status(site);

	cr_assert_eq(status.available_own + status.available_peer, NEW_KEYS);
	cr_assert(status.destroyed == OLD_KEYS || pair_line(site, OLD_KEYS - 1) == KEYFILE_ERASED);
}

Test(issuer_retire, unissued_keys_of_an_older_generation_are_dropped_and_erased)
{
	begin_generation(&pair.alice);
	begin_generation(&pair.bob);
	assert_new_keys_only(&pair.alice);
	assert_new_keys_only(&pair.bob);
	cr_assert(PAIR_RUN_UNTIL(&pair, pair_line(&pair.alice, 0) == KEYFILE_ERASED,
				 5 * USEC_PER_SEC));
	cr_assert_eq(pair_line(&pair.alice, OLD_KEYS - 1), KEYFILE_ERASED);
}

Test(issuer_retire, requests_are_served_from_the_new_generation)
{
	struct pair_result here = {}, there = {};
	struct uuid first = pair_id(NEW_IDS);

	begin_generation(&pair.alice);
	begin_generation(&pair.bob);
	pair_ask_label(&pair.alice, "vpn", 1000, &here);
	cr_assert_eq(pair_finish(&pair, &here), 0);
	pair_ask_label(&pair.bob, "vpn", 1000, &there);
	cr_assert_eq(pair_finish(&pair, &there), 0);
	cr_assert(uuid_equal(&here.id, &first));
	cr_assert_eq(memcmp(here.key, there.key, PAIR_KEY_BYTES), 0);
}

Test(issuer_retire, a_key_that_was_promised_before_can_still_be_had)
{
	struct pair_result new = {}, here = {}, there = {};

	pair_ask_new(&pair.alice, 1, 1000, &new);
	cr_assert_eq(pair_finish(&pair, &new), 0);
	begin_generation(&pair.alice);
	begin_generation(&pair.bob);
	pair_ask_id(&pair.alice, &new.id, 1000, &here);
	cr_assert_eq(pair_finish(&pair, &here), 0);
	pair_ask_id(&pair.bob, &new.id, 2000, &there);
	cr_assert_eq(pair_finish(&pair, &there), 0);
}

Test(issuer_retire, they_stay_dropped_over_a_restart)
{
	begin_generation(&pair.alice);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	pair_kill_site(&pair.alice, MEMORY_CRASH_PROCESS);
	pair_start_site(&pair.alice);
	assert_new_keys_only(&pair.alice);
}

Test(issuer_retire, linkd_reads_that_all_of_the_generation_is_used)
{
	struct storage *keys = memory_storage_storage(pair.alice.keys);
	struct keyfile_store store;
	bool used[3] = {};

	cr_assert_geq(keyfile_store_read(keys, "bob", &store), 0);
	begin_generation(&pair.alice);
	pair_run_for(&pair, 50 * USEC_PER_MSEC);
	cr_assert_eq(issue_record_used(memory_storage_storage(pair.alice.state), &store.uuid, 0,
				       OLD_KEYS - 1, 3, used),
		     0);
	cr_assert(used[0] && used[1] && used[2]);
}
