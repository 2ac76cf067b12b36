/* SPDX-License-Identifier: MIT */
/* The header of the frames in which two ends distil key. */

#include "qkd-linkd/distill/block-wire.h"

int block_wire_parse(const uint8_t *bytes, size_t size_bytes, struct block_wire *ret)
{
	if (size_bytes < BLOCK_WIRE_HEADER_BYTES || size_bytes > BLOCK_WIRE_MAX_BYTES)
		return -EBADMSG;
	if (bytes[0] < BLOCK_WIRE_ANNOUNCE || bytes[0] > BLOCK_WIRE_DROP || bytes[2] || bytes[3])
		return -EBADMSG;
	*ret = (struct block_wire){
		.type = bytes[0],
		.group = bytes[1],
		.block = block_wire_get32(bytes + 4),
		.payload = bytes + BLOCK_WIRE_HEADER_BYTES,
		.size_bytes = size_bytes - BLOCK_WIRE_HEADER_BYTES,
	};
	return 0;
}

void block_wire_build(enum block_wire_type type, uint8_t group, uint32_t block,
		      uint8_t ret_header[static BLOCK_WIRE_HEADER_BYTES])
{
	ret_header[0] = (uint8_t)type;
	ret_header[1] = group;
	ret_header[2] = ret_header[3] = 0;
	block_wire_put32(ret_header + 4, block);
}

const char *block_drop_name(enum block_drop reason)
{
	switch (reason) {
	case BLOCK_DROP_NONE:
		return "none";
	case BLOCK_DROP_ERROR_RATE:
		return "error rate too high";
	case BLOCK_DROP_KEY_LENGTH:
		return "no secret key left";
	case BLOCK_DROP_VERIFY:
		return "verification failed";
	case BLOCK_DROP_NO_PADS:
		return "no authentication key left";
	}
	return "unknown";
}
