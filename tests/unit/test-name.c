/* SPDX-License-Identifier: MIT */
/* Names: what the grammar of the design takes and refuses, and UUIDs to text and back. */

#include <criterion/criterion.h>

#include "common/name.h"

#define TEN   "aaaaaaaaaa"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const struct {
	const char *name;
	bool site, label;
} names[] = {
	{"alice", true, true},
	{"a", true, true},
	{"0", true, true},
	{"a.b-c", true, true},
	{"alice-bob", true, true},
	{"a..", true, true},
	{"", false, false},
	{".", false, false},
	{"..", false, false},
	{".a", false, false},
	{"-a", false, false},
	{"_a", false, false},
	{"a/b", false, false},
	{"a b", false, false},
	{"a:b", false, false},
	{"a*", false, false},
	{"a\n", false, false},
	{"a\xc3\xa9", false, false},
	{"Alice", false, true},
	{"a_b", false, true},
	{"VPN1.x_y-z", false, true},
	{SIXTY "aaa", true, true},
	{SIXTY "aaaa", false, true},
	{SIXTY "aaaaa", false, false},
	{SIXTY SIXTY, false, false},
	{"01234567-89ab-cdef-0123-456789abcdef", true, false},
	{"01234567-89AB-CDEF-0123-456789abcdef", false, false},
	{"01234567-89ab-cdef-0123-456789abcdeg", true, true},
	{"01234567-89ab-cdef-0123-456789abcde", true, true},
	{"01234567-89ab-cdef-0123-456789abcdef0", true, true},
};

Test(name, the_grammar_takes_and_refuses_what_the_design_says)
{
	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		cr_assert_eq(site_name_is_valid(names[i].name), names[i].site, "site %s",
			     names[i].name);
		cr_assert_eq(link_name_is_valid(names[i].name), names[i].site, "link %s",
			     names[i].name);
		cr_assert_eq(label_is_valid(names[i].name), names[i].label, "label %s",
			     names[i].name);
	}
}

Test(name, the_smaller_name_as_bytes_leads)
{
	cr_assert(site_is_leader("alice", "bob"));
	cr_assert_not(site_is_leader("bob", "alice"));
	cr_assert(site_is_leader("a", "a0"));
	cr_assert(site_is_leader("a-", "a."));
	cr_assert_not(site_is_leader("a", "a"));
}

Test(name, a_uuid_is_parsed_in_either_case_and_formatted_in_lower)
{
	static const uint8_t bytes[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
					  0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
	struct uuid id;
	char text[UUID_CHARS + 1];

	cr_assert_eq(uuid_parse("01234567-89AB-cdEF-0123-456789abcDEF", &id), 0);
	cr_assert_arr_eq(id.bytes, bytes, 16);
	uuid_format(&id, text);
	cr_assert_str_eq(text, "01234567-89ab-cdef-0123-456789abcdef");
}

Test(name, a_uuid_with_any_wrong_character_or_length_is_refused)
{
	const char *good = "01234567-89ab-cdef-0123-456789abcdef";
	struct uuid id, before;

	memset(&id, 7, sizeof(id));
	before = id;
	for (size_t i = 0; i < UUID_CHARS; i++) {
		char text[UUID_CHARS + 1];

		memcpy(text, good, sizeof(text));
		text[i] = good[i] == '-' ? '0' : '-';
		cr_assert_eq(uuid_parse(text, &id), -EINVAL);
		text[i] = '\0';
		cr_assert_eq(uuid_parse(text, &id), -EINVAL);
	}
	cr_assert_eq(uuid_parse("01234567-89ab-cdef-0123-456789abcdef ", &id), -EINVAL);
	cr_assert_eq(uuid_parse("{01234567-89ab-cdef-0123-456789abcdef}", &id), -EINVAL);
	cr_assert(uuid_equal(&id, &before), "untouched on failure");
}

Test(name, random_uuids_are_version_4_and_differ)
{
	struct uuid a, b, null = {0};
	char text[UUID_CHARS + 1];

	for (int i = 0; i < 100; i++) {
		cr_assert_eq(uuid_new_random(&a), 0);
		cr_assert_eq(uuid_new_random(&b), 0);
		cr_assert_not(uuid_equal(&a, &b));
		uuid_format(&a, text);
		cr_assert_eq(text[14], '4');
		cr_assert(strchr("89ab", text[19]));
	}
	cr_assert(uuid_is_null(&null));
	cr_assert_not(uuid_is_null(&a));
}

/* As devices make them: counted in one place, the rest alike. */
Test(name, ids_that_differ_in_two_bytes_only_spread_over_a_table)
{
	enum {
		IDS = 1024,
		SLOTS = 2048,
		MOST = 8,
	};

	for (size_t at = 0; at < sizeof(struct uuid) - 1; at++) {
		unsigned slots[SLOTS] = {0}, most = 0;

		for (unsigned i = 0; i < IDS; i++) {
			struct uuid id = {{[0 ... 15] = 0x4a}};
			unsigned *slot;

			id.bytes[at] = (uint8_t)(i >> 8);
			id.bytes[at + 1] = (uint8_t)i;
			slot = &slots[uuid_hash(&id, 0) % SLOTS];
			most = MAX(most, ++*slot);
		}
		cr_assert_leq(most, MOST, "byte %zu: %u in one slot", at, most);
	}
}
