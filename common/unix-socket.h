/* SPDX-License-Identifier: MIT */
#pragma once

/* Listening on a path, for daemons whose unit has no socket of its own. */

#include <sys/types.h>

#include "common/macros.h"

/* type: SOCK_STREAM or SOCK_SEQPACKET. What an earlier daemon has left there is removed. The
 * descriptor is close-on-exec and does not block. */
int unix_socket_listen(const char *path, int type, mode_t mode, int backlog, int *ret);
