/* SPDX-License-Identifier: MIT */
#pragma once

/* The network as one site knows it: as JSON, and as a graph in graphviz's language. */

#include "ctl-snapshot.h"

/* {"sites": [{"site", "here"}], "links": [{"link", "from", "to", "state", "connected",
 * "keys_per_second"}], "stores": [{"from", "to", "connected", "available", "linked"}]} */
int ctl_dot_network(const struct ctl_snapshot *snapshot, json_t **ret);
void ctl_dot_print(const json_t *network, FILE *stream);
