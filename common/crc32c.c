/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C by the processor's instruction where it has one, else bit by bit.
 *
 * Not by table: the bytes may be keys, and a table's cache lines tell which entries were read. The
 * slow way does 100 MB/s, which is more than any journal of ours sees.
 */

#include "common/crc32c.h"

#define CRC32C_POLYNOMIAL 0x82f63b78u /* reversed */

static uint32_t crc32c_bits(uint32_t crc, const uint8_t *bytes, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (CRC32C_POLYNOMIAL & -(crc & 1));
	}
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *bytes,
							       size_t size_bytes)
{
	uint64_t wide = crc;

	for (; size_bytes >= sizeof(uint64_t); size_bytes -= sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
		bytes += sizeof(word);
	}
	crc = (uint32_t)wide;
	for (; size_bytes > 0; size_bytes--)
		crc = __builtin_ia32_crc32qi(crc, *bytes++);
	return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size_bytes)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_sse42(~crc, bytes, size_bytes);
#endif
	return ~crc32c_bits(~crc, bytes, size_bytes);
}
