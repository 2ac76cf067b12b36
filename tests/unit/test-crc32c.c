/* SPDX-License-Identifier: MIT */
/* CRC-32C: the vectors of RFC 3720, appendix B.4, and the two ways against each other. */

#include <criterion/criterion.h>

#include "common/crc32c.h"

Test(crc32c, the_vectors_of_rfc_3720_hold)
{
	uint8_t bytes[32];

	memset(bytes, 0, sizeof(bytes));
	cr_assert_eq(crc32c(0, bytes, 32), 0x8a9136aau);
	memset(bytes, 0xff, sizeof(bytes));
	cr_assert_eq(crc32c(0, bytes, 32), 0x62a8ab43u);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	cr_assert_eq(crc32c(0, bytes, 32), 0x46dd794eu);
	cr_assert_eq(crc32c(0, "123456789", 9), 0xe3069283u);
	cr_assert_eq(crc32c(0, "", 0), 0);
}

static uint32_t bit_by_bit(const uint8_t *bytes, size_t size)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

Test(crc32c, every_length_and_alignment_gives_the_same_in_one_part_or_two)
{
	uint8_t bytes[80];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	for (size_t start = 0; start < 9; start++)
		for (size_t size = 0; size + start <= sizeof(bytes); size++) {
			uint32_t whole = bit_by_bit(bytes + start, size);

			cr_assert_eq(crc32c(0, bytes + start, size), whole);
			cr_assert_eq(crc32c(crc32c(0, bytes + start, size / 3),
					    bytes + start + size / 3, size - size / 3),
				     whole);
		}
}
