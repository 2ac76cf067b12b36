/* SPDX-License-Identifier: MIT */
/* Hexadecimal and base64: RFC 4648's vectors, every byte value, and every kind of bad input. */

#include <criterion/criterion.h>

#include "common/encoding.h"

static const struct {
	const char *plain, *base64, *hex;
} rfc4648_section_10[] = {
	{"", "", ""},
	{"f", "Zg==", "66"},
	{"fo", "Zm8=", "666f"},
	{"foo", "Zm9v", "666f6f"},
	{"foob", "Zm9vYg==", "666f6f62"},
	{"fooba", "Zm9vYmE=", "666f6f6261"},
	{"foobar", "Zm9vYmFy", "666f6f626172"},
};

Test(encoding, the_vectors_of_rfc_4648_hold)
{
	for (size_t i = 0; i < ELEMENTSOF(rfc4648_section_10); i++) {
		const char *plain = rfc4648_section_10[i].plain;
		size_t n = strlen(plain), size;
		char text[32] = "";
		uint8_t back[8] = {0};

		base64_encode((const uint8_t *)plain, n, text);
		cr_assert_str_eq(text, rfc4648_section_10[i].base64);
		cr_assert_eq(base64_size(text, strlen(text), &size), 0);
		cr_assert_eq(size, n);
		cr_assert_eq(base64_decode(text, strlen(text), back, n), 0);
		cr_assert_arr_eq(back, plain, n);

		memset(text, 0, sizeof(text));
		hex_encode((const uint8_t *)plain, n, text);
		cr_assert_str_eq(text, rfc4648_section_10[i].hex);
		cr_assert_eq(hex_decode(text, n, back), 0);
		cr_assert_arr_eq(back, plain, n);
	}
}

Test(encoding, every_pair_of_bytes_survives_the_way_there_and_back)
{
	for (unsigned i = 0; i < 65536; i++) {
		uint8_t bytes[4] = {(uint8_t)(i >> 8), (uint8_t)i, (uint8_t)(i * 7), 255};
		uint8_t back[4];
		char hex[9], base64[9];

		snprintf(hex, sizeof(hex), "%02x%02x%02xff", bytes[0], bytes[1], bytes[2]);
		char ours[9] = "";

		hex_encode(bytes, 4, ours);
		cr_assert_str_eq(ours, hex);
		cr_assert_eq(hex_decode(ours, 4, back), 0);
		cr_assert_arr_eq(back, bytes, 4);
		base64_encode(bytes, 4, base64);
		cr_assert_eq(base64_decode(base64, 8, back, 4), 0);
		cr_assert_arr_eq(back, bytes, 4);
	}
}

static bool is_hex(unsigned c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_base64(unsigned c)
{
	return c != 0 &&
	       strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (int)c);
}

Test(encoding, hex_takes_exactly_the_digits_of_either_case_at_every_place)
{
	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < 4; at++) {
			char digits[4] = {'a', 'B', '0', '9'};
			uint8_t out[2] = {1, 2};
			char text[2] = {(char)c, 0};

			digits[at] = (char)c;
			cr_assert_eq(hex_decode(digits, 2, out), is_hex(c) ? 0 : -EBADMSG, "%u", c);
			if (!is_hex(c))
				cr_assert(out[0] == 0 && out[1] == 0, "wiped");
			else
				cr_assert_eq(at % 2 ? out[at / 2] & 15 : out[at / 2] >> 4,
					     strtol(text, NULL, 16));
		}
}

Test(encoding, base64_takes_exactly_its_alphabet_at_every_place)
{
	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < 4; at++) {
			char chars[4] = {'Q', 'U', 'J', 'D'};
			uint8_t out[3] = {1, 2, 3};

			chars[at] = (char)c;
			cr_assert_eq(base64_decode(chars, 4, out, 3), is_base64(c) ? 0 : -EBADMSG);
			if (!is_base64(c))
				cr_assert(out[0] == 0 && out[1] == 0 && out[2] == 0, "wiped");
		}
}

Test(encoding, base64_refuses_padding_that_is_not_canonical)
{
	static const struct {
		const char *chars;
		size_t size;
	} bad[] = {{"Zh==", 1}, {"Zm9=", 2}, {"Z===", 1}, {"Zg=A", 1}, {"ZgA=", 1},
		   {"Zg", 1},   {"Zg=", 1},  {"Zm8=", 1}, {"Zg==", 2}, {"=g==", 1}};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		uint8_t out[3];

		cr_assert_eq(base64_decode(bad[i].chars, strlen(bad[i].chars), out, bad[i].size),
			     -EBADMSG, "%s", bad[i].chars);
	}
}

Test(encoding, base64_size_knows_what_an_ending_stands_for)
{
	size_t size = 99;

	cr_assert_eq(base64_size("AAA", 3, &size), -EBADMSG);
	cr_assert_eq(base64_size("A===", 4, &size), -EBADMSG);
	cr_assert_eq(base64_size("====", 4, &size), -EBADMSG);
	cr_assert_eq(size, 99, "untouched on failure");
	cr_assert_eq(base64_size("", 0, &size), 0);
	cr_assert_eq(size, 0);
}
