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
