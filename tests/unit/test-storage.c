/* SPDX-License-Identifier: MIT */
/* The real storage, below a temporary directory: modes, links, escapes, errors. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/storage.h"
#include "tests/unit/support/test-directory.h"

static char *root;
static struct storage *storage;

static void set_up(void)
{
	root = test_directory_new();
	cr_assert_eq(storage_new_directory(root, &storage), 0);
}

static void tear_down(void)
{
	storage = storage_free(storage);
	test_directory_remove(root);
}

TestSuite(storage, .init = set_up, .fini = tear_down);

static int make_file(const char *name, const char *text)
{
	int file = storage->ops->open(storage, name, STORAGE_WRITE | STORAGE_CREATE);

	if (file < 0)
		return file;
	cr_assert_eq(storage->ops->write_at(storage, file, text, strlen(text), 0), 0);
	storage->ops->close(storage, file);
	return 0;
}

static mode_t mode_of(const char *name)
{
	char path[600];
	struct stat status;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	cr_assert_eq(lstat(path, &status), 0);
	return status.st_mode & 07777;
}

Test(storage, files_and_directories_are_for_their_owner_only)
{
	umask(0);
	cr_assert_eq(storage->ops->make_directory(storage, "d"), 0);
	cr_assert_eq(make_file("d/f", "x"), 0);
	cr_assert_eq(mode_of("d"), 0700);
	cr_assert_eq(mode_of("d/f"), 0600);
	cr_assert_eq(storage->ops->make_directory(storage, "d"), -EEXIST);
}

Test(storage, what_is_written_at_an_offset_is_read_back)
{
	uint64_t size;
	char data[8];
	int file;

	cr_assert_eq(make_file("f", "0123456789"), 0);
	file = storage->ops->open(storage, "f", STORAGE_WRITE);
	cr_assert_geq(file, 0);
	cr_assert_eq(storage->ops->write_at(storage, file, "ab", 2, 20), 0);
	cr_assert_eq(storage->ops->size(storage, file, &size), 0);
	cr_assert_eq(size, 22);
	cr_assert_eq(storage->ops->read_at(storage, file, data, 8, 18), 4);
	cr_assert_arr_eq(data, "\0\0ab", 4);
	cr_assert_eq(storage->ops->truncate(storage, file, 3), 0);
	cr_assert_eq(storage->ops->reserve(storage, file, 3, 4096), 0);
	cr_assert_eq(storage->ops->size(storage, file, &size), 0);
	cr_assert_eq(size, 3, "reserving does not lengthen the file");
	cr_assert_eq(storage->ops->sync(storage, file), 0);
	cr_assert_eq(storage->ops->sync_directory(storage, "."), 0);
	storage->ops->close(storage, file);
}

Test(storage, open_creates_only_when_told_to)
{
	int file = storage->ops->open(storage, "f", STORAGE_WRITE);

	cr_assert_eq(file, -ENOENT);
	cr_assert_eq(storage->ops->open(storage, "f", STORAGE_READ), -ENOENT);
	cr_assert_eq(make_file("f", "x"), 0);
	file = storage->ops->open(storage, "f", STORAGE_WRITE | STORAGE_CREATE | STORAGE_EXCLUSIVE);
	cr_assert_eq(file, -EEXIST);
	file = storage->ops->open(storage, "f", STORAGE_READ);
	cr_assert_geq(file, 0);
	cr_assert_eq(storage->ops->write_at(storage, file, "y", 1, 0), -EBADF);
	cr_assert_eq(fcntl(file, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	storage->ops->close(storage, file);
}

Test(storage, names_that_lead_elsewhere_are_refused)
{
	static const char *const bad[] = {"",   "/",      "/etc/passwd", ".",       "..",   "../x",
					  "a/", "a/../b", "a/b/c",       "./../..", "a/..", "a/."};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		cr_assert_eq(make_file(bad[i], "x"), -EINVAL, "%s", bad[i]);
		cr_assert_eq(storage->ops->make_directory(storage, bad[i]), -EINVAL);
		cr_assert_eq(storage->ops->remove(storage, bad[i]), -EINVAL);
		cr_assert_eq(storage->ops->rename(storage, "f", bad[i]), -EINVAL);
	}
}

Test(storage, symbolic_links_are_not_followed)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/link", root);
	cr_assert_eq(symlink("/etc/passwd", path), 0);
	cr_assert_eq(storage->ops->open(storage, "link", STORAGE_READ), -ELOOP);
	snprintf(path, sizeof(path), "%s/up", root);
	cr_assert_eq(symlink("/tmp", path), 0);
	cr_assert_eq(make_file("up/f", "x"), -ENOTDIR);
	cr_assert_eq(storage->ops->make_directory(storage, "up/d"), -ENOTDIR);
}

Test(storage, rename_replaces_and_remove_takes_files_and_empty_directories)
{
	char data[4];
	int file;

	cr_assert_eq(storage->ops->make_directory(storage, "d"), 0);
	cr_assert_eq(make_file("d/new", "new"), 0);
	cr_assert_eq(make_file("old", "old"), 0);
	cr_assert_eq(storage->ops->remove(storage, "d"), -ENOTEMPTY);
	cr_assert_eq(storage->ops->rename(storage, "d/new", "old"), 0);
	file = storage->ops->open(storage, "old", STORAGE_READ);
	cr_assert_eq(storage->ops->read_at(storage, file, data, 4, 0), 3);
	cr_assert_arr_eq(data, "new", 3);
	storage->ops->close(storage, file);
	cr_assert_eq(storage->ops->remove(storage, "d"), 0);
	cr_assert_eq(storage->ops->remove(storage, "old"), 0);
	cr_assert_eq(storage->ops->remove(storage, "old"), -ENOENT);
}

static int count_entry(const char *name, void *userdata)
{
	return ++*(int *)userdata == 2 ? 7 : 0;
}

Test(storage, list_names_each_entry_once_and_stops_when_told)
{
	int count = 0;

	cr_assert_eq(storage->ops->list(storage, ".", count_entry, &count), 0);
	cr_assert_eq(count, 0);
	cr_assert_eq(make_file("a", "x"), 0);
	cr_assert_eq(storage->ops->list(storage, ".", count_entry, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(make_file("b", "x"), 0);
	count = 0;
	cr_assert_eq(storage->ops->list(storage, ".", count_entry, &count), 7);
	cr_assert_eq(storage->ops->list(storage, "absent", count_entry, &count), -ENOENT);
}

Test(storage, an_absent_root_is_made_with_its_parents)
{
	struct storage *deep = NULL;
	char path[600];

	snprintf(path, sizeof(path), "%s/x/y", root);
	cr_assert_eq(storage_new_directory(path, &deep), 0);
	cr_assert_eq(mode_of("x/y"), 0700);
	deep = storage_free(deep);
	cr_assert_null(storage_free(NULL));
}
