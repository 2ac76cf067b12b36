/* SPDX-License-Identifier: MIT */
/* The network as a graph. */

#include <criterion/criterion.h>

#include "keyring-helpers/qkdctl/ctl-dot.h"

static json_t *network(const char *site)
{
	struct ctl_snapshot snapshot = {
		.keyring = site ? json_pack("{s:s}", "site", site) : json_null(),
		.links = json_loads(
			"[{\"link\":\"alice-bob\",\"site\":\"alice\",\"peer\":\"bob\",\"state\":"
			"\"SessionStarted\",\"connected\":true,\"keys_per_second\":12.5},"
			"{\"link\":\"x\",\"site\":\"alice\",\"peer\":\"a\\\"b\\n\",\"state\":\"Ready\","
			"\"connected\":false,\"keys_per_second\":0.0},{\"link\":\"dead\"}]",
			0, NULL),
		.stores = json_loads("[{\"peer\":\"bob\",\"connected\":true,\"available_own\":1,"
				     "\"available_peer\":2},{\"peer\":\"carol\",\"connected\":true,"
				     "\"available_own\":5}]",
				     0, NULL),
		.quota = json_null(),
	};
	json_t *result;

	cr_assert_eq(ctl_dot_network(&snapshot, &result), 0);
	ctl_snapshot_done(&snapshot);
	return result;
}

Test(ctl_dot, has_each_site_once_and_an_edge_for_each_link)
{
	json_t *n = network("alice");

	cr_assert_eq(json_array_size(json_object_get(n, "sites")), 4u);
	cr_assert_eq(json_array_size(json_object_get(n, "links")), 2u);
	cr_assert_eq(json_array_size(json_object_get(n, "stores")), 2u);
	json_decref(n);
	n = network(NULL); /* the links know the site, too */
	cr_assert_eq(json_array_size(json_object_get(n, "sites")), 4u);
	json_decref(n);
}

Test(ctl_dot, is_what_graphviz_reads)
{
	_cleanup_(json_decrefp) json_t *n = network("alice");
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	ctl_dot_print(n, stream);
	fclose(stream);
	cr_assert_str_eq(text, "graph qkd {\n"
			       "\tnode [shape=box];\n"
			       "\t\"alice\" [style=bold];\n"
			       "\t\"bob\";\n"
			       "\t\"a?b?\";\n"
			       "\t\"carol\";\n"
			       "\t\"alice\" -- \"bob\" [label=\"alice-bob, SessionStarted, 12.5 "
			       "keys/s\", color=darkgreen];\n"
			       "\t\"alice\" -- \"a?b?\" [label=\"x, not connected, 0.0 keys/s\", "
			       "color=red];\n"
			       "\t\"alice\" -- \"carol\" [label=\"5 keys, no link\", style=dotted, "
			       "color=darkgreen];\n"
			       "}\n");
}
