/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "common/config.h"

struct settings {
	char *home, *ca;
	uint64_t window, hold_sec;
	bool confirm;
	int level;
	unsigned peers;
};

static const char *const levels[] = {"low", "high", NULL};

static int parse_peers(struct config *config, const char *pointer, json_t *value, void *field)
{
	*(unsigned *)field = (unsigned)json_object_size(value);
	return 0;
}

static bool same_peers(const void *field, const void *other)
{
	return *(const unsigned *)field == *(const unsigned *)other;
}

#define FIELD(name) .offset = offsetof(struct settings, name)
static const struct config_setting table[] = {
	{.name = "home", .type = CONFIG_PATH, FIELD(home), .required = true},
	{.name = "tls.ca", .type = CONFIG_PATH, .change = CONFIG_AT_RELOAD, FIELD(ca)},
	{.name = "window",
	 .type = CONFIG_UINT,
	 .change = CONFIG_ANY_TIME,
	 FIELD(window),
	 .min = 1,
	 .max = 64},
	{.name = "hold_sec", .type = CONFIG_UINT, FIELD(hold_sec), .max = 64},
	{.name = "confirm", .type = CONFIG_BOOL, .change = CONFIG_ANY_TIME, FIELD(confirm)},
	{.name = "level",
	 .type = CONFIG_CHOICE,
	 .change = CONFIG_ANY_TIME,
	 FIELD(level),
	 .choices = levels},
	{.name = "peers",
	 .type = CONFIG_CUSTOM,
	 FIELD(peers),
	 .parse = parse_peers,
	 .same = same_peers},
};

static void check_odd(struct config *config, const void *target)
{
	if (((const struct settings *)target)->window % 2 == 0)
		config_error(config, "/window", "is even");
}

static void expect(struct settings *settings, const char *name, const char *value, int result,
		   const char *words)
{
	_cleanup_(freep) char *what = NULL;

	cr_expect_eq(
		config_change(table, ELEMENTSOF(table), settings, name, value, check_odd, &what),
		result, "%s=%s", name, value);
	if (words)
		cr_expect_str_eq(what, words);
	else
		cr_expect_null(what);
}

Test(config_change, one_setting_is_read_as_on_the_command_line)
{
	struct settings settings = {.window = 3};

	expect(&settings, "window", "7", 0, NULL);
	cr_expect_eq(settings.window, 7u);
	expect(&settings, "confirm", "true", 0, NULL);
	cr_expect(settings.confirm);
	expect(&settings, "level", "high", 0, NULL);
	cr_expect_eq(settings.level, 1);
}

Test(config_change, what_is_wrong_is_one_line_that_names_the_setting)
{
	struct settings settings = {.window = 3};

	expect(&settings, "window", "65", -EINVAL,
	       "window: expected a whole number from 1 to 64, found 65");
	expect(&settings, "window", "", -EINVAL,
	       "window: expected a whole number from 1 to 64, found a string");
	expect(&settings, "window", "7\nx", -EINVAL,
	       "window: expected a whole number from 1 to 64, found a string");
	expect(&settings, "level", "7", -EINVAL, "level: expected one of \"low\", \"high\"");
}

Test(config_change, the_check_of_more_than_one_setting_has_its_say)
{
	struct settings settings = {.window = 3};

	expect(&settings, "window", "8", -EINVAL, "window: is even");
}

Test(config_change, only_what_may_change_at_any_time_changes)
{
	struct settings settings = {.window = 3, .hold_sec = 5};

	expect(&settings, "hold_sec", "7", -EROFS,
	       "hold_sec: cannot be changed now, only in the configuration");
	expect(&settings, "tls.ca", "/x", -EROFS,
	       "tls.ca: cannot be changed now, only in the configuration");
	expect(&settings, "windows", "7", -ENOENT, "windows: no such setting");
	cr_expect_eq(settings.hold_sec, 5u);
	cr_expect_null(settings.ca);
}

Test(config_change, a_value_is_shown_as_the_text_that_sets_it)
{
	struct settings settings = {.home = "/h", .window = 3, .confirm = true, .level = 1};
	static const char *const expected[] = {"/h", "", "3", "0", "true", "high"};

	for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
		_cleanup_(freep) char *text = NULL;

		cr_assert_eq(config_format(&table[i], &settings, &text), 0);
		cr_expect_str_eq(text, expected[i]);
	}
	cr_expect_eq(config_format(&table[6], &settings, NULL), -EOPNOTSUPP);
}

Test(config_change, a_reload_takes_what_it_can_and_names_the_rest)
{
	struct settings old = {.home = "/a", .ca = "/ca", .window = 3, .hold_sec = 1, .peers = 1};
	struct settings fresh = {
		.home = "/b", .ca = "/new", .window = 5, .hold_sec = 1, .level = 1, .peers = 2};
	_cleanup_(freep) char *left = NULL, *none = NULL;

	cr_assert_eq(config_take_over(table, ELEMENTSOF(table), &old, &fresh, &left), 0);
	cr_expect_str_eq(left, "home, peers");
	cr_expect_str_eq(old.home, "/a");
	cr_expect_str_eq(old.ca, "/new");
	cr_expect_str_eq(fresh.ca, "/ca", "whoever owns fresh frees it");
	cr_expect_eq(old.window, 5u);
	cr_expect_eq(old.level, 1);
	cr_expect_eq(old.peers, 1u);
	fresh = old;
	cr_assert_eq(config_take_over(table, ELEMENTSOF(table), &old, &fresh, &none), 0);
	cr_expect_str_eq(none, "");
}
