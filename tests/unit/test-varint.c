/* SPDX-License-Identifier: MIT */
/* Numbers of varying length come out as they went in; others are refused. */

#include <criterion/criterion.h>

#include "qkd-linkd/distill/varint.h"

Test(varint, numbers_come_out_as_they_went_in)
{
	for (unsigned shift = 0; shift < 64; shift++)
		for (int add = -1; add <= 1; add++) {
			uint64_t number = (UINT64_C(1) << shift) + (uint64_t)add, found;
			uint8_t bytes[VARINT_MAX_BYTES];
			const uint8_t *end = varint_put(bytes, number);

			cr_assert_leq(end - bytes, VARINT_MAX_BYTES);
			cr_assert_eq(varint_get(bytes, end, &found), end);
			cr_assert_eq(found, number);
			cr_assert_null(varint_get(bytes, end - 1, &found));
		}
}

Test(varint, numbers_beyond_64_bits_are_refused)
{
	uint8_t bytes[11];
	uint64_t found;

	memset(bytes, 0xff, sizeof(bytes));
	cr_expect_null(varint_get(bytes, bytes + sizeof(bytes), &found));
	bytes[9] = 2;
	cr_expect_null(varint_get(bytes, bytes + sizeof(bytes), &found));
	bytes[9] = 1;
	cr_expect_eq(varint_get(bytes, bytes + sizeof(bytes), &found), bytes + 10);
	cr_expect_eq(found, UINT64_MAX);
}
