/* SPDX-License-Identifier: MIT */
/* Starts dbus-daemon with a configuration of its own; it tells its address on a pipe. */

#include "tests/unit/support/private-bus.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/macros.h"

/* An abstract socket leaves no file behind. */
#define CONFIGURATION                                                      \
	"<busconfig><type>session</type><listen>unix:abstract=%s</listen>" \
	"<auth>EXTERNAL</auth>"                                            \
	"<policy context='default'><allow user='*'/>"                      \
	"<allow send_destination='*' eavesdrop='true'/>"                   \
	"<allow eavesdrop='true'/><allow own='*'/></policy></busconfig>"

void private_bus_start(struct private_bus *ret)
{
	char file[] = "/tmp/qkd-test-bus-XXXXXX", argument[64], descriptor[48];
	int fd = mkstemp(file), told[2];
	ssize_t n;

	cr_assert_geq(fd, 0);
	dprintf(fd, CONFIGURATION, file);
	close(fd);
	cr_assert_eq(pipe(told), 0);
	snprintf(argument, sizeof(argument), "--config-file=%s", file);
	snprintf(descriptor, sizeof(descriptor), "--print-address=%d", told[1]);
	ret->pid = fork();
	if (ret->pid == 0) {
		execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", argument,
		       descriptor, NULL);
		_exit(127);
	}
	close(told[1]);
	n = read(told[0], ret->address, sizeof(ret->address) - 1);
	cr_assert_gt(n, 1);
	ret->address[n - 1] = '\0';
	close(told[0]);
	unlink(file);
}

void private_bus_stop(struct private_bus *bus)
{
	kill(bus->pid, SIGTERM);
	waitpid(bus->pid, NULL, 0);
}

sd_bus *private_bus_connect(const struct private_bus *bus, sd_event *event, const char *name)
{
	sd_bus *connection;

	sd_bus_new(&connection);
	sd_bus_set_address(connection, bus->address);
	sd_bus_set_bus_client(connection, true);
	cr_assert_geq(sd_bus_start(connection), 0);
	if (name)
		cr_assert_geq(sd_bus_request_name(connection, name, 0), 0);
	cr_assert_geq(sd_bus_attach_event(connection, event, 0), 0);
	return connection;
}
