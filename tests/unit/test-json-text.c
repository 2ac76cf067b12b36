// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>

#include "common/json-text.h"

static const char sample[] = "{\n"
			     "  \"site\": \"alice\",\n"
			     "\t\"tls\": {\"ca\": \"/a\", \"k/e~y\": 1},\n"
			     "  \"peers\": {\"b\\u006fb\": [10, {\"x\": []}, \"]\\\"}\"]},\n"
			     "  \"ümlaut\": 1, \"after\": [[1, 2], 3]\n"
			     "}\n";

static struct json_text *parse(const char *chars)
{
	struct json_text *text = NULL;
	struct json_position position;
	_cleanup_(freep) char *what = NULL;

	cr_assert_eq(json_text_new(chars, strlen(chars), &text, &position, &what), 0);
	return text;
}

Test(json_text, every_member_is_found_where_its_name_stands)
{
	static const struct {
		const char *pointer;
		unsigned line, column;
	} cases[] = {
		{"", 1, 1},
		{"/site", 2, 3},
		{"/tls", 3, 2},
		{"/tls/ca", 3, 10},
		{"/tls/k~1e~0y", 3, 22},
		{"/peers", 4, 3},
		{"/peers/bob", 4, 13},
		{"/peers/bob/0", 4, 26},
		{"/peers/bob/1", 4, 30},
		{"/peers/bob/1/x", 4, 31},
		{"/peers/bob/2", 4, 41},
		{"/after", 5, 16},
		{"/after/1", 5, 34},
		{"/after/0/1", 5, 30},
		{"/nothing", 0, 0},
		{"/site/x", 0, 0},
		{"/peers/bob/3", 0, 0},
		{"/peers/bob/-1", 0, 0},
		{"/peers/bob/x", 0, 0},
		{"site", 0, 0},
	};
	_cleanup_(json_text_freep) struct json_text *text = parse(sample);

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct json_position position = json_text_locate(text, cases[i].pointer);

		cr_expect(position.line == cases[i].line && position.column == cases[i].column,
			  "%s: %u:%u", cases[i].pointer, position.line, position.column);
	}
}

Test(json_text, a_syntax_error_is_told_where_the_wrong_token_begins)
{
	static const struct {
		const char *text;
		unsigned line, column;
		const char *what;
	} cases[] = {
		{"", 1, 1, "near end of file"},
		{"{\n \"a\": tru\n}", 2, 7, "invalid token near 'tru'"},
		{"{\n \"a\": 1,\n}", 3, 1, "near '}'"},
		{"{\"a\": 1 \"b\": 2}", 1, 9, "near '\"b\"'"},
		{"{\"a\": 1,\n  \"b\": {\"a\": 1, \"a\": 2}}", 2, 17,
		 "member \"a\" stands here a second time"},
		{"{\"a\": \"x\ny\"}", 1, 7, "unexpected newline"},
		{"{\"a\": 1", 1, 8, "near end of file"},
		{"{} {}", 1, 4, "end of file expected"},
		{"{\"a\": 01}", 1, 7, ""},
		{"{\"a\": \"\xff\"}", 1, 7, "decode byte 0xff"},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct json_text *text = NULL;
		struct json_position position = {0, 0};
		_cleanup_(freep) char *what = NULL;
		int r = json_text_new(cases[i].text, strlen(cases[i].text), &text, &position,
				      &what);

		cr_assert_eq(r, -EBADMSG);
		cr_assert_null(text);
		cr_expect(position.line == cases[i].line && position.column == cases[i].column,
			  "%s: %u:%u", cases[i].text, position.line, position.column);
		cr_expect(strstr(what, cases[i].what), "%s: %s", cases[i].text, what);
	}
}

Test(json_text, a_file_is_loaded_up_to_its_limit)
{
	char path[] = "/tmp/qkd-json-text-XXXXXX";
	int fd = mkstemp(path);
	_cleanup_(json_text_freep) struct json_text *text = NULL;
	struct json_position position;
	_cleanup_(freep) char *what = NULL;

	cr_assert_eq(write(fd, sample, strlen(sample)), (ssize_t)strlen(sample));
	close(fd);
	cr_assert_eq(json_text_load(path, strlen(sample) - 1, &text, &position, &what), -EFBIG);
	cr_assert_eq(json_text_load(path, strlen(sample), &text, &position, &what), 0);
	cr_assert_str_eq(json_string_value(json_object_get(json_text_root(text), "site")), "alice");
	unlink(path);
	cr_assert_eq(json_text_load(path, 100, &text, &position, &what), -ENOENT);
	cr_assert_eq(json_text_load("/", 100, &text, &position, &what), -EISDIR);
}
