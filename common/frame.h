/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Frames on a byte stream, pure: a 4-byte big-endian word, then that many bytes. The word's top bit
 * tells a binary frame from a JSON object; the rest is the length.
 */

#include <jansson.h>

#include "common/secret.h"

#define FRAME_HEADER_BYTES     4
#define FRAME_MAX_JSON_BYTES   (256u << 10)
#define FRAME_MAX_BINARY_BYTES (4u << 20)
#define FRAME_MAX_JSON_DEPTH   8

enum frame_kind {
	FRAME_JSON,
	FRAME_BINARY,
};

struct frame_header {
	enum frame_kind kind;
	size_t size_bytes; /* of what follows */
};

/* -EMSGSIZE above the limits or for an empty frame. */
int frame_parse_header(const uint8_t bytes[static FRAME_HEADER_BYTES], struct frame_header *ret);
void frame_build_header(enum frame_kind kind, size_t size_bytes,
			uint8_t ret_bytes[static FRAME_HEADER_BYTES]);
/* One JSON object, no duplicate member, no deeper than the limit; else -EBADMSG. */
int frame_parse_json(const void *bytes, size_t size_bytes, json_t **ret);
