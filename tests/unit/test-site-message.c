/* SPDX-License-Identifier: MIT */

/* The site protocol's messages: built, sent as text, verified. */

#include <criterion/criterion.h>

#include "qkd-keyringd/site-message.h"

static struct uuid ids[3] = {{{1}}, {{2}}, {{3}}};
static uint64_t sequences[3] = {10, 12, 14};
static char verdicts[] = "ora";

/* One of each, with everything that it may have. */
static const struct site_message examples[] = {
	{.type = SITE_HELLO,
	 .version = 1,
	 .site = "alice",
	 .log = {{9}},
	 .known_log = {{8}},
	 .known_position = 3},
	{.type = SITE_SUMMARY,
	 .request = {{8}},
	 .keys = {.store = {{7}}, .generation = 1},
	 .first = 4096,
	 .count = 4096,
	 .digest = {{6}}},
	{.type = SITE_COMPARED, .request = {{8}}, .verdicts = verdicts},
	{.type = SITE_DIFFER, .request = {{8}}, .keys = {{{7}}, 1, 3, ids, sequences}},
	{.type = SITE_DIFFERENCE, .request = {{8}}, .verdicts = verdicts},
	{.type = SITE_MARK,
	 .request = {{8}},
	 .keys = {{{7}}, 1, 3, ids, sequences},
	 .hold_sec = 600,
	 .wait_msec = 2000,
	 .bits = 768,
	 .parts = 3},
	{.type = SITE_MARK,
	 .request = {{8}},
	 .keys = {{{7}}, 1, 1, ids, sequences},
	 .hold_sec = 600,
	 .wait_msec = 2000,
	 .label = "vpn1",
	 .label_generation = 5,
	 .expires_usec = 6,
	 .bits = 256,
	 .parts = 1},
	{.type = SITE_MARKED, .request = {{8}}, .verdicts = verdicts},
	{.type = SITE_MARKED,
	 .request = {{8}},
	 .verdicts = verdicts,
	 .keys = {{{7}}, 1, 1, ids, sequences}},
	{.type = SITE_WITHDRAW,
	 .request = {{8}},
	 .id = {{4}},
	 .keys = {{{7}}, 1, 3, ids, sequences}},
	{.type = SITE_WITHDRAWN, .request = {{8}}, .verdicts = verdicts},
	{.type = SITE_LABEL,
	 .request = {{8}},
	 .label = "vpn1",
	 .bits = 0,
	 .ttl_sec = 60,
	 .wait_msec = 3000},
	{.type = SITE_LABELLED, .request = {{8}}, .error = 127},
	{.type = SITE_LABELLED,
	 .request = {{8}},
	 .label_generation = 5,
	 .expires_usec = 6,
	 .bits = 256,
	 .id = {{1}}},
	{.type = SITE_LABEL_END, .request = {{8}}, .label = "vpn1", .label_generation = 5},
	{.type = SITE_QUERY, .request = {{8}}, .id = {{1}}},
	{.type = SITE_STATES, .request = {{8}}, .verdicts = verdicts},
	{.type = SITE_STATES,
	 .request = {{8}},
	 .verdicts = verdicts,
	 .keys = {{{7}}, 1, 3, ids, sequences},
	 .bits = 640},
	{.type = SITE_WANT, .request = {{8}}, .bits = 256, .count = 64},
	{.type = SITE_GRANTED, .request = {{8}}, .count = 64},
	{.type = SITE_LEASE, .request = {{8}}, .keys = {{{7}}, 1, 3, NULL, sequences}},
	{.type = SITE_DESTROYED, .request = {{8}}, .keys = {{{7}}, 1, 3, NULL, sequences}},
	{.type = SITE_DONE, .request = {{8}}},
	{.type = SITE_PATH, .request = {{9}}},
	{.type = SITE_PATH_ANSWER, .request = {{9}}},
};

static json_t *wire(const struct site_message *message)
{
	struct site_message whole = *message;
	json_t *json, *back;
	char *text;

	/* An initialiser cannot make one. */
	if (!whole.body)
		whole.body = json_object();
	else
		json_incref(whole.body);
	cr_assert_eq(site_message_build(&whole, &json), 0);
	json_decref(whole.body);
	text = json_dumps(json, JSON_COMPACT);
	cr_assert_leq(strlen(text), site_message_size_bytes(message));
	back = json_loads(text, 0, NULL);
	free(text);
	json_decref(json);
	return back;
}

Test(site_message, every_message_comes_back_as_it_was_built)
{
	bool seen[SITE_MESSAGE_TYPE_COUNT_] = {};

	for (size_t i = 0; i < ELEMENTSOF(examples); i++) {
		struct site_message back = {};
		json_t *first = wire(&examples[i]), *second;

		seen[examples[i].type] = true;
		cr_assert_eq(site_message_verify(first, &back), 0, "example %zu", i);
		cr_assert_eq(back.type, examples[i].type);
		second = wire(&back);
		cr_assert(json_equal(first, second), "example %zu", i);
		json_decref(first);
		json_decref(second);
		site_message_done(&back);
	}
	for (size_t i = 0; i < ELEMENTSOF(seen); i++)
		cr_assert(seen[i], "no example of %s", site_message_name(i));
}

Test(site_message, a_missing_member_is_refused)
{
	for (size_t i = 0; i < ELEMENTSOF(examples); i++) {
		json_t *json = wire(&examples[i]), *value;
		struct site_message back;
		const char *name;

		json_object_foreach (json, name, value) {
			json_t *less = json_copy(json);

			json_object_del(less, name);
			cr_assert_eq(site_message_verify(less, &back), -EBADMSG, "%s of %zu", name,
				     i);
			json_decref(less);
		}
		json_decref(json);
	}
}

Test(site_message, an_unknown_member_is_refused)
{
	for (size_t i = 0; i < ELEMENTSOF(examples); i++) {
		json_t *json = wire(&examples[i]);
		struct site_message back;

		json_object_set_new(json, "more", json_true());
		cr_assert_eq(site_message_verify(json, &back), -EBADMSG);
		json_decref(json);
	}
}

Test(site_message, a_member_of_another_type_is_refused)
{
	for (size_t i = 0; i < ELEMENTSOF(examples); i++) {
		json_t *json = wire(&examples[i]), *value;
		struct site_message back;
		const char *name;

		json_object_foreach (json, name, value) {
			json_t *other = json_copy(json);

			json_object_set_new(other, name, json_null());
			cr_assert_eq(site_message_verify(other, &back), -EBADMSG, "%s of %zu", name,
				     i);
			json_decref(other);
		}
		json_decref(json);
	}
}

static int verify_text(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	struct site_message message = {};
	int r;

	cr_assert_not_null(json, "%s", text);
	r = site_message_verify(json, &message);
	if (r == 0)
		site_message_done(&message);
	json_decref(json);
	return r;
}

#define U "\"01000000-0000-0000-0000-000000000000\""

Test(site_message, limits_are_kept)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"type\":\"nonsense\"}",
		"{\"type\":\"done\",\"request\":\"01\"}",
		"{\"type\":\"want\",\"request\":" U ",\"bits\":256,\"count\":4097}",
		"{\"type\":\"want\",\"request\":" U ",\"bits\":-1,\"count\":1}",
		"{\"type\":\"want\",\"request\":" U ",\"bits\":4294967552,\"count\":1}",
		"{\"type\":\"lease\",\"request\":" U ",\"store\":" U
		",\"generation\":0,\"sequences\":[]}",
		"{\"type\":\"lease\",\"request\":" U ",\"store\":" U
		",\"generation\":0,\"sequences\":[-1]}",
		"{\"type\":\"states\",\"request\":" U ",\"verdicts\":\"\"}",
		"{\"type\":\"states\",\"request\":" U ",\"verdicts\":\"x\"}",
		"{\"type\":\"query\",\"request\":" U ",\"id\":\"x\"}",
		"{\"type\":\"label-end\",\"request\":" U
		",\"label\":\"a b\",\"label_generation\":1}",
		"{\"type\":\"mark\",\"request\":" U ",\"store\":" U ",\"generation\":0,\"ids\":[" U
		"],\"sequences\":[1,2],\"hold_sec\":1,\"wait_msec\":1}",
	};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_assert_eq(verify_text(bad[i]), -EBADMSG, "%s", bad[i]);
	cr_assert_eq(
		verify_text("{\"type\":\"want\",\"request\":" U ",\"bits\":256,\"count\":4096}"),
		0);
}

Test(site_message, a_frame_has_some_messages_and_nothing_else)
{
	static const char *const bad[] = {"{}",
					  "{\"messages\":[],\"position\":1}",
					  "{\"messages\":[{}]}",
					  "{\"messages\":[{}],\"position\":-1}",
					  "{\"messages\":1,\"position\":1}",
					  "{\"messages\":[{}],\"more\":1}"};
	uint64_t position = 0;
	json_t *json;

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		json = json_loads(bad[i], 0, NULL);
		cr_assert_null(site_frame_verify(json, &position));
		json_decref(json);
	}
	json = json_loads("{\"messages\":[{}],\"position\":5}", 0, NULL);
	cr_assert_not_null(site_frame_verify(json, &position));
	cr_assert_eq(position, 5);
	json_decref(json);
}
