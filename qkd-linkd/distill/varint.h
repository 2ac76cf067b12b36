/* SPDX-License-Identifier: MIT */
#pragma once

/* Numbers of varying length on the wire: seven bits a byte, low ones first, the top bit on all but
 * the last (LEB128). */

#include "common/macros.h"

#define VARINT_MAX_BYTES 10

static inline uint8_t *varint_put(uint8_t *to, uint64_t number)
{
	while (number >> 7) {
		*to++ = (uint8_t)(number | 0x80);
		number >>= 7;
	}
	*to++ = (uint8_t)number;
	return to;
}

/* Where it ends; NULL when it does not end before end or does not fit 64 bits. */
static inline const uint8_t *varint_get(const uint8_t *from, const uint8_t *end, uint64_t *ret)
{
	uint64_t number = 0;

	for (unsigned shift = 0; from < end && shift < 64; shift += 7) {
		uint8_t group = *from++;

		if (shift == 63 && group > 1)
			return NULL;
		number |= (uint64_t)(group & 0x7f) << shift;
		if (!(group & 0x80)) {
			*ret = number;
			return from;
		}
	}
	return NULL;
}
