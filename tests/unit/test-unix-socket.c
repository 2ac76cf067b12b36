/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/unix-socket.h"
#include "tests/unit/support/test-directory.h"

static char *directory, path[64];

static void set_up(void)
{
	directory = test_directory_new();
	snprintf(path, sizeof(path), "%s/socket", directory);
}

static void tear_down(void)
{
	unlink(path);
	test_directory_remove(directory);
}

TestSuite(unix_socket, .init = set_up, .fini = tear_down);

static int connect_to(int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

Test(unix_socket, listens_with_the_mode_that_was_asked_for)
{
	_cleanup_(closep) int fd = -1;
	struct stat about;

	cr_assert_eq(unix_socket_listen(path, SOCK_STREAM, 0660, 4, &fd), 0);
	cr_assert_eq(stat(path, &about), 0);
	cr_expect_eq(about.st_mode & 07777, 0660u);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_expect_eq(connect_to(SOCK_STREAM), 0);
	cr_expect_eq(connect_to(SOCK_SEQPACKET), -EPROTOTYPE);
}

Test(unix_socket, takes_the_place_of_one_that_nobody_serves)
{
	_cleanup_(closep) int old = -1, fd = -1;

	cr_assert_eq(unix_socket_listen(path, SOCK_SEQPACKET, 0600, 4, &old), 0);
	closep(&old);
	old = -1;
	cr_expect_eq(connect_to(SOCK_SEQPACKET), -ECONNREFUSED);
	cr_assert_eq(unix_socket_listen(path, SOCK_SEQPACKET, 0600, 4, &fd), 0);
	cr_expect_eq(connect_to(SOCK_SEQPACKET), 0);
}

Test(unix_socket, refuses_a_path_that_is_too_long_or_not_there)
{
	char longest[256];
	int fd = -1;

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	cr_expect_eq(unix_socket_listen(longest, SOCK_STREAM, 0600, 4, &fd), -ENAMETOOLONG);
	cr_expect_eq(unix_socket_listen("/nonexistent/socket", SOCK_STREAM, 0600, 4, &fd), -ENOENT);
	cr_expect_eq(fd, -1);
}
