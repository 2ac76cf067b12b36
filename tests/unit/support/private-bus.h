/* SPDX-License-Identifier: MIT */
#pragma once

/* A dbus-daemon of the test's own, on which everybody may do everything. */

#include <sys/types.h>
#include <systemd/sd-bus.h>

struct private_bus {
	pid_t pid;
	char address[256];
};

void private_bus_start(struct private_bus *ret);
void private_bus_stop(struct private_bus *bus);
/* A connection on the loop; name: to own, or NULL. */
sd_bus *private_bus_connect(const struct private_bus *bus, sd_event *event, const char *name);
