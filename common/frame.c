// SPDX-License-Identifier: MIT
/*
 * Frames: the header word and the JSON object, checked before anything else looks at them, because
 * all of it comes from another machine. Pure, so that a fuzz target can feed it.
 */

#include "common/frame.h"

#define FRAME_BINARY_BIT UINT32_C(0x80000000)

static size_t max_bytes(enum frame_kind kind)
{
	return kind == FRAME_BINARY ? FRAME_MAX_BINARY_BYTES : FRAME_MAX_JSON_BYTES;
}

int frame_parse_header(const uint8_t bytes[static FRAME_HEADER_BYTES], struct frame_header *ret)
{
	uint32_t word = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
			(uint32_t)bytes[2] << 8 | bytes[3];
	struct frame_header header = {
		.kind = word & FRAME_BINARY_BIT ? FRAME_BINARY : FRAME_JSON,
		.size_bytes = word & ~FRAME_BINARY_BIT,
	};

	if (header.size_bytes == 0 || header.size_bytes > max_bytes(header.kind))
		return -EMSGSIZE;
	*ret = header;
	return 0;
}

void frame_build_header(enum frame_kind kind, size_t size_bytes,
			uint8_t ret_bytes[static FRAME_HEADER_BYTES])
{
	uint32_t word = (uint32_t)size_bytes | (kind == FRAME_BINARY ? FRAME_BINARY_BIT : 0);

	ret_bytes[0] = (uint8_t)(word >> 24);
	ret_bytes[1] = (uint8_t)(word >> 16);
	ret_bytes[2] = (uint8_t)(word >> 8);
	ret_bytes[3] = (uint8_t)word;
}

/* jansson goes 2048 deep on its own; so the brackets outside strings are counted before. */
static bool depth_is_within_limit(const char *text, size_t size_bytes)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < size_bytes; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '[') && ++depth > FRAME_MAX_JSON_DEPTH)
			return false;
		else if (!in_string && (c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return true;
}

int frame_parse_json(const void *bytes, size_t size_bytes, json_t **ret)
{
	json_error_t ignored; /* it quotes the text, which may hold a key */
	json_t *message;

	if (size_bytes > FRAME_MAX_JSON_BYTES || !depth_is_within_limit(bytes, size_bytes))
		return -EBADMSG;
	message = json_loadb(bytes, size_bytes, JSON_REJECT_DUPLICATES, &ignored);
	secret_wipe(&ignored, sizeof(ignored));
	if (!json_is_object(message)) {
		json_decref(message);
		return -EBADMSG;
	}
	*ret = message;
	return 0;
}
