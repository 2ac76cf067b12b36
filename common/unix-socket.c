/* SPDX-License-Identifier: MIT */
/* One way to make a listening socket with a mode, so that its rights are looked after in one place.
 */

#include "common/unix-socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int unix_socket_listen(const char *path, int type, mode_t mode, int backlog, int *ret)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, mode) < 0 ||
	    listen(fd, backlog) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}
