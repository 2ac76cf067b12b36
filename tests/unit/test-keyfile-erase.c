/* SPDX-License-Identifier: MIT */

/* Reading key directories as keyringd does, and erasing in them. */

#include <criterion/criterion.h>

#include "qkd-keyringd/keyfile-erase.h"
#include "qkd-keyringd/store-directory.h"
#include "tests/unit/support/memory-storage.h"

#define BITS   64
#define STRIDE (BITS / 4 + 1)

static struct memory_storage *memory;
static struct storage *keys;
static struct keyfile_erase *erase;
static struct store_directory directory;
static size_t erased_count;
static bool last_of_file;

static void write_at(const char *path, const void *bytes, size_t size_bytes, uint64_t offset)
{
	int file = keys->ops->open(keys, path, STORAGE_WRITE | STORAGE_CREATE);

	cr_assert_geq(file, 0);
	cr_assert_eq(keys->ops->write_at(keys, file, bytes, size_bytes, offset), 0);
	keys->ops->close(keys, file);
}

static struct uuid id_of(uint64_t sequence)
{
	struct uuid id = {{0xcd}};

	memcpy(id.bytes + 8, &sequence, sizeof(sequence));
	return id;
}

static void write_key(uint64_t sequence)
{
	char path[KEYFILE_NAME_MAX], line[STRIDE], id_text[UUID_CHARS + 2];
	struct uuid id = id_of(sequence);

	keyfile_build_line((const uint8_t *)&sequence, BITS / 8, line);
	uuid_format(&id, id_text);
	id_text[UUID_CHARS] = '\n';
	keyfile_path("bob", "bob", keyfile_number(sequence), path);
	write_at(path, line, STRIDE, keyfile_offset(sequence, STRIDE));
	keyfile_ids_path("bob", "bob", keyfile_number(sequence), path);
	write_at(path, id_text, KEYFILE_ID_STRIDE, keyfile_offset(sequence, KEYFILE_ID_STRIDE));
}

static void setup(void)
{
	struct keyfile_store store = {
		.uuid = {{1}}, .key_bits = BITS, .link = "alice-bob", .peer = "bob"};

	cr_assert_eq(memory_storage_new(&memory), 0);
	keys = memory_storage_storage(memory);
	cr_assert_eq(keys->ops->make_directory(keys, "bob"), 0);
	cr_assert_eq(keyfile_store_write(keys, "bob", &store), 0);
	cr_assert_eq(store_directory_read(keys, "bob", &directory), 0);
	cr_assert_eq(keyfile_erase_new(keys, &erase), 0);
}

static void teardown(void)
{
	keyfile_erase_free(erase);
	memory_storage_free(memory);
}

TestSuite(keyfile_erase, .init = setup, .fini = teardown);

static bool locate(uint32_t tag, const char **ret_directory, const struct keyfile_store **ret,
		   void *userdata)
{
	*ret_directory = directory.name;
	*ret = &directory.store;
	return tag == 7;
}

static bool erased(uint32_t tag, uint64_t sequence, void *userdata)
{
	erased_count++;
	return last_of_file;
}

static const struct keyfile_erase_handler handler = {locate, erased};

struct seen {
	uint64_t next;
	size_t keys, erased, damaged;
};

static int see(uint64_t sequence, const struct uuid *id, enum keyfile_line line, void *userdata)
{
	struct seen *seen = userdata;
	struct uuid expected = id_of(sequence);

	cr_assert_eq(sequence, seen->next++);
	seen->keys += line == KEYFILE_LINE_KEY;
	seen->erased += line == KEYFILE_LINE_ERASED;
	seen->damaged += line == KEYFILE_LINE_DAMAGED;
	if (line != KEYFILE_LINE_DAMAGED)
		cr_assert(uuid_equal(id, &expected));
	return 0;
}

static struct seen scan(uint64_t from, uint64_t *ret_next)
{
	struct seen seen = {.next = from};

	cr_assert_eq(store_directory_scan(keys, &directory, from, see, &seen, ret_next), 0);
	return seen;
}

Test(keyfile_erase, complete_lines_are_seen_over_several_files)
{
	uint64_t next;
	struct seen seen;

	for (uint64_t i = 0; i < KEYFILE_LINES + 10; i++)
		write_key(i);
	seen = scan(0, &next);
	cr_assert_eq(next, KEYFILE_LINES + 10);
	cr_assert_eq(seen.keys, KEYFILE_LINES + 10);
	seen = scan(KEYFILE_LINES + 3, &next);
	cr_assert_eq(seen.keys, 7);
	cr_assert_eq(next, KEYFILE_LINES + 10);
}

Test(keyfile_erase, a_line_without_its_end_or_its_id_is_not_there_yet)
{
	uint64_t next;

	write_key(0);
	write_at("bob/bob_0", "0011", 4, STRIDE);
	scan(0, &next);
	cr_assert_eq(next, 1);
	write_at("bob/bob_0", "0011223344556677\n", STRIDE, STRIDE);
	scan(0, &next);
	cr_assert_eq(next, 1, "its id is missing");
	write_key(1);
	scan(0, &next);
	cr_assert_eq(next, 2);
}

Test(keyfile_erase, a_damaged_line_keeps_its_place)
{
	uint64_t next;
	struct seen seen;

	for (uint64_t i = 0; i < 3; i++)
		write_key(i);
	write_at("bob/bob_0", "-", 1, STRIDE);
	write_at("bob/bob_0.ids", "x", 1, 2 * KEYFILE_ID_STRIDE);
	seen = scan(0, &next);
	cr_assert_eq(seen.keys, 1);
	cr_assert_eq(seen.damaged, 2);
}

Test(keyfile_erase, the_first_file_is_found_by_name)
{
	uint64_t first;

	cr_assert_eq(store_directory_first(keys, &directory, &first), 0);
	cr_assert_eq(first, UINT64_MAX);
	write_key(5 * KEYFILE_LINES);
	write_key(6 * KEYFILE_LINES);
	write_at("bob/bob_x", "", 0, 0);
	write_at("bob/carol_0", "", 0, 0);
	cr_assert_eq(store_directory_first(keys, &directory, &first), 0);
	cr_assert_eq(first, 5 * KEYFILE_LINES);
}

Test(keyfile_erase, erases_exactly_what_was_added_and_keeps_the_length)
{
	_cleanup_(secret_freep) struct secret *key = NULL;
	const uint8_t *content;
	uint64_t next;
	size_t size;

	for (uint64_t i = 0; i < 10; i++)
		write_key(i);
	cr_assert_eq(keyfile_erase_add(erase, 7, 3), 0);
	cr_assert_eq(keyfile_erase_add(erase, 7, 8), 0);
	cr_assert_eq(keyfile_erase_flush(erase, &handler, NULL), 0);
	cr_assert(keyfile_erase_is_empty(erase));
	cr_assert_eq(erased_count, 2);
	content = memory_storage_content(memory, "bob/bob_0", &size);
	cr_assert_eq(size, 10 * STRIDE);
	cr_assert_eq(memcmp(content + 3 * STRIDE, "----------------\n", STRIDE), 0);
	cr_assert_eq(scan(0, &next).erased, 2);
	cr_assert_eq(store_directory_read_key(keys, &directory, 3, &key), -ENOKEY);
	cr_assert_eq(store_directory_read_key(keys, &directory, 4, &key), 0);
	cr_assert_eq(*(uint64_t *)key->bytes, 4);
}

Test(keyfile_erase, leaves_nothing_of_the_key_on_the_disk)
{
	static const char line[] = "0300000000000000";

	for (uint64_t i = 0; i < 5; i++)
		write_key(i);
	cr_assert(memory_storage_holds(memory, line, strlen(line)));
	keyfile_erase_add(erase, 7, 3);
	cr_assert_eq(keyfile_erase_flush(erase, &handler, NULL), 0);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	cr_assert_not(memory_storage_holds(memory, line, strlen(line)));
}

Test(keyfile_erase, never_makes_a_file_longer)
{
	size_t size;

	write_key(0);
	keyfile_erase_add(erase, 7, 1);
	keyfile_erase_add(erase, 7, 3 * KEYFILE_LINES);
	cr_assert_eq(keyfile_erase_flush(erase, &handler, NULL), 0);
	memory_storage_content(memory, "bob/bob_0", &size);
	cr_assert_eq(size, STRIDE);
	cr_assert_null(memory_storage_content(memory, "bob/bob_3", &size));
}

Test(keyfile_erase, unlinks_a_file_whose_last_line_is_erased)
{
	size_t size;

	write_key(0);
	last_of_file = true;
	keyfile_erase_add(erase, 7, 0);
	cr_assert_eq(keyfile_erase_flush(erase, &handler, NULL), 0);
	cr_assert_null(memory_storage_content(memory, "bob/bob_0", &size));
	cr_assert_null(memory_storage_content(memory, "bob/bob_0.ids", &size));
}

Test(keyfile_erase, leaves_alone_what_is_not_ours)
{
	uint64_t next;

	write_key(0);
	keyfile_erase_add(erase, 8, 0);
	cr_assert_eq(keyfile_erase_flush(erase, &handler, NULL), 0);
	cr_assert_eq(scan(0, &next).keys, 1);
}

Test(keyfile_erase, tries_again_what_has_failed)
{
	uint64_t next;

	write_key(0);
	keyfile_erase_add(erase, 7, 0);
	memory_storage_fail_at(memory, 1, -EIO);
	cr_assert_eq(keyfile_erase_flush(erase, &handler, NULL), -EIO);
	cr_assert_not(keyfile_erase_is_empty(erase));
	cr_assert_eq(keyfile_erase_flush(erase, &handler, NULL), 0);
	cr_assert_eq(scan(0, &next).erased, 1);
}
