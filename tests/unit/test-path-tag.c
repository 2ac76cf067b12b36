/* SPDX-License-Identifier: MIT */

/* The tag by which two ends see that they hold the same keys. */

#include <criterion/criterion.h>

#include "qkd-keyringd/path-tag.h"

#define BITS 256

static struct path_message message;
static struct secret *keys;

static void set_up(void)
{
	message = (struct path_message){
		.step = PATH_BUILD,
		.build = {{1, 2, 3}},
		.bits = BITS,
		.count = 3,
		.leg_count = 1,
		.legs = {{3, {"alice", "bob", "carol"}}},
	};
	cr_assert_eq(secret_new((size_t)message.count * BITS / 8, &keys), 0);
	for (size_t i = 0; i < keys->size_bytes; i++)
		keys->bytes[i] = (uint8_t)(i * 37 + 11);
}

static void tear_down(void)
{
	secret_free(keys);
}

TestSuite(path_tag, .init = set_up, .fini = tear_down);

static bool is_the_same_as(const uint8_t *other)
{
	uint8_t tag[PATH_MESSAGE_TAG_BYTES];

	cr_assert_eq(path_tag(&message, keys, tag), 0);
	return memcmp(tag, other, sizeof(tag)) == 0;
}

Test(path_tag, every_byte_of_the_keys_and_of_the_tags_own_matters)
{
	uint8_t tag[PATH_MESSAGE_TAG_BYTES];
	/* Poly1305 clamps some bits of the first half of its key: RFC 8439, 2.5.1. */
	static const uint8_t unused_bit = 0x80;

	cr_assert_eq(path_tag(&message, keys, tag), 0);
	cr_assert(is_the_same_as(tag));
	for (size_t i = 0; i < keys->size_bytes; i++) {
		bool is_clamped = i >= 64 && i < 80 && (i - 64) % 4 == 3;

		keys->bytes[i] ^= is_clamped ? 0x01 : 0x04;
		cr_assert_not(is_the_same_as(tag), "byte %zu", i);
		keys->bytes[i] ^= is_clamped ? 0x01 : 0x04;
	}
	keys->bytes[67] ^= unused_bit;
	cr_assert(is_the_same_as(tag));
}

Test(path_tag, so_do_the_build_and_the_sites)
{
	uint8_t tag[PATH_MESSAGE_TAG_BYTES];

	cr_assert_eq(path_tag(&message, keys, tag), 0);
	message.build.bytes[15] = 1;
	cr_assert_not(is_the_same_as(tag));
	message.build.bytes[15] = 0;
	strcpy(message.legs[0].sites[1], "bop");
	cr_assert_not(is_the_same_as(tag));
	strcpy(message.legs[0].sites[1], "bob");
	message.leg_count = 2;
	message.legs[1] = message.legs[0];
	cr_assert_not(is_the_same_as(tag));
}

Test(path_tag, takes_as_many_keys_as_make_256_bits)
{
	cr_assert_eq(path_tag_keys(64), 4);
	cr_assert_eq(path_tag_keys(128), 2);
	cr_assert_eq(path_tag_keys(200), 2);
	cr_assert_eq(path_tag_keys(256), 1);
	cr_assert_eq(path_tag_keys(4096), 1);
}
