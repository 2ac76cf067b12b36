/* SPDX-License-Identifier: MIT */
/*
 * Parses the description and callout of an upcall. Whoever may call request_key(2) chooses these
 * bytes, so everything that is not exactly the grammar is refused, and nothing is guessed.
 */

#include "request-text.h"

#include "common/upcall-wire.h"

_Static_assert(REQUEST_TEXT_MAX_BITS / 8 <= UPCALL_KEY_MAX, "the largest key fits into a reply");
_Static_assert(REQUEST_TEXT_MAX_WAIT_SEC == UPCALL_WAIT_MAX_SEC, "helper and daemon agree");

#define PREFIX_ANY_SITE "qkd:"
#define PREFIX_SITE     "qkd@"
#define PREFIX_ID       "id="

/* Takes the text up to a separator (exclusive) into a buffer; NULL when it is absent or too long.
 */
static const char *take_until(const char *text, char separator, char *ret, size_t size)
{
	const char *end = strchr(text, separator);

	if (!end || (size_t)(end - text) >= size)
		return NULL;
	memcpy(ret, text, (size_t)(end - text));
	ret[end - text] = '\0';
	return end + 1;
}

static const char *take_site(const char *description, struct request_text *request)
{
	if (strncmp(description, PREFIX_ANY_SITE, strlen(PREFIX_ANY_SITE)) == 0)
		return description + strlen(PREFIX_ANY_SITE);
	if (strncmp(description, PREFIX_SITE, strlen(PREFIX_SITE)) != 0)
		return NULL;
	description = take_until(description + strlen(PREFIX_SITE), ':', request->site,
				 sizeof(request->site));
	return description && site_name_is_valid(request->site) ? description : NULL;
}

static int parse_subject(const char *subject, struct request_text *request)
{
	if (strncmp(subject, PREFIX_ID, strlen(PREFIX_ID)) == 0) {
		request->by_id = true;
		return uuid_parse(subject + strlen(PREFIX_ID), &request->id);
	}
	if (!label_is_valid(subject))
		return -EINVAL;
	memcpy(request->label, subject, strlen(subject) + 1);
	return 0;
}

static int parse_description(const char *description, struct request_text *request)
{
	const char *subject = take_site(description, request);

	if (subject)
		subject = take_until(subject, ':', request->peer, sizeof(request->peer));
	if (!subject || !site_name_is_valid(request->peer))
		return -EINVAL;
	return parse_subject(subject, request);
}

bool request_text_bits_are_valid(uint64_t bits)
{
	return bits >= REQUEST_TEXT_MIN_BITS && bits <= REQUEST_TEXT_MAX_BITS && bits % 8 == 0;
}

/* Decimal digits up to a space or the end. */
static const char *parse_number(const char *text, uint32_t max, uint32_t *ret)
{
	uint32_t value = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint32_t)(*p - '0');
		if (value > max)
			return NULL;
	}
	if (p == text || (*p != '\0' && *p != ' '))
		return NULL;
	*ret = value;
	return p;
}

struct word {
	const char *name;
	uint32_t max;
	uint32_t *value;
	bool seen;
};

/* One "name=number"; each name at most once. */
static const char *parse_word(const char *text, struct word *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(words[i].name);

		if (strncmp(text, words[i].name, size) != 0 || words[i].seen)
			continue;
		words[i].seen = true;
		return parse_number(text + size, words[i].max, words[i].value);
	}
	return NULL;
}

static int parse_callout(const char *callout, struct request_text *request)
{
	struct word words[] = {
		{"size=", REQUEST_TEXT_MAX_BITS, &request->bits},
		{"ttl=", REQUEST_TEXT_MAX_TTL_SEC, &request->ttl_sec},
		{"wait=", REQUEST_TEXT_MAX_WAIT_SEC, &request->wait_sec},
	};

	while (*callout) {
		if (*callout == ' ') {
			callout++;
			continue;
		}
		callout = parse_word(callout, words, ELEMENTSOF(words));
		if (!callout)
			return -EINVAL;
	}
	if (words[0].seen && !request_text_bits_are_valid(request->bits))
		return -EINVAL;
	return words[1].seen && request->ttl_sec == 0 ? -EINVAL : 0;
}

int request_text_parse(const char *description, const char *callout, struct request_text *ret)
{
	struct request_text request = {.wait_sec = REQUEST_TEXT_MAX_WAIT_SEC};

	if (parse_description(description, &request) < 0 || parse_callout(callout, &request) < 0)
		return -EINVAL;
	*ret = request;
	return 0;
}
