/* SPDX-License-Identifier: MIT */
/* Verification tags: equal strings agree, others do not, and the tag is as long as it has to be. */

#include <criterion/criterion.h>

#include "common/prng.h"
#include "qkd-linkd/distill/verify-tag.h"

#define WORDS 512

Test(verify_tag, every_flipped_bit_changes_the_tag)
{
	static uint64_t words[WORDS];
	uint8_t key[16], tag[16], other[16];
	struct prng prng;

	prng_init(&prng, 1);
	for (size_t i = 0; i < WORDS; i++)
		words[i] = prng_next(&prng);
	for (size_t i = 0; i < 16; i++)
		key[i] = (uint8_t)prng_next(&prng);
	verify_tag(gf128_kernel(), key, words, WORDS, 8, tag);
	verify_tag(&gf128_portable, key, words, WORDS, 8, other);
	cr_expect_eq(memcmp(tag, other, 8), 0);
	for (unsigned bit = 0; bit < WORDS * 64; bit += 37) {
		words[bit / 64] ^= UINT64_C(1) << bit % 64;
		verify_tag(gf128_kernel(), key, words, WORDS, 8, other);
		cr_expect_neq(memcmp(tag, other, 8), 0, "bit %u", bit);
		words[bit / 64] ^= UINT64_C(1) << bit % 64;
	}
}

/* With a one-byte tag two strings of one block collide under about 1/256 of the keys. */
Test(verify_tag, short_tags_collide_as_often_as_the_bound_says)
{
	uint64_t a[2] = {1, 2}, b[2] = {1, 3};
	unsigned collisions = 0;
	struct prng prng;

	prng_init(&prng, 2);
	for (int i = 0; i < 51200; i++) {
		uint64_t key[2] = {prng_next(&prng), prng_next(&prng)};
		uint8_t x, y;

		verify_tag(gf128_kernel(), (uint8_t *)key, a, 2, 1, &x);
		verify_tag(gf128_kernel(), (uint8_t *)key, b, 2, 1, &y);
		collisions += x == y;
	}
	cr_expect(collisions > 140 && collisions < 260, "%u", collisions);
}

Test(verify_tag, tags_are_as_long_as_the_correctness_wants)
{
	cr_expect_eq(verify_tag_bytes(128, 0.004), 1);     /* 1 * 2^-8 */
	cr_expect_eq(verify_tag_bytes(129, 0.004), 2);     /* 2 * 2^-8 is too much */
	cr_expect_eq(verify_tag_bytes(1 << 23, 1e-15), 9); /* 2^16 * 2^-66 */
	cr_expect_eq(verify_tag_bytes(1 << 14, 1e-15), 8); /* 2^7 * 2^-57 */
	cr_expect_eq(verify_tag_bytes(1 << 23, 1e-60), 16);
}
