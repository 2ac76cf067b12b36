/* SPDX-License-Identifier: MIT */
/* Settings from the command line. */

#include <criterion/criterion.h>

#include "common/macros.h"
#include "keyring-helpers/qkdctl/ctl-settings.h"

static void assert_parsed(char *const *words, const char *expected)
{
	_cleanup_(json_decrefp) json_t *settings = NULL, *wanted = json_loads(expected, 0, NULL);
	size_t count = 0;

	while (words[count])
		count++;
	cr_assert_eq(ctl_settings_parse(words, count, &settings), NULL);
	cr_assert(json_equal(settings, wanted), "%s", expected);
}

static void assert_wrong(char *const *words, const char *word)
{
	json_t *settings = NULL;
	size_t count = 0;

	while (words[count])
		count++;
	cr_assert_str_eq(ctl_settings_parse(words, count, &settings), word);
	cr_assert_eq(settings, NULL);
}

#define WORDS(...)                \
	(char *[])                \
	{                         \
		__VA_ARGS__, NULL \
	}

Test(ctl_settings, become_the_members_of_a_file)
{
	assert_parsed(WORDS("peer=bob", "device=sim://a?side=alice&rate=5", "window=3"),
		      "{\"peer\":\"bob\",\"device\":\"sim://a?side=alice&rate=5\","
		      "\"window\":3}");
	assert_parsed(WORDS("confirm=true", "log_level=info", "peer=12", "x=\"a\""),
		      "{\"confirm\":true,\"log_level\":\"info\",\"peer\":\"12\","
		      "\"x\":\"\\\"a\\\"\"}");
}

Test(ctl_settings, with_dots_are_members_of_members)
{
	assert_parsed(WORDS("distill.secret=/a", "distill.window=2"),
		      "{\"distill\":{\"secret\":\"/a\",\"window\":2}}");
}

Test(ctl_settings, that_are_none_are_named)
{
	assert_wrong(WORDS("peer=bob", "window"), "window");
	assert_wrong(WORDS("=bob"), "=bob");
	assert_wrong(WORDS("a=1", "a=2"), "a=2");
	assert_wrong(WORDS("a=1", "a.b=2"), "a.b=2");
	assert_wrong(WORDS("a.=1"), "a.=1");
	assert_wrong(WORDS("a=\xff"), "a=\xff");
	assert_wrong(
		WORDS("a-name-that-is-longer-than-any-name-of-a-setting-and-then-some-more-of-it=1"),
		"a-name-that-is-longer-than-any-name-of-a-setting-and-then-some-more-of-it=1");
}
