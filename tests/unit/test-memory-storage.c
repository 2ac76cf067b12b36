/* SPDX-License-Identifier: MIT */
/* The tests' disk in memory: it has to lose exactly what a real one may lose. */

#include <criterion/criterion.h>

#include "tests/unit/support/memory-storage.h"

static struct memory_storage *memory;
static struct storage *disk;

static void set_up(void)
{
	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
}

static void tear_down(void)
{
	memory = memory_storage_free(memory);
}

TestSuite(memory_storage, .init = set_up, .fini = tear_down);

/* Answers from a list, then 0. */
struct script {
	const unsigned *answers;
	size_t count, next;
};

static unsigned scripted(unsigned count, void *userdata)
{
	struct script *script = userdata;
	unsigned answer = script->next < script->count ? script->answers[script->next++] : 0;

	cr_assert_lt(answer, count);
	return answer;
}

static void crash_with(const unsigned *answers, size_t count)
{
	struct script script = {answers, count, 0};

	memory_storage_crash(memory, MEMORY_CRASH_CHOOSE, scripted, &script);
	cr_assert_eq(script.next, count);
}

#define CRASH_WITH(...)                             \
	crash_with((const unsigned[]){__VA_ARGS__}, \
		   sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static int make(const char *name)
{
	int file = disk->ops->open(disk, name, STORAGE_WRITE | STORAGE_CREATE);

	cr_assert_geq(file, 0);
	return file;
}

static int make_durable(const char *name, const char *text)
{
	int file = make(name);

	cr_assert_eq(disk->ops->write_at(disk, file, text, strlen(text), 0), 0);
	cr_assert_eq(disk->ops->sync(disk, file), 0);
	cr_assert_eq(disk->ops->sync_directory(disk, "."), 0);
	return file;
}

static void assert_content(const char *name, const char *text, size_t size)
{
	size_t real_size = 0;
	const uint8_t *bytes = memory_storage_content(memory, name, &real_size);

	cr_assert_not_null(bytes, "%s is absent", name);
	cr_assert_eq(real_size, size, "%zu bytes", real_size);
	cr_assert_arr_eq(bytes, text, size);
}

Test(memory_storage, a_killed_process_loses_nothing_that_was_written)
{
	cr_assert_eq(disk->ops->write_at(disk, make("f"), "abc", 3, 0), 0);
	memory_storage_crash(memory, MEMORY_CRASH_PROCESS, NULL, NULL);
	assert_content("f", "abc", 3);
	/* and a later power cut still may take it */
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	cr_assert_null(memory_storage_content(memory, "f", &(size_t){0}));
}

Test(memory_storage, a_power_cut_takes_back_everything_after_the_sync)
{
	int file = make_durable("f", "0123456789");

	cr_assert_eq(disk->ops->write_at(disk, file, "AB", 2, 4), 0);
	cr_assert_eq(disk->ops->truncate(disk, file, 5), 0);
	cr_assert_eq(disk->ops->write_at(disk, file, "CDEF", 4, 3), 0);
	cr_assert_eq(disk->ops->write_at(disk, file, "x", 1, 20), 0);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	assert_content("f", "0123456789", 10);
}

Test(memory_storage, unsynced_writes_survive_as_chosen_and_out_of_order)
{
	int file = make_durable("f", "0123");

	cr_assert_eq(disk->ops->write_at(disk, file, "45", 2, 4), 0);
	cr_assert_eq(disk->ops->write_at(disk, file, "6789", 4, 6), 0);
	CRASH_WITH(1, 2, 3); /* not the first; of the second three bytes */
	assert_content("f",
		       "0123\0\0"
		       "678",
		       9);
}

Test(memory_storage, an_append_may_leave_its_size_alone)
{
	int file = make_durable("f", "0123");

	cr_assert_eq(disk->ops->write_at(disk, file, "45", 2, 4), 0);
	CRASH_WITH(4);
	assert_content("f", "0123\0\0", 6);
}

Test(memory_storage, overwriting_tears_at_sectors_only)
{
	static char a[1200], b[1200], torn[1200];
	int file = make("f");

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	cr_assert_eq(disk->ops->write_at(disk, file, a, sizeof(a), 0), 0);
	cr_assert_eq(disk->ops->sync(disk, file), 0);
	cr_assert_eq(disk->ops->sync_directory(disk, "."), 0);
	cr_assert_eq(disk->ops->write_at(disk, file, b, 1000, 100), 0);
	CRASH_WITH(2, 600); /* up to 700: the sector from 512 stays as it was */
	memcpy(torn, a, sizeof(a));
	memset(torn + 100, 'b', 412);
	assert_content("f", torn, sizeof(torn));
	file = disk->ops->open(disk, "f", STORAGE_WRITE);
	cr_assert_eq(disk->ops->write_at(disk, file, b, 1200, 0), 0);
	CRASH_WITH(3, 0, 1, 1);
	memset(torn + 512, 'b', 1200 - 512);
	assert_content("f", torn, sizeof(torn));
}

Test(memory_storage, a_name_needs_its_directory_to_be_synced)
{
	int file = make_durable("old", "old");

	file = make("new");
	cr_assert_eq(disk->ops->write_at(disk, file, "new", 3, 0), 0);
	cr_assert_eq(disk->ops->sync(disk, file), 0);
	cr_assert_eq(disk->ops->rename(disk, "new", "old"), 0);
	assert_content("old", "new", 3);
	CRASH_WITH(1); /* the making, not the renaming */
	assert_content("old", "old", 3);
	assert_content("new", "new", 3);
	cr_assert_eq(disk->ops->rename(disk, "new", "old"), 0);
	cr_assert_eq(disk->ops->sync_directory(disk, "."), 0);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	assert_content("old", "new", 3);
	cr_assert_null(memory_storage_content(memory, "new", &(size_t){0}));
}

Test(memory_storage, a_lost_directory_takes_its_files_along)
{
	int file;

	cr_assert_eq(disk->ops->make_directory(disk, "d"), 0);
	file = make("d/f");
	cr_assert_eq(disk->ops->sync(disk, file), 0);
	cr_assert_eq(disk->ops->sync_directory(disk, "d"), 0);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	cr_assert_eq(disk->ops->open(disk, "d/f", STORAGE_READ), -ENOENT);
	cr_assert_eq(disk->ops->open(disk, "d/f", STORAGE_WRITE | STORAGE_CREATE), -ENOENT);
}

Test(memory_storage, a_removed_file_comes_back_unless_synced)
{
	make_durable("f", "x");
	cr_assert_eq(disk->ops->remove(disk, "f"), 0);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	assert_content("f", "x", 1);
	cr_assert_eq(disk->ops->remove(disk, "f"), 0);
	cr_assert_eq(disk->ops->sync_directory(disk, "."), 0);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	cr_assert_eq(disk->ops->open(disk, "f", STORAGE_READ), -ENOENT);
}

Test(memory_storage, after_a_failed_sync_no_later_one_helps)
{
	int file = make_durable("f", "0");

	cr_assert_eq(disk->ops->write_at(disk, file, "1", 1, 0), 0);
	memory_storage_fail_at(memory, 0, -EIO);
	cr_assert_eq(disk->ops->sync(disk, file), -EIO);
	cr_assert_eq(disk->ops->sync(disk, file), 0);
	memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
	assert_content("f", "0", 1);
}

Test(memory_storage, faults_come_when_they_were_asked_for)
{
	int file = make_durable("f", "0");

	memory_storage_fail_at(memory, 1, -ENOSPC);
	cr_assert_eq(disk->ops->write_at(disk, file, "1", 1, 0), 0);
	cr_assert_eq(disk->ops->write_at(disk, file, "2", 1, 0), -ENOSPC);
	cr_assert_eq(disk->ops->write_at(disk, file, "3", 1, 0), 0);
	memory_storage_power_off_at(memory, 0);
	cr_assert_eq(disk->ops->write_at(disk, file, "4", 1, 1), -EIO);
	cr_assert(memory_storage_is_off(memory));
	cr_assert_eq(disk->ops->sync(disk, file), -EIO);
	CRASH_WITH(1, 1, 0); /* only the last write happened */
	assert_content("f", "04", 2);
}

Test(memory_storage, a_full_disk_counts_sizes_and_reservations)
{
	int a = make("a"), b = make("b");

	memory_storage_set_capacity(memory, 100);
	cr_assert_eq(disk->ops->reserve(disk, a, 0, 60), 0);
	cr_assert_eq(disk->ops->reserve(disk, b, 0, 41), -ENOSPC);
	cr_assert_eq(disk->ops->reserve(disk, b, 0, 40), 0);
	cr_assert_eq(disk->ops->write_at(disk, a, "x", 1, 59), 0);
	cr_assert_eq(disk->ops->write_at(disk, a, "x", 1, 60), -ENOSPC);
	disk->ops->close(disk, a);
	cr_assert_eq(disk->ops->remove(disk, "a"), 0);
	cr_assert_eq(disk->ops->sync_directory(disk, "."), 0);
	cr_assert_eq(disk->ops->reserve(disk, b, 0, 100), 0);
}

Test(memory_storage, a_copy_goes_its_own_way)
{
	_cleanup_(memory_storage_freep) struct memory_storage *copy = NULL;
	struct storage *copy_disk;
	int file = make_durable("f", "0123");
	size_t size;

	cr_assert_eq(disk->ops->write_at(disk, file, "x", 1, 0), 0);
	cr_assert_eq(memory_storage_new(&copy), 0);
	copy_disk = memory_storage_storage(copy);
	cr_assert_eq(memory_storage_copy(copy, memory), 0);
	cr_assert_eq(copy_disk->ops->write_at(copy_disk, file, "y", 1, 4), 0);
	assert_content("f", "x123", 4);
	memory_storage_crash(copy, MEMORY_CRASH_LOSE, NULL, NULL);
	cr_assert_arr_eq(memory_storage_content(copy, "f", &size), "0123", 4);
	cr_assert_eq(size, 4);
	memory_storage_reset(copy);
	cr_assert_null(memory_storage_content(copy, "f", &size));
	assert_content("f", "x123", 4);
}
