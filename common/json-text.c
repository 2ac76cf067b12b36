// SPDX-License-Identifier: MIT
/*
 * JSON text and where its members stand. jansson parses and forgets positions; so the text is kept,
 * and the few places that an error has to point at are looked up again, token by token.
 */

#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/json-text.h"

struct json_text {
	char *text;
	size_t size_bytes;
	json_t *root;
};

/* A token without its value: punctuation, a string, or a run of anything else. Empty at the end. */
struct token {
	size_t start, end;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_punctuation(char c)
{
	return c == '{' || c == '}' || c == '[' || c == ']' || c == ',' || c == ':';
}

static size_t string_end(const struct json_text *text, size_t start)
{
	for (size_t i = start + 1; i < text->size_bytes; i++) {
		if (text->text[i] == '\\')
			i++;
		else if (text->text[i] == '"' || text->text[i] == '\n')
			return i + 1;
	}
	return text->size_bytes;
}

static struct token next_token(const struct json_text *text, size_t at)
{
	size_t end;

	while (at < text->size_bytes && is_space(text->text[at]))
		at++;
	if (at == text->size_bytes)
		return (struct token){at, at};
	if (is_punctuation(text->text[at]))
		return (struct token){at, at + 1};
	if (text->text[at] == '"')
		return (struct token){at, string_end(text, at)};
	end = at + 1;
	while (end < text->size_bytes && !is_space(text->text[end]) &&
	       !is_punctuation(text->text[end]) && text->text[end] != '"')
		end++;
	return (struct token){at, end};
}

static bool token_is(const struct json_text *text, struct token token, char c)
{
	return token.start < token.end && text->text[token.start] == c;
}

/* Lines, and characters (not bytes) within a line, from 1. */
static struct json_position position_of(const struct json_text *text, size_t offset)
{
	struct json_position position = {1, 1};

	for (size_t i = 0; i < offset && i < text->size_bytes; i++) {
		if (text->text[i] == '\n') {
			position.line++;
			position.column = 1;
		} else if (((unsigned char)text->text[i] & 0xc0) != 0x80) {
			position.column++;
		}
	}
	return position;
}

/* jansson tells where it stopped reading; what it disliked is the token that ends there. */
static struct token wrong_token(const struct json_text *text, const json_error_t *error)
{
	struct token token = next_token(text, 0);

	if (json_error_code(error) == json_error_premature_end_of_input)
		return (struct token){text->size_bytes, text->size_bytes};
	while (token.end < (size_t)error->position && token.start < token.end)
		token = next_token(text, token.end);
	return token;
}

static char *describe(const struct json_text *text, const json_error_t *error)
{
	struct token token = wrong_token(text, error);
	char *what = NULL;
	int r;

	if (json_error_code(error) == json_error_duplicate_key)
		r = asprintf(&what, "member %.*s stands here a second time",
			     (int)(token.end - token.start), text->text + token.start);
	else
		r = asprintf(&what, "%s", error->text);
	return r < 0 ? NULL : what;
}

int json_text_new(const char *chars, size_t size_bytes, struct json_text **ret,
		  struct json_position *ret_position, char **ret_what)
{
	_cleanup_(json_text_freep) struct json_text *text = calloc(1, sizeof(*text));
	json_error_t error;

	if (!text)
		return -ENOMEM;
	text->text = malloc(size_bytes + 1);
	if (!text->text)
		return -ENOMEM;
	memcpy(text->text, chars, size_bytes);
	text->text[size_bytes] = '\0';
	text->size_bytes = size_bytes;
	text->root = json_loadb(text->text, size_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
				&error);
	if (!text->root) {
		*ret_position = position_of(text, wrong_token(text, &error).start);
		*ret_what = describe(text, &error);
		return -EBADMSG;
	}
	*ret = TAKE_PTR(text);
	return 0;
}

static int read_all(int fd, size_t max_bytes, char **ret, size_t *ret_size_bytes)
{
	_cleanup_(freep) char *bytes = malloc(max_bytes + 1);
	size_t used = 0;
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	do {
		n = read(fd, bytes + used, max_bytes + 1 - used);
		if (n < 0 && errno != EINTR)
			return -errno;
		used += n > 0 ? (size_t)n : 0;
	} while (n != 0 && used <= max_bytes);
	if (used > max_bytes)
		return -EFBIG;
	*ret = TAKE_PTR(bytes);
	*ret_size_bytes = used;
	return 0;
}

int json_text_load(const char *path, size_t max_bytes, struct json_text **ret,
		   struct json_position *ret_position, char **ret_what)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_(freep) char *bytes = NULL;
	size_t size_bytes = 0;
	int r;

	if (fd < 0)
		return -errno;
	r = read_all(fd, max_bytes, &bytes, &size_bytes);
	if (r < 0)
		return r;
	return json_text_new(bytes, size_bytes, ret, ret_position, ret_what);
}

struct json_text *json_text_free(struct json_text *text)
{
	if (!text)
		return NULL;
	json_decref(text->root);
	free(text->text);
	free(text);
	return NULL;
}

json_t *json_text_root(struct json_text *text)
{
	return text->root;
}

/* The end of the value that begins with this token: one token, or all up to the closing bracket. */
static size_t value_end(const struct json_text *text, struct token token)
{
	unsigned depth = 0;

	do {
		if (token_is(text, token, '{') || token_is(text, token, '['))
			depth++;
		else if (token_is(text, token, '}') || token_is(text, token, ']'))
			depth--;
		if (depth > 0)
			token = next_token(text, token.end);
	} while (depth > 0 && token.start < token.end);
	return token.end;
}

/* Names are compared as what they stand for: either side may be written with escapes. */
static bool name_matches(const struct json_text *text, struct token token, const char *name)
{
	_cleanup_(json_decrefp) json_t *string = json_loadb(
		text->text + token.start, token.end - token.start, JSON_DECODE_ANY, NULL);

	return json_is_string(string) && str_equal(json_string_value(string), name);
}

/* The first token of what comes after a comma; the closing bracket when there is none. */
static struct token next_element(const struct json_text *text, struct token value)
{
	struct token comma = next_token(text, value_end(text, value));

	return token_is(text, comma, ',') ? next_token(text, comma.end) : comma;
}

/* One step down. *token is the first of a value, before and after; *ret_offset the member's name.
 */
static bool enter_object(const struct json_text *text, const char *name, struct token *token,
			 size_t *ret_offset)
{
	struct token member = next_token(text, token->end);

	while (token_is(text, member, '"')) {
		struct token colon = next_token(text, member.end);
		struct token value = next_token(text, colon.end);

		if (name_matches(text, member, name)) {
			*ret_offset = member.start;
			*token = value;
			return true;
		}
		member = next_element(text, value);
	}
	return false;
}

static bool enter_array(const struct json_text *text, const char *name, struct token *token,
			size_t *ret_offset)
{
	struct token value = next_token(text, token->end);
	unsigned long index;
	char *end;

	errno = 0;
	index = strtoul(name, &end, 10);
	if (errno || *end || end == name || *name < '0' || *name > '9')
		return false;
	for (; !token_is(text, value, ']') && value.start < value.end; index--) {
		if (index == 0) {
			*ret_offset = value.start;
			*token = value;
			return true;
		}
		value = next_element(text, value);
	}
	return false;
}

/* "~1" is '/', "~0" is '~' (RFC 6901 section 4). Answers where the next reference begins. */
static const char *next_reference(const char *pointer, char *ret_name)
{
	assert(*pointer == '/');
	for (pointer++; *pointer && *pointer != '/'; pointer++) {
		if (pointer[0] == '~' && (pointer[1] == '0' || pointer[1] == '1'))
			*ret_name++ = *++pointer == '0' ? '~' : '/';
		else
			*ret_name++ = *pointer;
	}
	*ret_name = '\0';
	return pointer;
}

struct json_position json_text_locate(const struct json_text *text, const char *pointer)
{
	static const struct json_position unknown = {0, 0};
	_cleanup_(freep) char *name = malloc(strlen(pointer) + 1);
	struct token token = next_token(text, 0);
	size_t offset = token.start;

	if (!name)
		return unknown;
	while (*pointer) {
		bool found = false;

		if (*pointer != '/')
			return unknown;
		pointer = next_reference(pointer, name);
		if (token_is(text, token, '{'))
			found = enter_object(text, name, &token, &offset);
		else if (token_is(text, token, '['))
			found = enter_array(text, name, &token, &offset);
		if (!found)
			return unknown;
	}
	return position_of(text, offset);
}
