/* SPDX-License-Identifier: MIT */
/* Tables for people. */

#include <criterion/criterion.h>

#include "common/macros.h"
#include "keyring-helpers/qkdctl/ctl-table.h"

static const struct ctl_column columns[] = {{"PEER", "peer"}, {"UP", "up"}, {"KEYS", "keys"}};

static void assert_table(const char *json, const char *expected)
{
	_cleanup_(json_decrefp) json_t *objects = json_loads(json, 0, NULL);
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	ctl_table_print(objects, columns, ELEMENTSOF(columns), stream);
	fclose(stream);
	cr_assert_str_eq(text, expected);
}

Test(ctl_table, makes_columns_as_wide_as_they_need)
{
	assert_table("[{\"peer\":\"bob\",\"up\":true,\"keys\":7},"
		     "{\"peer\":\"carol-1\",\"up\":false,\"keys\":1.25}]",
		     "PEER     UP   KEYS\n"
		     "bob      yes  7\n"
		     "carol-1  no   1.2\n");
}

Test(ctl_table, shows_what_is_missing_and_hides_what_moves_a_cursor)
{
	assert_table("[{\"peer\":\"\\u001b[2Jx\",\"up\":\"\"}]", "PEER   UP  KEYS\n"
								 "?[2Jx  -   -\n");
}

Test(ctl_table, of_nothing_is_its_titles)
{
	assert_table("[]", "PEER  UP  KEYS\n");
}

static enum ctl_colour bad(const json_t *object)
{
	return json_is_true(json_object_get(object, "up")) ? CTL_COLOUR_NONE : CTL_COLOUR_BAD;
}

static char *fitted(const char *json, const struct ctl_terminal *terminal)
{
	static const struct ctl_column coloured[] = {
		{"PEER", "peer"}, {"UP", "up", bad}, {"KEYS", "keys"}};
	_cleanup_(json_decrefp) json_t *objects = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	ctl_table_print_fitted(objects, coloured, ELEMENTSOF(coloured), terminal, stream);
	fclose(stream);
	return text;
}

Test(ctl_table, fits_into_a_terminal)
{
	const struct ctl_terminal terminal = {.width = 24};
	_cleanup_(freep) char *text = fitted(
		"[{\"peer\":\"a-site-with-a-very-long-name\",\"up\":true,\"keys\":7}]", &terminal);

	cr_assert_str_eq(text, "PEER           UP   KEYS\n"
			       "a-site-with-~  yes  7\n");
}

Test(ctl_table, paints_what_is_wrong_where_there_are_colours)
{
	const struct ctl_terminal terminal = {.width = 80, .has_colour = true};
	_cleanup_(freep) char *text =
		fitted("[{\"peer\":\"a\",\"up\":false,\"keys\":7},{\"peer\":\"b\",\"up\":true}]",
		       &terminal);

	cr_assert_str_eq(text, "PEER  UP   KEYS\n"
			       "a     \033[1;31mno   \033[0m7\n"
			       "b     yes  -\n");
}
