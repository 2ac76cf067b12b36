// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>

#include "common/frame.h"

static int parse(const char *text)
{
	json_t *message = NULL;
	int r = frame_parse_json(text, strlen(text), &message);

	cr_assert(r < 0 || json_is_object(message));
	json_decref(message);
	return r;
}

Test(frame, a_header_that_was_built_is_parsed_again)
{
	static const struct frame_header headers[] = {
		{FRAME_JSON, 1},   {FRAME_JSON, 0x1234},   {FRAME_JSON, FRAME_MAX_JSON_BYTES},
		{FRAME_BINARY, 1}, {FRAME_BINARY, 0x1234}, {FRAME_BINARY, FRAME_MAX_BINARY_BYTES},
	};

	for (size_t i = 0; i < ELEMENTSOF(headers); i++) {
		uint8_t bytes[FRAME_HEADER_BYTES];
		struct frame_header header;

		frame_build_header(headers[i].kind, headers[i].size_bytes, bytes);
		cr_assert_eq(frame_parse_header(bytes, &header), 0);
		cr_assert_eq(header.kind, headers[i].kind);
		cr_assert_eq(header.size_bytes, headers[i].size_bytes);
	}
}

Test(frame, the_header_is_big_endian_with_the_kind_in_the_top_bit)
{
	uint8_t bytes[FRAME_HEADER_BYTES];

	frame_build_header(FRAME_BINARY, 0x010203, bytes);
	cr_assert_arr_eq(bytes, ((uint8_t[]){0x80, 1, 2, 3}), sizeof(bytes));
	frame_build_header(FRAME_JSON, 0x010203, bytes);
	cr_assert_arr_eq(bytes, ((uint8_t[]){0, 1, 2, 3}), sizeof(bytes));
}

Test(frame, empty_and_oversize_frames_are_refused_and_leave_the_result_alone)
{
	static const uint8_t words[][FRAME_HEADER_BYTES] = {
		{0x00, 0x00, 0x00, 0x00}, {0x80, 0x00, 0x00, 0x00}, {0x00, 0x04, 0x00, 0x01},
		{0x7f, 0xff, 0xff, 0xff}, {0x80, 0x40, 0x00, 0x01}, {0xff, 0xff, 0xff, 0xff},
	};

	for (size_t i = 0; i < ELEMENTSOF(words); i++) {
		struct frame_header header = {FRAME_JSON, 42};

		cr_assert_eq(frame_parse_header(words[i], &header), -EMSGSIZE, "word %zu", i);
		cr_assert_eq(header.size_bytes, 42u);
	}
}

Test(frame, only_one_whole_json_object_is_a_message)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{"{}", 0},
		{" {\"a\": [1, \"[[[[[[[[[[[[\"]} ", 0},
		{"{\"a\":\"\\\"{{{{{{{{{{{{{\"}", 0},
		{"[]", -EBADMSG},
		{"1", -EBADMSG},
		{"null", -EBADMSG},
		{"{", -EBADMSG},
		{"{}{}", -EBADMSG},
		{"{} x", -EBADMSG},
		{"{\"a\":1,\"a\":2}", -EBADMSG},
		{"{\"a\":\"\\u0000\"}", -EBADMSG},
		{"{\"a\":\"\xff\"}", -EBADMSG},
		{"{\"a\":99999999999999999999}", -EBADMSG},
		{"{\"a\":\"\\", -EBADMSG},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		cr_assert_eq(parse(cases[i].text), cases[i].result, "%s", cases[i].text);
}

Test(frame, nesting_ends_at_the_limit)
{
	cr_assert_eq(FRAME_MAX_JSON_DEPTH, 8);
	cr_assert_eq(parse("{\"a\":[[[[[[[]]]]]]]}"), 0);
	cr_assert_eq(parse("{\"a\":[[[[[[[[]]]]]]]]}"), -EBADMSG);
	cr_assert_eq(parse("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}"),
		     -EBADMSG);
}
