/* SPDX-License-Identifier: MIT */
/* The upcall helper's own parsing: what chooses a socket and a deadline. */

#include <criterion/criterion.h>

#include "common/macros.h"
#include "keyring-helpers/qkd-request-key/helper-text.h"

Test(helper_text, reads_the_owner_and_description_of_a_key)
{
	struct helper_key key;

	cr_assert(helper_text_parse_key("user;1000;100;3f010000;qkd:bob:a;b", &key));
	cr_assert_str_eq(key.type, "user");
	cr_assert_eq(key.uid, 1000);
	cr_assert_eq(key.gid, 100);
	cr_assert_str_eq(key.description, "qkd:bob:a;b");
}

Test(helper_text, reads_ids_that_the_kernel_printed_as_negative_numbers)
{
	struct helper_key key;

	cr_assert(helper_text_parse_key("logon;-2;-1;00000000;qkd:", &key));
	cr_assert_eq(key.uid, 4294967294u);
	cr_assert_eq(key.gid, 4294967295u);
}

Test(helper_text, refuses_what_no_kernel_says_of_a_key)
{
	static const char *const bad[] = {
		"",
		";",
		"user",
		"user;",
		"user;1",
		"user;1;",
		"user;1;2",
		"user;1;2;",
		"user;1;2;3",
		";1;2;3;d",
		"user;;2;3;d",
		"user;1x;2;3;d",
		"user;99999999999;2;3;d",
		"user;--1;2;3;d",
		"a-type-of-sixteen;1;2;3;d",
	};
	struct helper_key key = {.uid = 77};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_assert_not(helper_text_parse_key(bad[i], &key), "%s", bad[i]);
	cr_assert_eq(key.uid, 77, "the output is untouched");
}

Test(helper_text, chooses_the_socket_by_the_site_that_the_description_names)
{
	char path[HELPER_TEXT_PATH_MAX];

	cr_assert(helper_text_socket("qkd:bob:vpn1", path));
	cr_assert_str_eq(path, "/run/qkd/upcall/_/socket");
	cr_assert(helper_text_socket("qkd@alice:bob:vpn1", path));
	cr_assert_str_eq(path, "/run/qkd/upcall/alice/socket");
	cr_assert(helper_text_socket("qkd@0a.b-c:", path));
	cr_assert_str_eq(path, "/run/qkd/upcall/0a.b-c/socket");
	cr_assert(helper_text_socket("qkd@"
				     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:b:c",
				     path));
}

Test(helper_text, never_makes_a_path_of_a_name_outside_the_grammar)
{
	static const char *const bad[] = {
		"",
		"qkd",
		"qkd@",
		"qkd@:",
		"qkd@alice",
		"qkd@../..:b:c",
		"qkd@a/b:c:d",
		"qkd@.:b:c",
		"qkd@..:b:c",
		"qkd@-a:b:c",
		"qkd@Alice:b:c",
		"qkd@a b:c:d",
		"qkd@_:b:c",
		"xqkd:b:c",
		"QKD:b:c",
		"qkd@"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:b:c",
	};
	char path[HELPER_TEXT_PATH_MAX];

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_assert_not(helper_text_socket(bad[i], path), "%s", bad[i]);
}

Test(helper_text, finds_the_wait_time_among_the_callout_words)
{
	static const struct {
		const char *callout;
		unsigned wait_sec;
	} cases[] = {
		{"", 5},
		{"wait=2", 2},
		{"size=256 wait=3 ttl=9", 3},
		{"wait=0", 0},
		{"wait=99", 5},
		{"wait=", 5},
		{"wait=x", 5},
		{"await=1", 5},
		{"wait=1x", 5},
		{"wait=99999999999", 5},
		{"size=1 wait=1", 1},
		{"wait=-1", 5},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		cr_assert_eq(helper_text_wait(cases[i].callout), cases[i].wait_sec, "%s",
			     cases[i].callout);
}

Test(helper_text, takes_a_serial_only_when_it_is_all_digits)
{
	uint32_t serial = 5;

	cr_assert(helper_text_number("2147483647", &serial));
	cr_assert_eq(serial, 2147483647u);
	cr_assert_not(helper_text_number("2147483648", &serial));
	cr_assert_not(helper_text_number("", &serial));
	cr_assert_not(helper_text_number("12 ", &serial));
	cr_assert_not(helper_text_number("-3", &serial));
}
