/* SPDX-License-Identifier: MIT */
#pragma once

/* Paths as D-Bus names them, and as JSON does. */

#include <jansson.h>

/* In each path, "path": "alice bob carol" becomes "sites": ["alice", "bob", "carol"]. */
void ctl_paths_split(json_t *paths);
