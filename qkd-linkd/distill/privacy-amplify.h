/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Privacy amplification: n bits of which an eavesdropper may know something become l bits of which
 * she knows nothing, by a fresh public random seed of n-1 bits.
 *
 * The hash is y = T x' + x'', where x'' is the last l bits of x, x' the rest and T the l x (n-l)
 * Toeplitz matrix T[i][j] = seed[i + (n-l-1) - j]: (T | I) is two-universal like a whole Toeplitz
 * matrix and wants a seed of n-1 instead of n+l-1 bits (Krawczyk, CRYPTO 1994; Hayashi and
 * Tsurumaru, "More efficient privacy amplification with less random seeds via dual universal hash
 * function", IEEE Trans. Inf. Theory 62 (2016), section IV). T x' is the middle of one product of
 * polynomials.
 */

#include "qkd-linkd/distill/gf2-polynomial.h"

#define PRIVACY_AMPLIFY_MAX_BITS (UINT64_C(1) << 25)

static inline size_t privacy_amplify_seed_words(uint64_t input_bits)
{
	return (input_bits - 1 + 63) / 64;
}

struct privacy_amplifier;

/* For inputs up to max_bits; keeps its working memory (about 20 bits an input bit, secret). */
int privacy_amplifier_new(const struct gf2_kernel *kernel, uint64_t max_bits,
			  struct privacy_amplifier **ret);
struct privacy_amplifier *privacy_amplifier_free(struct privacy_amplifier *amplifier);
DEFINE_CLEANUP(struct privacy_amplifier *, privacy_amplifier_free);

/* seed: privacy_amplify_seed_words() words; bits after the (n-1)th are ignored. ret: whole words
 * for output_bits, zero-padded. -EINVAL unless 0 < output_bits < input_bits; -E2BIG. */
int privacy_amplify(struct privacy_amplifier *amplifier, const uint64_t *input, uint64_t input_bits,
		    const uint64_t *seed, uint64_t output_bits, uint64_t *ret);
