/* SPDX-License-Identifier: MIT */
/* Headers of distillation frames. */

#include <criterion/criterion.h>

#include "qkd-linkd/distill/block-wire.h"

Test(block_wire, a_header_comes_out_as_it_went_in)
{
	uint8_t frame[BLOCK_WIRE_HEADER_BYTES + 3] = {};
	struct block_wire wire;

	block_wire_build(BLOCK_WIRE_ASK, 31, 0x01020304, frame);
	cr_assert_eq(block_wire_parse(frame, sizeof(frame), &wire), 0);
	cr_expect_eq(wire.type, BLOCK_WIRE_ASK);
	cr_expect_eq(wire.group, 31);
	cr_expect_eq(wire.block, 0x01020304);
	cr_expect_eq(wire.size_bytes, 3);
	cr_expect_eq(wire.payload, frame + BLOCK_WIRE_HEADER_BYTES);
}

Test(block_wire, malformed_headers_are_refused)
{
	uint8_t frame[BLOCK_WIRE_HEADER_BYTES] = {};
	struct block_wire wire;

	block_wire_build(BLOCK_WIRE_DROP, 0, 1, frame);
	cr_expect_eq(block_wire_parse(frame, sizeof(frame) - 1, &wire), -EBADMSG);
	cr_expect_eq(block_wire_parse(frame, BLOCK_WIRE_MAX_BYTES + 1, &wire), -EBADMSG);
	frame[2] = 1;
	cr_expect_eq(block_wire_parse(frame, sizeof(frame), &wire), -EBADMSG);
	frame[2] = 0;
	frame[0] = 0;
	cr_expect_eq(block_wire_parse(frame, sizeof(frame), &wire), -EBADMSG);
	frame[0] = BLOCK_WIRE_DROP + 1;
	cr_expect_eq(block_wire_parse(frame, sizeof(frame), &wire), -EBADMSG);
}

Test(block_wire, numbers_are_little_endian)
{
	uint8_t bytes[8];

	block_wire_put64(bytes, UINT64_C(0x0102030405060708));
	cr_expect_eq(bytes[0], 8);
	cr_expect_eq(bytes[7], 1);
	cr_expect_eq(block_wire_get64(bytes), UINT64_C(0x0102030405060708));
	cr_expect_eq(block_wire_get32(bytes), 0x05060708);
}
