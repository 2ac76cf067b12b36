/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Products of long polynomials over GF(2), for privacy amplification. Bit i of a string of words
 * (bit i % 64 of word i / 64) is the coefficient of x^i.
 */

#include "qkd-linkd/distill/gf128.h"

/*
 * Room for one product at a time, in secret memory. Kept between products, because new secret
 * memory costs the kernel more time than the product does. Wiped after each.
 */
struct gf2_workspace;
int gf2_workspace_new(size_t max_product_words, struct gf2_workspace **ret);
struct gf2_workspace *gf2_workspace_free(struct gf2_workspace *workspace);
DEFINE_CLEANUP(struct gf2_workspace *, gf2_workspace_free);

/* ret: a_words + b_words words, not overlapping a or b. -EINVAL for an empty factor, -E2BIG for a
 * product that the workspace has no room for. */
int gf2_polynomial_multiply(const struct gf2_kernel *kernel, struct gf2_workspace *workspace,
			    const uint64_t *a, size_t a_words, const uint64_t *b, size_t b_words,
			    uint64_t *ret);

/* Word by word, for the tests and for factors of a few words. */
void gf2_polynomial_multiply_naive(const uint64_t *a, size_t a_words, const uint64_t *b,
				   size_t b_words, uint64_t *ret);

/* ret = bits [first_bit, first_bit + bits) of source, zero-padded to whole words. */
void gf2_polynomial_slice(const uint64_t *source, uint64_t first_bit, uint64_t bits, uint64_t *ret);
