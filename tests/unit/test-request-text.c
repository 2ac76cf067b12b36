/* SPDX-License-Identifier: MIT */
/* Tables of descriptions and callouts, most of them hostile. */

#include <criterion/criterion.h>

#include "qkd-keyringd/request-text.h"

#define UUID_TEXT "f47ac10b-58cc-4372-a567-0e02b2c3d479"

Test(request_text, reads_a_label_with_its_peer)
{
	struct request_text request;

	cr_assert_eq(request_text_parse("qkd:bob:vpn1", "", &request), 0);
	cr_assert_str_eq(request.site, "");
	cr_assert_str_eq(request.peer, "bob");
	cr_assert_str_eq(request.label, "vpn1");
	cr_assert_not(request.by_id);
	cr_assert_eq(request.bits, 0);
	cr_assert_eq(request.ttl_sec, 0);
	cr_assert_eq(request.wait_sec, 5);
}

Test(request_text, reads_a_site_and_an_id)
{
	struct request_text request;
	struct uuid id;

	uuid_parse(UUID_TEXT, &id);
	cr_assert_eq(request_text_parse("qkd@alice:bob:id=" UUID_TEXT, "", &request), 0);
	cr_assert_str_eq(request.site, "alice");
	cr_assert(request.by_id);
	cr_assert(uuid_equal(&request.id, &id));
	cr_assert_str_eq(request.label, "");
}

Test(request_text, reads_the_callout_words_in_any_order)
{
	struct request_text request;

	cr_assert_eq(request_text_parse("qkd:bob:a", " wait=0  ttl=60 size=512 ", &request), 0);
	cr_assert_eq(request.bits, 512);
	cr_assert_eq(request.ttl_sec, 60);
	cr_assert_eq(request.wait_sec, 0);
}

Test(request_text, refuses_descriptions_outside_the_grammar)
{
	static const char *const bad[] = {
		"",
		"qkd",
		"qkd:",
		"qkd::",
		"qkd:bob",
		"qkd:bob:",
		"qkd::label",
		"qkd:Bob:label",
		"qkd:bob:label:more",
		"qkd:bob:-label",
		"qkd:bob:la bel",
		"qkd:bob:label\n",
		"qkd:bob:la/bel",
		"qkd:bob:\xff\xfe",
		"qkd:../x:label",
		"qkd:bob:" UUID_TEXT, /* a label that looks like an id */
		"qkd:bob:id=",
		"qkd:bob:id=" UUID_TEXT "0",
		"qkd:bob:id=f47ac10b58cc4372a5670e02b2c3d479",
		"qkd:bob:id=g47ac10b-58cc-4372-a567-0e02b2c3d479",
		"qkd@:bob:label",
		"qkd@alice:bob",
		"qkd@alice:",
		"qkd@Alice:bob:label",
		"qkd@a/b:bob:label",
		"QKD:bob:label",
		"qkd-pool:bob:" UUID_TEXT,
		"xqkd:bob:label",
		"qkd:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:label",
		"qkd:bob:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	struct request_text request = {.bits = 77};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_assert_eq(request_text_parse(bad[i], "", &request), -EINVAL, "%s", bad[i]);
	cr_assert_eq(request.bits, 77, "the output is untouched");
}

Test(request_text, refuses_callouts_outside_the_grammar)
{
	static const char *const bad[] = {
		"size",
		"size=",
		"size=0",
		"size=12",
		"size=4104",
		"size=-256",
		"size=+256",
		"size=0x100",
		"size=256,ttl=1",
		"size=256 size=256",
		"size=99999999999999999999",
		"ttl=0",
		"ttl=31622401",
		"wait=6",
		"wait=1s",
		"WAIT=1",
		"color=blue",
		"size=256\n",
		"size=256\twait=1",
		"size =256",
		"=",
		"\xff",
	};
	struct request_text request;

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_assert_eq(request_text_parse("qkd:bob:a", bad[i], &request), -EINVAL, "%s",
			     bad[i]);
}

Test(request_text, takes_the_largest_and_smallest_sizes)
{
	struct request_text request;

	cr_assert_eq(request_text_parse("qkd:bob:a", "size=4096", &request), 0);
	cr_assert_eq(request_text_parse("qkd:bob:a", "size=64", &request), 0);
	cr_assert_eq(request_text_parse("qkd:bob:a", "ttl=31622400 wait=5", &request), 0);
}
