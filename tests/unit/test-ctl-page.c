/* SPDX-License-Identifier: MIT */
/* The page that is drawn again and again: it fits. */

#include <criterion/criterion.h>

#include "keyring-helpers/qkdctl/ctl-page.h"

static char *page(unsigned links, unsigned stores, unsigned troubled,
		  const struct ctl_terminal *terminal)
{
	_cleanup_(ctl_history_done) struct ctl_history history = {0};
	_cleanup_(ctl_snapshot_done) struct ctl_snapshot snapshot = {
		.keyring = json_pack("{s:s,s:s}", "site", "alice", "version", "1"),
		.links = json_array(),
		.stores = json_array(),
		.quota = json_null(),
	};
	_cleanup_(json_decrefp) json_t *problems = NULL;
	char *text = NULL, name[64];
	size_t size;
	FILE *stream;

	for (unsigned i = 0; i < links; i++) {
		snprintf(name, sizeof(name), "link-with-a-name-that-is-long-%u", i);
		json_array_append_new(
			snapshot.links,
			json_pack("{s:s,s:s,s:b,s:b,s:b,s:s,s:f,s:f}", "link", name, "peer", "bob",
				  "running", 1, "answering", i >= troubled, "connected", 1, "state",
				  "SessionStarted", "keys_per_second", 1000.0, "error_rate", 0.02));
	}
	for (unsigned i = 0; i < stores; i++) {
		snprintf(name, sizeof(name), "peer%u", i);
		json_array_append_new(snapshot.stores,
				      json_pack("{s:s,s:b,s:i}", "peer", name, "connected", 1,
						"available_own", 7));
	}
	cr_assert_eq(ctl_problem_list(&snapshot, &problems), 0);
	stream = open_memstream(&text, &size);
	ctl_page_print(&snapshot, problems, &history, terminal, stream);
	fclose(stream);
	return text;
}

static void assert_fits(const char *text, unsigned width, unsigned height)
{
	unsigned lines = 1, column = 0;

	for (; *text; text++) {
		if (*text == '\n') {
			lines++;
			column = 0;
		} else if ((*text & 0xc0) != 0x80) { /* the first byte of a character */
			cr_assert_leq(++column, width, "line %u", lines);
		}
	}
	cr_assert_leq(lines, height);
}

Test(ctl_page, fits_whatever_there_is)
{
	static const struct ctl_terminal terminals[] = {
		{.width = 80, .height = 24, .has_utf8 = true},
		{.width = 80, .height = 24},
		{.width = 200, .height = 60, .has_utf8 = true},
		{.width = 80, .height = 8}};

	for (size_t t = 0; t < ELEMENTSOF(terminals); t++)
		for (unsigned links = 0; links < 60; links += 7)
			for (unsigned troubled = 0; troubled < 6; troubled += 5) {
				_cleanup_(freep) char *text =
					page(links, 2 * links, troubled, &terminals[t]);

				assert_fits(text, terminals[t].width, terminals[t].height);
			}
}

Test(ctl_page, shows_links_stores_and_what_is_hidden)
{
	const struct ctl_terminal terminal = {.width = 80, .height = 24};
	_cleanup_(freep) char *small = page(2, 1, 1, &terminal), *large = NULL;

	cr_assert(strstr(small, "SessionStarted"));
	cr_assert(strstr(small, "no answer"));
	cr_assert(strstr(small, "does not answer"));
	cr_assert(strstr(small, "  2.0%"));
	cr_assert(strstr(small, "peer0"));
	cr_assert(strstr(small, "q quits"));
	large = page(50, 100, 0, &terminal);
	cr_assert(strstr(large, "peer0"), "stores have their half");
	cr_assert(strstr(large, "more lines: a larger terminal"));
}
