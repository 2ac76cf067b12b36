/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tag by which two ends see that they hold the same keys: Poly1305 (RFC 8439, 2.5) with a key
 * of its own, built with the others and spent for it. A one-time tag of that kind tells nothing
 * about the keys, whoever may once read their TLS connection, and two ends whose keys differ have
 * the same tag with a probability below 2^-90 for all that one build may hold.
 */

#include "qkd-keyringd/path-message.h"

#define PATH_TAG_KEY_BYTES 32

/* How many keys of that size a tag takes. */
static inline uint32_t path_tag_keys(uint32_t bits)
{
	return (PATH_TAG_KEY_BYTES * 8 + bits - 1) / bits;
}

/* message: a PATH_BUILD; keys: all of them, the tag's own last. -EIO: no Poly1305. */
int path_tag(const struct path_message *message, const struct secret *keys,
	     uint8_t ret_tag[static PATH_MESSAGE_TAG_BYTES]);
