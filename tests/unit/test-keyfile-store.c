/* SPDX-License-Identifier: MIT */
/* The store file: written whole or not at all, read strictly. */

#include <criterion/criterion.h>

#include "common/keyfile.h"
#include "tests/unit/support/memory-storage.h"

static const struct keyfile_store example = {
	.uuid = {{0xaa, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
	.generation = 3,
	.link = "alice-bob",
	.peer = "bob",
	.key_bits = 256,
	.foreign_consumer = true,
};

static struct memory_storage *memory;
static struct storage *disk;

static void set_up(void)
{
	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
	cr_assert_eq(disk->ops->make_directory(disk, "bob"), 0);
	cr_assert_eq(disk->ops->sync_directory(disk, "."), 0);
}

static void tear_down(void)
{
	memory = memory_storage_free(memory);
}

TestSuite(keyfile_store, .init = set_up, .fini = tear_down);

static void assert_is(const struct keyfile_store *store, const struct keyfile_store *expected)
{
	cr_assert(uuid_equal(&store->uuid, &expected->uuid));
	cr_assert_eq(store->generation, expected->generation);
	cr_assert_str_eq(store->link, expected->link);
	cr_assert_str_eq(store->peer, expected->peer);
	cr_assert_eq(store->key_bits, expected->key_bits);
	cr_assert_eq(store->foreign_consumer, expected->foreign_consumer);
}

Test(keyfile_store, what_was_written_is_read_back_after_a_power_cut)
{
	struct keyfile_store store;

	cr_assert_eq(keyfile_store_read(disk, "bob", &store), -ENOENT);
	cr_assert_eq(keyfile_store_write(disk, "bob", &example), 0);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	cr_assert_eq(keyfile_store_read(disk, "bob", &store), 0);
	assert_is(&store, &example);
}

static unsigned random_choice(unsigned count, void *userdata)
{
	uint64_t *state = userdata;

	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)((*state >> 33) % count);
}

Test(keyfile_store, a_crash_at_any_step_leaves_the_old_or_the_new_one)
{
	struct keyfile_store next = example, store;

	next.generation = 4;
	for (uint64_t seed = 0; seed < 2000; seed++) {
		uint64_t state = seed;
		int r;

		tear_down();
		set_up();
		cr_assert_eq(keyfile_store_write(disk, "bob", &example), 0);
		memory_storage_power_off_at(memory, seed % 8);
		r = keyfile_store_write(disk, "bob", &next);
		memory_storage_crash(memory, MEMORY_CRASH_CHOOSE, random_choice, &state);
		cr_assert_eq(keyfile_store_read(disk, "bob", &store), 0);
		assert_is(&store, r == 0 || store.generation == 4 ? &next : &example);
		cr_assert_eq(keyfile_store_write(disk, "bob", &next), 0);
	}
}

Test(keyfile_store, what_is_not_such_a_file_is_refused)
{
#define GOOD                                                                             \
	"\"format\":1,\"uuid\":\"aa010203-0405-0607-0809-0a0b0c0d0e0f\",\"link\":\"l\"," \
	"\"peer\":\"p\",\"foreign_consumer\":false,"
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{" GOOD "\"generation\":0}",
		"{" GOOD "\"generation\":0,\"key_bits\":256,\"more\":1}",
		"{" GOOD "\"generation\":0,\"key_bits\":256,\"key_bits\":256}",
		"{" GOOD "\"generation\":0,\"key_bits\":256}}",
		"{" GOOD "\"generation\":-1,\"key_bits\":256}",
		"{" GOOD "\"generation\":4294967296,\"key_bits\":256}",
		"{" GOOD "\"generation\":0,\"key_bits\":0}",
		"{" GOOD "\"generation\":0,\"key_bits\":257}",
		"{" GOOD "\"generation\":0,\"key_bits\":8192}",
		"{" GOOD "\"generation\":0,\"key_bits\":\"256\"}",
		"{\"format\":2,\"uuid\":\"aa010203-0405-0607-0809-0a0b0c0d0e0f\",\"link\":\"l\","
		"\"peer\":\"p\",\"foreign_consumer\":false,\"generation\":0,\"key_bits\":256}",
		"{\"format\":1,\"uuid\":\"aa010203-0405-0607-0809-0a0b0c0d0e0f\",\"link\":\"../l\","
		"\"peer\":\"p\",\"foreign_consumer\":false,\"generation\":0,\"key_bits\":256}",
	};
	struct keyfile_store store = example;

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_assert_eq(keyfile_store_parse(bad[i], strlen(bad[i]), &store), -EBADMSG, "%s",
			     bad[i]);
	assert_is(&store, &example);
	cr_assert_eq(keyfile_store_parse(
			     "{" GOOD "\"generation\":4294967295,\"key_bits\":64}",
			     strlen("{" GOOD "\"generation\":4294967295,\"key_bits\":64}"), &store),
		     0);
	cr_assert_eq(store.generation, 4294967295u);
}

Test(keyfile_store, what_could_not_be_read_again_is_not_written)
{
	struct keyfile_store store = example;

	store.peer[0] = '/';
	cr_assert_eq(keyfile_store_write(disk, "bob", &store), -EINVAL);
	store = example;
	store.key_bits = 12;
	cr_assert_eq(keyfile_store_write(disk, "bob", &store), -EINVAL);
}
