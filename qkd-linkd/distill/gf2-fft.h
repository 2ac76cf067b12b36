/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The additive FFT over GF(2^128): a polynomial of 2^log2 coefficients to its values at the 2^log2
 * sums of the first elements of Cantor's basis, and back.
 *
 * Lin, Chung, Han: "Novel polynomial basis and its application to Reed-Solomon erasure codes", FOCS
 * 2014 (the transform); Lin, Al-Naffouri, Han, Chung: IEEE Trans. Inf. Theory 62 (2016) (the change
 * of basis); Chen, Cheng, Kuo, Li, Yang: "Faster multiplication for long binary polynomials",
 * arXiv:1708.09746 (both for products over GF(2)).
 */

#include "qkd-linkd/distill/gf128.h"

/* In place. values: coefficients of 1, x, x^2, ...; word coefficients below x^64 only. */
void gf2_fft_forward(const struct gf2_kernel *kernel, struct gf128 *values, unsigned log2);
void gf2_fft_inverse(const struct gf2_kernel *kernel, struct gf128 *values, unsigned log2);

/*
 * The same for a polynomial whose coefficients are count 64-bit words, the rest zero: spreads them
 * into values first. Uses the start of values as scratch.
 */
void gf2_fft_forward_words(const struct gf2_kernel *kernel, const uint64_t *words, size_t count,
			   struct gf128 *values, unsigned log2);

const struct gf2_twiddles *gf2_fft_twiddles(void);
