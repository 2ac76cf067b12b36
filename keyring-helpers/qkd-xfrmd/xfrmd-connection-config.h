/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading one member of "connections": its two ends, what it protects, and for how long. */

#include "common/config.h"
#include "xfrmd-config.h"

/* Reports errors at pointer; -ENOMEM only. */
int xfrmd_connection_config_parse(struct config *config, const char *pointer, const char *name,
				  json_t *value, struct xfrmd_connection_config *connection);
void xfrmd_connection_config_done(struct xfrmd_connection_config *connection);
