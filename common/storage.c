/* SPDX-License-Identifier: MIT */
/*
 * The real storage: files below one directory descriptor.
 *
 * Every name is resolved part by part beneath the root and without symbolic links, so that nobody
 * who can write to a parent directory leads us elsewhere. openat2(2) would do it in one call, but
 * the units' RestrictSUIDSGID= makes it fail, as a filter cannot see the mode in its argument. A
 * handle is the file descriptor.
 */

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/storage.h"

#define STORAGE_NAME_MAX 512
#define LOCK_STEP_USEC   5000

struct directory_storage {
	struct storage base;
	int root_fd;
};

static int root_of(struct storage *storage)
{
	return CONTAINER_OF(storage, struct directory_storage, base)->root_fd;
}

static bool part_is_valid(const char *part, size_t length)
{
	return length > 0 && !(length == 1 && part[0] == '.') &&
	       !(length == 2 && part[0] == '.' && part[1] == '.');
}

/* FILE or DIRECTORY/FILE */
static bool name_is_valid(const char *name)
{
	const char *slash = strchr(name, '/');
	const char *last = slash ? slash + 1 : name;

	if (strlen(name) >= STORAGE_NAME_MAX || strchr(last, '/'))
		return false;
	return part_is_valid(last, strlen(last)) &&
	       (!slash || part_is_valid(name, (size_t)(slash - name)));
}

/* One part of a name, which is no symbolic link. */
static int open_part(int directory_fd, const char *part, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(directory_fd, part, flags | O_CLOEXEC | O_NOFOLLOW, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* The directory that name is in; *ret_last points into name. */
static int open_parent(struct storage *storage, const char *name, const char **ret_last)
{
	char parent[STORAGE_NAME_MAX] = ".";
	const char *slash = strchr(name, '/');

	if (!name_is_valid(name))
		return -EINVAL;
	if (slash) {
		memcpy(parent, name, (size_t)(slash - name));
		parent[slash - name] = '\0';
	}
	*ret_last = slash ? slash + 1 : name;
	return open_part(root_of(storage), parent, O_PATH | O_DIRECTORY, 0);
}

static int open_name(struct storage *storage, const char *name, int flags, mode_t mode)
{
	_cleanup_(closep) int parent_fd = -1;
	const char *last;

	parent_fd = open_parent(storage, name, &last);
	if (parent_fd < 0)
		return parent_fd;
	return open_part(parent_fd, last, flags, mode);
}

static int directory_open(struct storage *storage, const char *name, int flags)
{
	int mode = flags & STORAGE_WRITE ? O_RDWR : O_RDONLY, fd;

	if (flags & STORAGE_WRITE && flags & STORAGE_CREATE)
		mode |= O_CREAT | (flags & STORAGE_EXCLUSIVE ? O_EXCL : 0);
	fd = open_name(storage, name, mode | O_NOCTTY | O_NONBLOCK, mode & O_CREAT ? 0600 : 0);
	/* After a failed fsync(2) the page cache may hold as clean what the disk never got. Only
	 * for recovery, because dropping the cache starts writeback, and a sync elsewhere waits for
	 * it. */
	if (fd >= 0 && flags & STORAGE_FROM_DISK)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return fd;
}

static void directory_close(struct storage *storage, int file)
{
	close(file);
}

static ssize_t directory_read_at(struct storage *storage, int file, void *data, size_t size,
				 uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(file, (char *)data + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int directory_write_at(struct storage *storage, int file, const void *data, size_t size,
			      uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(file, (const char *)data + done, size - done,
				   (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Where the file system cannot reserve, at least the space has to be there now. */
static int check_free_space(int file, uint64_t size)
{
	struct statvfs status;

	if (fstatvfs(file, &status) < 0)
		return -errno;
	return (uint64_t)status.f_bavail * status.f_frsize < size ? -ENOSPC : 0;
}

static int directory_reserve(struct storage *storage, int file, uint64_t offset, uint64_t size)
{
	int r;

	do
		r = fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EOPNOTSUPP)
		return check_free_space(file, size);
	return r < 0 ? -errno : 0;
}

static int directory_truncate(struct storage *storage, int file, uint64_t size)
{
	return ftruncate(file, (off_t)size) < 0 ? -errno : 0;
}

static int directory_sync(struct storage *storage, int file)
{
	return fdatasync(file) < 0 ? -errno : 0;
}

/* No error is told here, and none is lost: fdatasync(2) tells it. */
static void directory_start_sync(struct storage *storage, int file)
{
	(void)sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int directory_size(struct storage *storage, int file, uint64_t *ret_bytes)
{
	struct stat status;

	if (fstat(file, &status) < 0)
		return -errno;
	*ret_bytes = (uint64_t)status.st_size;
	return 0;
}

static int directory_rename(struct storage *storage, const char *from, const char *to)
{
	_cleanup_(closep) int from_fd = -1, to_fd = -1;
	const char *from_last, *to_last;

	from_fd = open_parent(storage, from, &from_last);
	if (from_fd < 0)
		return from_fd;
	to_fd = open_parent(storage, to, &to_last);
	if (to_fd < 0)
		return to_fd;
	return renameat(from_fd, from_last, to_fd, to_last) < 0 ? -errno : 0;
}

static int directory_remove(struct storage *storage, const char *name)
{
	_cleanup_(closep) int fd = -1;
	const char *last;

	fd = open_parent(storage, name, &last);
	if (fd < 0)
		return fd;
	if (unlinkat(fd, last, 0) == 0)
		return 0;
	if (errno != EISDIR)
		return -errno;
	return unlinkat(fd, last, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int directory_make_directory(struct storage *storage, const char *name)
{
	_cleanup_(closep) int fd = -1;
	const char *last;

	fd = open_parent(storage, name, &last);
	if (fd < 0)
		return fd;
	return mkdirat(fd, last, 0700) < 0 ? -errno : 0;
}

static int open_directory(struct storage *storage, const char *name)
{
	if (str_equal(name, "."))
		return open_part(root_of(storage), name, O_RDONLY | O_DIRECTORY, 0);
	return open_name(storage, name, O_RDONLY | O_DIRECTORY, 0);
}

static int directory_sync_directory(struct storage *storage, const char *name)
{
	_cleanup_(closep) int fd = open_directory(storage, name);

	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : 0;
}

static void closedirp(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static int directory_list(struct storage *storage, const char *name,
			  int (*entry)(const char *name, void *userdata), void *userdata)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	_cleanup_(closep) int fd = open_directory(storage, name);
	const struct dirent *item;
	int r = 0;

	if (fd < 0)
		return fd;
	directory = fdopendir(fd);
	if (!directory)
		return -errno;
	(void)TAKE_FD(fd);
	while (r == 0) {
		errno = 0;
		item = readdir(directory);
		if (!item)
			return -errno;
		if (!str_equal(item->d_name, ".") && !str_equal(item->d_name, ".."))
			r = entry(item->d_name, userdata);
	}
	return r;
}

/* The lock is the open directory's, so it ends with the process too. */
static int directory_lock(struct storage *storage)
{
	_cleanup_(closep) int fd =
		openat(root_of(storage), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (uint64_t waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_STEP_USEC) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (waited >= STORAGE_LOCK_USEC)
			return -EBUSY;
		usleep(LOCK_STEP_USEC);
	}
	return TAKE_FD(fd);
}

static void directory_free(struct storage *storage)
{
	struct directory_storage *directory = CONTAINER_OF(storage, struct directory_storage, base);

	close(directory->root_fd);
	free(directory);
}

static const struct storage_ops directory_ops = {
	.open = directory_open,
	.close = directory_close,
	.read_at = directory_read_at,
	.write_at = directory_write_at,
	.reserve = directory_reserve,
	.truncate = directory_truncate,
	.sync = directory_sync,
	.start_sync = directory_start_sync,
	.size = directory_size,
	.rename = directory_rename,
	.remove = directory_remove,
	.make_directory = directory_make_directory,
	.sync_directory = directory_sync_directory,
	.list = directory_list,
	.lock = directory_lock,
	.free = directory_free,
};

static int make_parents(const char *root)
{
	_cleanup_(freep) char *path = strdup(root);

	if (!path)
		return -ENOMEM;
	for (char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		if (slash == path)
			continue;
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int storage_new_directory(const char *root, struct storage **ret)
{
	_cleanup_(closep) int fd = -1;
	struct directory_storage *directory;
	int r;

	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		r = make_parents(root);
		if (r < 0)
			return r;
		fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	directory = calloc(1, sizeof(*directory));
	if (!directory)
		return -ENOMEM;
	directory->base.ops = &directory_ops;
	directory->root_fd = TAKE_FD(fd);
	*ret = &directory->base;
	return 0;
}

struct storage *storage_free(struct storage *storage)
{
	if (storage)
		storage->ops->free(storage);
	return NULL;
}
