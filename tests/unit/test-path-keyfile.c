/* SPDX-License-Identifier: MIT */

/* Key files of keys over paths: written here, read by whoever reads a link's. */

#include <criterion/criterion.h>

#include "qkd-keyringd/path-keyfile.h"
#include "qkd-keyringd/store-directory.h"
#include "tests/unit/support/memory-storage.h"

#define KEY_BYTES 32

static struct memory_storage *memory;
static struct storage *keys;
static struct keyfile_store store;
static struct path_keyfile *writer;
static char name[KEYFILE_NAME_MAX];

static void set_up(void)
{
	store = (struct keyfile_store){.uuid = {{7}},
				       .generation = 5,
				       .link = "@alice",
				       .peer = "carol",
				       .key_bits = KEY_BYTES * 8};
	cr_assert_eq(memory_storage_new(&memory), 0);
	keys = memory_storage_storage(memory);
	cr_assert_eq(path_keyfile_name(&store, name), 0);
	cr_assert_eq(path_keyfile_make(keys, name, &store), 0);
	cr_assert_eq(path_keyfile_new(keys, name, &store, &writer), 0);
}

static void tear_down(void)
{
	path_keyfile_free(writer);
	memory_storage_free(memory);
}

TestSuite(path_keyfile, .init = set_up, .fini = tear_down);

static void append(uint64_t first, size_t count)
{
	uint8_t bytes[16 * KEY_BYTES];
	struct uuid ids[16] = {};

	for (size_t i = 0; i < count; i++) {
		ids[i].bytes[0] = (uint8_t)(first + i);
		ids[i].bytes[1] = (uint8_t)((first + i) >> 8);
		memset(bytes + i * KEY_BYTES, (int)(first + i), KEY_BYTES);
	}
	cr_assert_eq(path_keyfile_append(writer, first, ids, bytes, count), 0);
}

static void check_line(const struct store_directory *directory, uint64_t sequence)
{
	struct secret *key;

	cr_assert_eq(store_directory_read_key(keys, directory, sequence, &key), 0);
	cr_assert_eq(key->bytes[KEY_BYTES - 1], (uint8_t)sequence);
	secret_free(key);
}

static int count_line(uint64_t sequence, const struct uuid *id, enum keyfile_line line,
		      void *userdata)
{
	cr_assert_eq(line, KEYFILE_LINE_KEY);
	cr_assert_eq(id->bytes[0], (uint8_t)sequence);
	++*(size_t *)userdata;
	return 0;
}

Test(path_keyfile, a_directory_is_named_so_that_it_cannot_be_a_links)
{
	cr_assert_str_eq(name, "carol@alice~5");
	cr_assert_str_eq(keyfile_store_builder(&store), "alice");
	strcpy(store.link, "alice-carol");
	cr_assert_null(keyfile_store_builder(&store));
}

static int refuse(const char *entry, void *userdata)
{
	return str_equal(entry, name) ? -EEXIST : 0;
}

Test(path_keyfile, a_directory_is_removed_with_all_its_files_also_at_the_second_try)
{
	append(0, 3);
	for (uint64_t n = 0; n < 4; n++) {
		memory_storage_fail_at(memory, n, -EIO);
		(void)path_keyfile_remove(keys, name);
	}
	memory_storage_power_on(memory);
	cr_assert_eq(path_keyfile_remove(keys, name), 0);
	cr_assert_eq(keys->ops->list(keys, ".", refuse, NULL), 0);
	cr_assert_eq(path_keyfile_remove(keys, name), 0);
}

Test(path_keyfile, lines_are_read_as_a_links_are_also_across_files)
{
	struct store_directory directory;
	size_t count = 0;
	uint64_t next;

	for (uint64_t first = 0; first < KEYFILE_LINES; first += 16)
		append(first, MIN((size_t)16, (size_t)(KEYFILE_LINES - 8 - first)));
	append(KEYFILE_LINES - 8, 16);
	cr_assert_eq(path_keyfile_sync(writer), 0);
	cr_assert_eq(store_directory_read(keys, name, &directory), 0);
	cr_assert_eq(store_directory_scan(keys, &directory, 0, count_line, &count, &next), 0);
	cr_assert_eq(next, KEYFILE_LINES + 8);
	cr_assert_eq(count, KEYFILE_LINES + 8);
	check_line(&directory, 0);
	check_line(&directory, KEYFILE_LINES - 1);
	check_line(&directory, KEYFILE_LINES + 7);
}

Test(path_keyfile, what_was_synced_outlives_a_power_cut)
{
	struct store_directory directory;

	append(0, 16);
	cr_assert_eq(path_keyfile_sync(writer), 0);
	writer = path_keyfile_free(writer);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	cr_assert_eq(store_directory_read(keys, name, &directory), 0);
	check_line(&directory, 15);
}
