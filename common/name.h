/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The names of the system and their grammar (design section 3): sites, links, labels, key ids.
 */

#include "common/macros.h"

#define NAME_MAX_CHARS  63 /* a site's or link's name: [a-z0-9][a-z0-9.-]{0,62} */
#define LABEL_MAX_CHARS 64 /* [A-Za-z0-9][A-Za-z0-9._-]{0,63}, not looking like a UUID */
#define UUID_CHARS      36

struct uuid {
	uint8_t bytes[16];
};

bool site_name_is_valid(const char *name) _pure_;
bool link_name_is_valid(const char *name) _pure_;
bool label_is_valid(const char *label) _pure_;

/* On a link, or between two sites, the smaller name as bytes leads. */
bool site_is_leader(const char *site, const char *peer) _pure_;

/* Version 4, from getrandom(2). Negative errno when the kernel has none. */
int uuid_new_random(struct uuid *ret);
/* 8-4-4-4-12 hexadecimal digits of either case, nothing after; else -EINVAL. */
int uuid_parse(const char *text, struct uuid *ret);
/* The same for exactly UUID_CHARS characters that no NUL ends. */
int uuid_parse_chars(const char chars[static UUID_CHARS], struct uuid *ret);
void uuid_format(const struct uuid *id, char ret_text[static UUID_CHARS + 1]);
bool uuid_equal(const struct uuid *a, const struct uuid *b) _pure_;
bool uuid_is_null(const struct uuid *id) _pure_;
/* Of all bits, because the ids of one device often differ in a few only. seed: a random number
 * where strangers choose the ids. */
uint64_t uuid_hash(const struct uuid *id, uint64_t seed) _pure_;
