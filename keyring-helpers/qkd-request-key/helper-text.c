/* SPDX-License-Identifier: MIT */
/*
 * Reads the helper's hostile text: the key's description as the kernel tells it, and the callout.
 * It exists apart so that tests and fuzzing reach it without a kernel in between.
 */

#include "helper-text.h"

#include "common/upcall-wire.h"

#define SITE_MAX_CHARS 63

static const char *skip_prefix(const char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++)
			return NULL;
	return text;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_site_char(char c, bool first)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (!first && (c == '.' || c == '-'));
}

/* Reads digits up to the character end; NULL when there are none, too many, or something else. */
static const char *read_number(const char *text, char end, uint32_t *ret)
{
	uint64_t value = 0;
	const char *p = text;

	for (; is_digit(*p); p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > INT32_MAX)
			return NULL;
	}
	if (p == text || *p != end)
		return NULL;
	*ret = (uint32_t)value;
	return p;
}

bool helper_text_number(const char *text, uint32_t *ret)
{
	return read_number(text, '\0', ret) != NULL;
}

/* The kernel prints ids with %d: those above 2^31 come out negative. */
static const char *read_id(const char *text, uint32_t *ret)
{
	bool negative = *text == '-';
	uint32_t value;
	const char *end = read_number(text + negative, ';', &value);

	if (!end)
		return NULL;
	*ret = negative ? -value : value;
	return end + 1;
}

bool helper_text_parse_key(const char *text, struct helper_key *ret)
{
	struct helper_key key = {0};
	size_t i = 0;

	while (*text && *text != ';' && i < sizeof(key.type) - 1)
		key.type[i++] = *text++;
	if (i == 0 || *text++ != ';')
		return false;
	text = read_id(text, &key.uid);
	text = text ? read_id(text, &key.gid) : NULL;
	if (!text)
		return false;
	while (*text && *text != ';')
		text++;
	if (*text++ != ';')
		return false;
	key.description = text;
	*ret = key;
	return true;
}

static char *append(char *at, const char *text, size_t size)
{
	while (size--)
		*at++ = *text++;
	return at;
}

bool helper_text_socket(const char *description, char ret_path[static HELPER_TEXT_PATH_MAX])
{
	const char *site = skip_prefix(description, "qkd@");
	size_t size = 0;
	char *end;

	if (site) {
		while (size <= SITE_MAX_CHARS && is_site_char(site[size], size == 0))
			size++;
		if (size == 0 || size > SITE_MAX_CHARS || site[size] != ':')
			return false;
	} else if (skip_prefix(description, "qkd:")) {
		site = UPCALL_DEFAULT_SITE;
		size = sizeof(UPCALL_DEFAULT_SITE) - 1;
	} else {
		return false;
	}

	_Static_assert(sizeof(UPCALL_DIRECTORY "/"
					       "/socket") +
				       SITE_MAX_CHARS <=
			       HELPER_TEXT_PATH_MAX,
		       "a site's socket fits into sun_path");
	end = append(ret_path, UPCALL_DIRECTORY "/", sizeof(UPCALL_DIRECTORY));
	end = append(end, site, size);
	append(end, "/socket", sizeof("/socket"));
	return true;
}

unsigned helper_text_wait(const char *callout)
{
	bool word_begins = true;
	uint32_t wait;

	for (const char *p = callout; *p; p++) {
		const char *value = word_begins ? skip_prefix(p, "wait=") : NULL;

		if (value && (read_number(value, ' ', &wait) || read_number(value, '\0', &wait)))
			return wait < UPCALL_WAIT_MAX_SEC ? wait : UPCALL_WAIT_MAX_SEC;
		word_begins = *p == ' ';
	}
	return UPCALL_WAIT_MAX_SEC;
}
