/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <sys/wait.h>

#include "qkd-linkd/keyfile-directory.h"
#include "tests/unit/support/memory-storage.h"
#include "tests/unit/support/test-directory.h"

static struct memory_storage *memory;
static struct storage *disk;

static void setup(void)
{
	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
}

static void teardown(void)
{
	memory_storage_free(memory);
}

TestSuite(keyfile_directory, .init = setup, .fini = teardown);

static void make(const char *directory, const char *link, uint32_t generation)
{
	struct keyfile_store store = {
		.uuid = {.bytes = {1}}, .generation = generation, .peer = "bob", .key_bits = 256};

	snprintf(store.link, sizeof(store.link), "%s", link);
	cr_assert_eq(keyfile_directory_make(disk, directory, &store), 0);
}

static void expect_choice(const char *link, uint32_t generation, const char *expected)
{
	char directory[KEYFILE_NAME_MAX];

	cr_assert_eq(keyfile_directory_choose(disk, link, "bob", generation, directory), 0);
	cr_assert_str_eq(directory, expected);
}

Test(keyfile_directory, the_first_link_to_a_peer_takes_the_peers_name)
{
	expect_choice("alice-bob", 0, "bob");
	expect_choice("alice-bob", 3, "bob~3");
	make("bob", "alice-bob", 0);
	expect_choice("alice-bob", 0, "bob");
	expect_choice("alice-bob", 1, "bob~1");
}

Test(keyfile_directory, a_second_link_to_the_peer_has_a_directory_of_its_own)
{
	make("bob", "alice-bob", 0);
	expect_choice("fibre2", 0, "bob+fibre2");
	expect_choice("fibre2", 2, "bob+fibre2~2");
}

Test(keyfile_directory, a_directory_without_store_file_is_free)
{
	cr_assert_eq(disk->ops->make_directory(disk, "bob"), 0);
	expect_choice("fibre2", 0, "bob");
	make("bob", "fibre2", 0);
	expect_choice("fibre2", 0, "bob");
}

Test(keyfile_directory, the_lowest_free_generation_is_above_all_directories_of_the_link)
{
	uint32_t generation = 99;

	cr_assert_eq(keyfile_directory_lowest(disk, "alice-bob", &generation), 0);
	cr_assert_eq(generation, 0u);
	make("bob", "alice-bob", 0);
	make("bob~4", "alice-bob", 4);
	make("bob+fibre2~7", "fibre2", 7);
	cr_assert_eq(keyfile_directory_lowest(disk, "alice-bob", &generation), 0);
	cr_assert_eq(generation, 5u);
}

Test(keyfile_directory, the_store_file_is_written_again_only_when_it_differs)
{
	struct keyfile_store store;
	uint64_t before;

	make("bob", "alice-bob", 0);
	before = memory_storage_syncs(memory);
	make("bob", "alice-bob", 0);
	cr_assert_leq(memory_storage_syncs(memory) - before, 1u, "the root's only");
	cr_assert_eq(keyfile_store_read(disk, "bob", &store), 0);
	store.foreign_consumer = true;
	cr_assert_eq(keyfile_directory_make(disk, "bob", &store), 0);
	cr_assert_eq(keyfile_store_read(disk, "bob", &store), 0);
	cr_assert(store.foreign_consumer);
}

Test(keyfile_directory, another_links_directory_is_never_made_ones_own)
{
	struct keyfile_store store = {.uuid = {.bytes = {2}},
				      .peer = "bob",
				      .key_bits = 256,
				      .link = "fibre2"},
			     left;

	make("bob", "alice-bob", 0);
	cr_assert_eq(keyfile_directory_make(disk, "bob", &store), -EEXIST);
	cr_assert_eq(keyfile_store_read(disk, "bob", &left), 0);
	cr_assert_str_eq(left.link, "alice-bob");
}

/* As sync-session.c does it, slowly. */
static int take_directory(const char *home, const char *link)
{
	struct keyfile_store store = {.uuid = {.bytes = {1}}, .peer = "bob", .key_bits = 256};
	_cleanup_(storage_freep) struct storage *keys = NULL;
	char directory[KEYFILE_NAME_MAX];
	int lock;

	snprintf(store.link, sizeof(store.link), "%s", link);
	if (storage_new_directory(home, &keys) < 0)
		return 1;
	lock = keys->ops->lock(keys);
	if (lock < 0 || keyfile_directory_choose(keys, link, "bob", 0, directory) < 0)
		return 2;
	usleep(50000);
	if (keyfile_directory_make(keys, directory, &store) < 0)
		return 3;
	keys->ops->close(keys, lock);
	return 0;
}

Test(keyfile_directory, links_that_begin_at_the_same_time_take_different_directories)
{
	static const char *const links[] = {"alice-bob", "fibre2", "fibre3"};
	char *home = test_directory_new();
	_cleanup_(storage_freep) struct storage *keys = NULL;
	struct keyfile_store store;
	pid_t pids[ELEMENTSOF(links)];
	int status;

	for (size_t i = 0; i < ELEMENTSOF(links); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(take_directory(home, links[i]));
	}
	for (size_t i = 0; i < ELEMENTSOF(links); i++) {
		waitpid(pids[i], &status, 0);
		cr_expect_eq(status, 0, "%s: %d", links[i], WEXITSTATUS(status));
	}
	cr_assert_eq(storage_new_directory(home, &keys), 0);
	cr_assert_eq(keyfile_store_read(keys, "bob", &store), 0);
	for (size_t i = 0; i < ELEMENTSOF(links); i++) {
		char directory[KEYFILE_NAME_MAX];

		snprintf(directory, sizeof(directory), "bob+%s", links[i]);
		if (str_equal(store.link, links[i]))
			cr_expect_lt(keyfile_store_read(keys, directory, &store), 0);
		else
			cr_expect_eq(keyfile_store_read(keys, directory, &store), 0, "%s",
				     directory);
		cr_assert_eq(keyfile_store_read(keys, "bob", &store), 0);
	}
	test_directory_remove(home);
}
