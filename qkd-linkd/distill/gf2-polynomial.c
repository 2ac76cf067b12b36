/* SPDX-License-Identifier: MIT */
/*
 * Products of long polynomials over GF(2): 64 coefficients become one of GF(2)[x] of degree below
 * 64, the products of two of which are known by their remainder modulo the degree-128 polynomial of
 * the field, so one convolution over GF(2^128) gives them all (Kronecker's substitution).
 */

#include "qkd-linkd/distill/gf2-polynomial.h"
#include "common/secret.h"
#include "qkd-linkd/distill/gf2-fft.h"

struct gf2_workspace {
	unsigned log2;
	struct secret *first, *second;
};

/* log2 of the number of values that determine the product. */
static unsigned transform_log2(size_t words)
{
	unsigned log2 = 1;

	while ((size_t)1 << log2 < words)
		log2++;
	return log2;
}

int gf2_workspace_new(size_t max_product_words, struct gf2_workspace **ret)
{
	_cleanup_(gf2_workspace_freep) struct gf2_workspace *workspace = NULL;
	int r;

	if (max_product_words > (size_t)1 << GF2_FFT_MAX_LOG2)
		return -E2BIG;
	workspace = calloc(1, sizeof(*workspace));
	if (!workspace)
		return -ENOMEM;
	workspace->log2 = transform_log2(max_product_words);
	r = secret_new(sizeof(struct gf128) << workspace->log2, &workspace->first);
	if (r >= 0)
		r = secret_new(sizeof(struct gf128) << workspace->log2, &workspace->second);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(workspace);
	return 0;
}

struct gf2_workspace *gf2_workspace_free(struct gf2_workspace *workspace)
{
	if (!workspace)
		return NULL;
	secret_free(workspace->first);
	secret_free(workspace->second);
	free(workspace);
	return NULL;
}

/* Coefficient i of the convolution stands 64 i bits up and is up to 127 bits long. */
static void overlap(const struct gf128 *values, uint64_t *ret, size_t words)
{
	uint64_t carry = 0;

	for (size_t i = 0; i < words; i++) {
		ret[i] = values[i].low ^ carry;
		carry = values[i].high;
	}
}

int gf2_polynomial_multiply(const struct gf2_kernel *kernel, struct gf2_workspace *workspace,
			    const uint64_t *a, size_t a_words, const uint64_t *b, size_t b_words,
			    uint64_t *ret)
{
	unsigned log2 = transform_log2(a_words + b_words);
	struct gf128 *x = (struct gf128 *)workspace->first->bytes;
	struct gf128 *y = (struct gf128 *)workspace->second->bytes;

	if (a_words == 0 || b_words == 0)
		return -EINVAL;
	if (log2 > workspace->log2)
		return -E2BIG;
	gf2_fft_forward_words(kernel, a, a_words, x, log2);
	gf2_fft_forward_words(kernel, b, b_words, y, log2);
	kernel->multiply_each(x, y, (size_t)1 << log2);
	gf2_fft_inverse(kernel, x, log2);
	overlap(x, ret, a_words + b_words);
	secret_wipe(x, sizeof(*x) << log2);
	secret_wipe(y, sizeof(*y) << log2);
	return 0;
}

void gf2_polynomial_multiply_naive(const uint64_t *a, size_t a_words, const uint64_t *b,
				   size_t b_words, uint64_t *ret)
{
	memset(ret, 0, (a_words + b_words) * sizeof(*ret));
	for (size_t i = 0; i < 64 * a_words; i++) {
		unsigned shift = i & 63;
		uint64_t mask = -(a[i >> 6] >> shift & 1), *to = ret + (i >> 6);

		for (size_t j = 0; j < b_words; j++) {
			to[j] ^= (b[j] & mask) << shift;
			if (shift > 0)
				to[j + 1] ^= (b[j] & mask) >> (64 - shift);
		}
	}
}

void gf2_polynomial_slice(const uint64_t *source, uint64_t first_bit, uint64_t bits, uint64_t *ret)
{
	size_t words = (bits + 63) / 64, from = first_bit / 64;
	size_t last = (first_bit + bits - 1) / 64;
	unsigned shift = first_bit % 64;

	for (size_t i = 0; i < words; i++) {
		ret[i] = source[from + i] >> shift;
		if (shift > 0 && from + i < last)
			ret[i] |= source[from + i + 1] << (64 - shift);
	}
	if (bits % 64)
		ret[words - 1] &= (UINT64_C(1) << bits % 64) - 1;
}
