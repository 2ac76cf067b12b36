/* SPDX-License-Identifier: MIT */
/* Privacy amplification against the matrix, row by row, with every kernel. */

#include <criterion/criterion.h>

#include "common/prng.h"
#include "qkd-linkd/distill/privacy-amplify.h"

static bool bit_of(const uint64_t *words, uint64_t i)
{
	return words[i / 64] >> i % 64 & 1;
}

/* y_i = sum of seed[i + n-l-1 - j] x_j over j < n-l, plus x_(n-l+i). */
static bool row(const uint64_t *x, uint64_t n, const uint64_t *seed, uint64_t l, uint64_t i)
{
	bool y = bit_of(x, n - l + i);

	for (uint64_t j = 0; j < n - l; j++)
		y ^= bit_of(seed, i + n - l - 1 - j) && bit_of(x, j);
	return y;
}

static void expect_matrix(struct prng *prng, uint64_t n, uint64_t l)
{
	size_t words = (n + 63) / 64;
	uint64_t *x = malloc(words * 8), *seed = malloc(words * 8), *y = malloc(words * 8);
	const struct gf2_kernel *kernel;

	for (size_t i = 0; i < words; i++) {
		x[i] = prng_next(prng);
		seed[i] = prng_next(prng);
	}
	for (size_t k = 0; (kernel = gf128_kernel_at(k)) != NULL; k++) {
		_cleanup_(privacy_amplifier_freep) struct privacy_amplifier *amplifier = NULL;

		cr_assert_eq(privacy_amplifier_new(kernel, n, &amplifier), 0);
		for (int again = 0; again < 2; again++)
			cr_assert_eq(privacy_amplify(amplifier, x, n, seed, l, y), 0);
		for (uint64_t i = 0; i < (l + 63) / 64 * 64; i++)
			cr_assert_eq(bit_of(y, i), i < l ? row(x, n, seed, l, i) : 0,
				     "%s n %lu l %lu bit %lu", kernel->name, n, l, i);
	}
	free(x);
	free(seed);
	free(y);
}

Test(privacy_amplify, is_the_toeplitz_matrix_beside_the_identity)
{
	struct prng prng;

	prng_init(&prng, 1);
	expect_matrix(&prng, 2, 1);
	expect_matrix(&prng, 64, 63);
	expect_matrix(&prng, 65, 64);
	expect_matrix(&prng, 128, 1);
	for (int i = 0; i < 25; i++) {
		uint64_t n = 2 + prng_below(&prng, 2000);

		expect_matrix(&prng, n, 1 + prng_below(&prng, n - 1));
	}
}

Test(privacy_amplify, one_flipped_bit_changes_about_half_of_the_output)
{
	enum { N = 20000, L = 4000, WORDS = (N + 63) / 64 };
	static uint64_t x[WORDS], seed[WORDS], y[WORDS], z[WORDS];
	_cleanup_(privacy_amplifier_freep) struct privacy_amplifier *amplifier = NULL;
	struct prng prng;

	prng_init(&prng, 2);
	for (size_t i = 0; i < WORDS; i++) {
		x[i] = prng_next(&prng);
		seed[i] = prng_next(&prng);
	}
	cr_assert_eq(privacy_amplifier_new(gf128_kernel(), N, &amplifier), 0);
	cr_assert_eq(privacy_amplify(amplifier, x, N, seed, L, y), 0);
	for (int trial = 0; trial < 10; trial++) {
		unsigned at = (unsigned)prng_below(&prng, N - L), changed = 0;

		x[at / 64] ^= UINT64_C(1) << at % 64;
		cr_assert_eq(privacy_amplify(amplifier, x, N, seed, L, z), 0);
		x[at / 64] ^= UINT64_C(1) << at % 64;
		for (size_t i = 0; i < L / 64; i++)
			changed += (unsigned)__builtin_popcountll(y[i] ^ z[i]);
		cr_expect(changed > 1800 && changed < 2200, "%u", changed);
	}
}

Test(privacy_amplify, lengths_without_sense_are_refused)
{
	_cleanup_(privacy_amplifier_freep) struct privacy_amplifier *amplifier = NULL;
	uint64_t words[4] = {};

	cr_assert_eq(privacy_amplifier_new(gf128_kernel(), 128, &amplifier), 0);
	cr_expect_eq(privacy_amplify(amplifier, words, 128, words, 0, words), -EINVAL);
	cr_expect_eq(privacy_amplify(amplifier, words, 128, words, 128, words), -EINVAL);
	cr_expect_eq(privacy_amplify(amplifier, words, 129, words, 5, words), -E2BIG);
	cr_expect_eq(privacy_amplifier_new(gf128_kernel(), 1, &amplifier), -EINVAL);
	cr_expect_eq(privacy_amplifier_new(gf128_kernel(), UINT64_C(1) << 40, &amplifier), -E2BIG);
}
