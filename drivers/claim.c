/* SPDX-License-Identifier: MIT */
/*
 * One device, one link: a lock that lives as long as the process that holds it, so nothing has to
 * be cleaned up after a crash.
 */

#include "drivers/driver.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

/* What comes after the id: values of the driver's instance parameters, if it has any. */
static int instance_suffix(const struct device_url *url, char **ret)
{
	const struct driver *driver = driver_find(url->scheme);
	_cleanup_(freep) char *suffix = strdup("");

	if (!suffix)
		return -ENOMEM;
	for (size_t i = 0; driver && driver->instance_parameters && driver->instance_parameters[i];
	     i++) {
		const char *value = device_url_get(url, driver->instance_parameters[i]);
		char *longer;

		if (asprintf(&longer, "%s_%s", suffix, value ?: "") < 0)
			return -ENOMEM;
		free(suffix);
		suffix = longer;
	}
	for (char *c = suffix; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '.' && *c != '_')
			*c = '-';
	*ret = TAKE_PTR(suffix);
	return 0;
}

static int lock_path(const char *directory, const struct device_url *url, char **ret)
{
	_cleanup_(freep) char *id = NULL, *suffix = NULL;
	int r;

	r = device_url_id(url, &id);
	if (r < 0)
		return r;
	r = instance_suffix(url, &suffix);
	if (r < 0)
		return r;
	return asprintf(ret, "%s/%s%s.lock", directory, id, suffix) < 0 ? -ENOMEM : 0;
}

int device_claim(const char *directory, const struct device_url *url, int *ret_fd)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int fd = -1;
	int r;

	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return -errno;
	r = lock_path(directory, url, &path);
	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
