/* SPDX-License-Identifier: MIT */
/* Hexadecimal and base64: what decodes encodes to the same characters, and anything encodes. */

#include "common/encoding.h"

#define INPUT_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_hex(const char *digits, size_t size)
{
	uint8_t bytes[INPUT_MAX / 2];
	char again[INPUT_MAX];

	if (size % 2 != 0)
		return;
	if ((hex_decode(digits, size / 2, bytes) == 0) != hex_is_valid(digits, size / 2))
		abort();
	if (!hex_is_valid(digits, size / 2))
		return;
	hex_encode(bytes, size / 2, again);
	if (strncasecmp(digits, again, size) != 0)
		abort();
}

static void check_base64(const char *chars, size_t size)
{
	uint8_t bytes[INPUT_MAX];
	char again[INPUT_MAX];
	size_t count;

	if (base64_size(chars, size, &count) < 0 || base64_decode(chars, size, bytes, count) < 0)
		return;
	base64_encode(bytes, count, again);
	if (memcmp(chars, again, size) != 0)
		abort();
}

static void check_bytes(const uint8_t *data, size_t size)
{
	char chars[BASE64_CHARS(INPUT_MAX)];
	uint8_t again[INPUT_MAX];
	size_t count;

	base64_encode(data, size, chars);
	if (base64_size(chars, BASE64_CHARS(size), &count) < 0 || count != size ||
	    base64_decode(chars, BASE64_CHARS(size), again, size) < 0 ||
	    memcmp(data, again, size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	check_hex((const char *)data, size);
	check_base64((const char *)data, size);
	check_bytes(data, size);
	return 0;
}
