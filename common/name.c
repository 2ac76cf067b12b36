/* SPDX-License-Identifier: MIT */
/*
 * Names and their grammar, in one place, because every one of them becomes part of a path, a key
 * description or a bus name, and comes from a peer, a requester or a configuration file.
 */

#include <sys/random.h>

#include "common/encoding.h"
#include "common/name.h"

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool site_name_is_valid(const char *name)
{
	size_t i;

	if (!is_lower_alnum(name[0]))
		return false;
	for (i = 1; name[i] != '\0' && i <= NAME_MAX_CHARS; i++)
		if (!is_lower_alnum(name[i]) && name[i] != '.' && name[i] != '-')
			return false;
	return i <= NAME_MAX_CHARS;
}

bool link_name_is_valid(const char *name)
{
	return site_name_is_valid(name);
}

bool label_is_valid(const char *label)
{
	struct uuid id;
	size_t i;

	if (!is_alnum(label[0]))
		return false;
	for (i = 1; label[i] != '\0' && i <= LABEL_MAX_CHARS; i++)
		if (!is_alnum(label[i]) && label[i] != '.' && label[i] != '_' && label[i] != '-')
			return false;
	return i <= LABEL_MAX_CHARS && uuid_parse(label, &id) < 0;
}

bool site_is_leader(const char *site, const char *peer)
{
	return strcmp(site, peer) < 0;
}

int uuid_new_random(struct uuid *ret)
{
	struct uuid id;
	ssize_t n;

	do
		n = getrandom(id.bytes, sizeof(id.bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(id.bytes))
		return n < 0 ? -errno : -EIO;
	id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40); /* RFC 4122, 4.4 */
	id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
	*ret = id;
	return 0;
}

/* The five groups of the text: where the digits start, which bytes they are, and how many. */
static const struct {
	uint8_t at, first, count;
} uuid_groups[] = {{0, 0, 4}, {9, 4, 2}, {14, 6, 2}, {19, 8, 2}, {24, 10, 6}};

int uuid_parse_chars(const char chars[static UUID_CHARS], struct uuid *ret)
{
	struct uuid id;

	for (size_t i = 0; i < ELEMENTSOF(uuid_groups); i++) {
		if (i > 0 && chars[uuid_groups[i].at - 1] != '-')
			return -EINVAL;
		if (hex_decode(chars + uuid_groups[i].at, uuid_groups[i].count,
			       id.bytes + uuid_groups[i].first) < 0)
			return -EINVAL;
	}
	*ret = id;
	return 0;
}

int uuid_parse(const char *text, struct uuid *ret)
{
	if (strnlen(text, UUID_CHARS + 1) != UUID_CHARS)
		return -EINVAL;
	return uuid_parse_chars(text, ret);
}

void uuid_format(const struct uuid *id, char ret_text[static UUID_CHARS + 1])
{
	for (size_t i = 0; i < ELEMENTSOF(uuid_groups); i++) {
		if (i > 0)
			ret_text[uuid_groups[i].at - 1] = '-';
		hex_encode(id->bytes + uuid_groups[i].first, uuid_groups[i].count,
			   ret_text + uuid_groups[i].at);
	}
	ret_text[UUID_CHARS] = '\0';
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool uuid_is_null(const struct uuid *id)
{
	static const struct uuid null;

	return uuid_equal(id, &null);
}

static uint64_t mix(uint64_t value)
{
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	return value ^ value >> 32;
}

uint64_t uuid_hash(const struct uuid *id, uint64_t seed)
{
	uint64_t low, high;

	memcpy(&low, id->bytes, sizeof(low));
	memcpy(&high, id->bytes + sizeof(low), sizeof(high));
	return mix(mix(low ^ seed) ^ high);
}
