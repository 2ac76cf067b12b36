/* SPDX-License-Identifier: MIT */
/*
 * Sites are nodes, links are edges, and a store that no link feeds is a dotted edge: its keys come
 * over other sites. Names are quoted, because a site's may hold '-' and '.'.
 */

#include "ctl-dot.h"

#include <ctype.h>

static const char *text_of(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

static bool is_true(const json_t *object, const char *member)
{
	return json_is_true(json_object_get(object, member));
}

static bool has_member(const json_t *list, const char *member, const char *value)
{
	json_t *object;
	size_t i;

	json_array_foreach (list, i, object)
		if (str_equal(text_of(object, member), value))
			return true;
	return false;
}

static int add_site(json_t *sites, const char *site, bool is_here)
{
	if (!*site || has_member(sites, "site", site))
		return 0;
	return json_array_append_new(sites, json_pack("{s:s,s:b}", "site", site, "here", is_here));
}

static int add_link(json_t *links, const json_t *link, const char *here)
{
	json_t *edge;

	if (!*text_of(link, "peer"))
		return 0; /* its daemon does not say where it leads */
	edge = json_pack("{s:s,s:s,s:s,s:s,s:b,s:f}", "link", text_of(link, "link"), "from", here,
			 "to", text_of(link, "peer"), "state", text_of(link, "state"), "connected",
			 is_true(link, "connected"), "keys_per_second",
			 json_number_value(json_object_get(link, "keys_per_second")));
	return json_array_append_new(links, edge);
}

static int add_store(json_t *stores, const json_t *store, const json_t *links, const char *here)
{
	json_int_t available = json_integer_value(json_object_get(store, "available_own")) +
			       json_integer_value(json_object_get(store, "available_peer"));
	const char *peer = text_of(store, "peer");

	return json_array_append_new(
		stores, json_pack("{s:s,s:s,s:b,s:I,s:b}", "from", here, "to", peer, "connected",
				  is_true(store, "connected"), "available", available, "linked",
				  has_member(links, "to", peer)));
}

int ctl_dot_network(const struct ctl_snapshot *snapshot, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *sites = json_array();
	_cleanup_(json_decrefp) json_t *links = json_array();
	_cleanup_(json_decrefp) json_t *stores = json_array();
	const char *here = text_of(snapshot->keyring, "site");
	json_t *object;
	size_t i;
	int r = add_site(sites, here, true);

	json_array_foreach (snapshot->links, i, object) {
		if (!*here)
			here = text_of(object, "site"); /* keyringd does not run */
		r |= add_site(sites, here, true);
		r |= add_site(sites, text_of(object, "peer"), false);
		r |= add_link(links, object, here);
	}
	json_array_foreach (snapshot->stores, i, object) {
		r |= add_site(sites, text_of(object, "peer"), false);
		r |= add_store(stores, object, links, here);
	}
	if (r < 0)
		return -ENOMEM;
	*ret = json_pack("{s:O,s:O,s:O}", "sites", sites, "links", links, "stores", stores);
	return *ret ? 0 : -ENOMEM;
}

/* In quotes; what could end them is replaced. */
static void print_quoted(const char *text, FILE *stream)
{
	fputc('"', stream);
	for (; *text; text++)
		fputc(isprint((unsigned char)*text) && *text != '"' && *text != '\\' ? *text : '?',
		      stream);
	fputc('"', stream);
}

static void print_edge(const json_t *edge, FILE *stream)
{
	fputs("\t", stream);
	print_quoted(text_of(edge, "from"), stream);
	fputs(" -- ", stream);
	print_quoted(text_of(edge, "to"), stream);
}

static void print_link(const json_t *link, FILE *stream)
{
	bool works = is_true(link, "connected") &&
		     str_equal(text_of(link, "state"), "SessionStarted");
	char label[160];

	print_edge(link, stream);
	snprintf(label, sizeof(label), "%s, %s, %.1f keys/s", text_of(link, "link"),
		 is_true(link, "connected") ? text_of(link, "state") : "not connected",
		 json_number_value(json_object_get(link, "keys_per_second")));
	fputs(" [label=", stream);
	print_quoted(label, stream);
	fprintf(stream, ", color=%s];\n", works ? "darkgreen" : "red");
}

static void print_store(const json_t *store, FILE *stream)
{
	if (is_true(store, "linked"))
		return;
	print_edge(store, stream);
	fprintf(stream,
		" [label=\"%" JSON_INTEGER_FORMAT " keys, no link\", style=dotted, color=%s];\n",
		json_integer_value(json_object_get(store, "available")),
		is_true(store, "connected") ? "darkgreen" : "red");
}

void ctl_dot_print(const json_t *network, FILE *stream)
{
	json_t *object;
	size_t i;

	fputs("graph qkd {\n\tnode [shape=box];\n", stream);
	json_array_foreach (json_object_get(network, "sites"), i, object) {
		fputs("\t", stream);
		print_quoted(text_of(object, "site"), stream);
		fputs(is_true(object, "here") ? " [style=bold];\n" : ";\n", stream);
	}
	json_array_foreach (json_object_get(network, "links"), i, object)
		print_link(object, stream);
	json_array_foreach (json_object_get(network, "stores"), i, object)
		print_store(object, stream);
	fputs("}\n", stream);
}
