/* SPDX-License-Identifier: MIT */
/*
 * Hexadecimal and base64 without a branch or a table look-up that depends on the data, so that
 * neither the time nor the cache tells what a key is.
 *
 * Every character is computed by arithmetic on masks: (a - x) >> 8 is all ones in its low bits when
 * x > a, for small non-negative a and x held in an int.
 */

#include "common/encoding.h"
#include "common/secret.h"

/* 0xff when low <= value <= high, else 0. All within 0..255. */
static inline unsigned in_range(unsigned value, unsigned low, unsigned high)
{
	return ((low - 1 - value) & (value - high - 1)) >> 8 & 0xff;
}

static inline char hex_digit(unsigned nibble)
{
	/* 'a' - 10 is '0' + 39 */
	return (char)('0' + nibble + (in_range(nibble, 10, 15) & 39));
}

void hex_encode(const uint8_t *bytes, size_t size_bytes, char *ret_digits)
{
	for (size_t i = 0; i < size_bytes; i++) {
		ret_digits[2 * i] = hex_digit(bytes[i] >> 4);
		ret_digits[2 * i + 1] = hex_digit(bytes[i] & 15);
	}
}

/* The nibble, and 0xff into *bad when it is none. */
static inline unsigned hex_nibble(char digit, unsigned *bad)
{
	unsigned value = (uint8_t)digit;
	unsigned number = in_range(value, '0', '9'), lower = in_range(value, 'a', 'f'),
		 upper = in_range(value, 'A', 'F');

	*bad |= ~(number | lower | upper) & 0xff;
	return (number & (value - '0')) | (lower & (value - 'a' + 10)) |
	       (upper & (value - 'A' + 10));
}

int hex_decode(const char *digits, size_t size_bytes, uint8_t *ret_bytes)
{
	unsigned bad = 0;

	for (size_t i = 0; i < size_bytes; i++) {
		unsigned high = hex_nibble(digits[2 * i], &bad);

		ret_bytes[i] = (uint8_t)(high << 4 | hex_nibble(digits[2 * i + 1], &bad));
	}
	if (bad == 0)
		return 0;
	secret_wipe(ret_bytes, size_bytes);
	return -EBADMSG;
}

bool hex_is_valid(const char *digits, size_t size_bytes)
{
	unsigned bad = 0;

	for (size_t i = 0; i < 2 * size_bytes; i++)
		(void)hex_nibble(digits[i], &bad);
	return bad == 0;
}

static inline char base64_char(unsigned value)
{
	return (char)((in_range(value, 0, 25) & (value + 'A')) |
		      (in_range(value, 26, 51) & (value + 'a' - 26)) |
		      (in_range(value, 52, 61) & (value + '0' - 52)) |
		      (in_range(value, 62, 62) & '+') | (in_range(value, 63, 63) & '/'));
}

static inline unsigned base64_value(char c, unsigned *bad)
{
	unsigned value = (uint8_t)c;
	unsigned upper = in_range(value, 'A', 'Z'), lower = in_range(value, 'a', 'z'),
		 number = in_range(value, '0', '9'), plus = in_range(value, '+', '+'),
		 slash = in_range(value, '/', '/');

	*bad |= ~(upper | lower | number | plus | slash) & 0xff;
	return (upper & (value - 'A')) | (lower & (value - 'a' + 26)) |
	       (number & (value - '0' + 52)) | (plus & 62) | (slash & 63);
}

static void base64_encode_group(const uint8_t *bytes, size_t count, char *ret_chars)
{
	unsigned second = count > 1 ? bytes[1] : 0, third = count > 2 ? bytes[2] : 0;

	ret_chars[0] = base64_char(bytes[0] >> 2);
	ret_chars[1] = base64_char((bytes[0] & 3u) << 4 | second >> 4);
	ret_chars[2] = count > 1 ? base64_char((second & 15) << 2 | third >> 6) : '=';
	ret_chars[3] = count > 2 ? base64_char(third & 63) : '=';
}

void base64_encode(const uint8_t *bytes, size_t size_bytes, char *ret_chars)
{
	for (size_t i = 0; i < size_bytes; i += 3, ret_chars += 4)
		base64_encode_group(bytes + i, MIN(size_bytes - i, (size_t)3), ret_chars);
}

/* count bytes of four characters; the bits that stand for nothing have to be zero. */
static unsigned base64_decode_group(const char *chars, size_t count, uint8_t *ret_bytes)
{
	unsigned bad = 0, word = 0;

	for (size_t i = 0; i < 4; i++)
		word = word << 6 | (i <= count ? base64_value(chars[i], &bad) : 0);
	for (size_t i = 0; i < count; i++)
		ret_bytes[i] = (uint8_t)(word >> (16 - 8 * i));
	for (size_t i = count + 1; i < 4; i++)
		bad |= (unsigned)(chars[i] ^ '=') & 0xff;
	return bad | (word & ((1u << (24 - 8 * count)) - 1));
}

int base64_decode(const char *chars, size_t chars_count, uint8_t *ret_bytes, size_t size_bytes)
{
	unsigned bad = 0;

	if (chars_count != BASE64_CHARS(size_bytes))
		return -EBADMSG;
	for (size_t i = 0; i < size_bytes; i += 3, chars += 4)
		bad |= base64_decode_group(chars, MIN(size_bytes - i, (size_t)3), ret_bytes + i);
	if (bad == 0)
		return 0;
	secret_wipe(ret_bytes, size_bytes);
	return -EBADMSG;
}

int base64_size(const char *chars, size_t chars_count, size_t *ret_size_bytes)
{
	size_t padding = 0;

	if (chars_count % 4 != 0)
		return -EBADMSG;
	while (padding < chars_count && chars[chars_count - 1 - padding] == '=')
		padding++;
	if (padding > 2)
		return -EBADMSG;
	*ret_size_bytes = chars_count / 4 * 3 - padding;
	return 0;
}
