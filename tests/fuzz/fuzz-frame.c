/* SPDX-License-Identifier: MIT */
/* What a peer sends: headers stay within limits and build again, JSON is an object or nothing. */

#include "common/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const uint8_t bytes[static FRAME_HEADER_BYTES])
{
	uint8_t again[FRAME_HEADER_BYTES];
	struct frame_header header;

	if (frame_parse_header(bytes, &header) < 0)
		return;
	if (header.size_bytes == 0 || header.size_bytes > FRAME_MAX_BINARY_BYTES ||
	    (header.kind == FRAME_JSON && header.size_bytes > FRAME_MAX_JSON_BYTES))
		abort();
	frame_build_header(header.kind, header.size_bytes, again);
	if (memcmp(bytes, again, sizeof(again)) != 0)
		abort();
}

static unsigned depth_of(const json_t *value)
{
	unsigned deepest = 0;
	const char *name;
	json_t *child;
	size_t i;

	json_object_foreach ((json_t *)value, name, child)
		deepest = MAX(deepest, depth_of(child));
	json_array_foreach (value, i, child)
		deepest = MAX(deepest, depth_of(child));
	return deepest + (json_is_object(value) || json_is_array(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_decrefp) json_t *message = NULL;

	if (size < FRAME_HEADER_BYTES)
		return 0;
	check_header(data);
	if (frame_parse_json(data + FRAME_HEADER_BYTES, size - FRAME_HEADER_BYTES, &message) < 0)
		return 0;
	if (!json_is_object(message) || depth_of(message) > FRAME_MAX_JSON_DEPTH)
		abort();
	return 0;
}
