/* SPDX-License-Identifier: MIT */
/*
 * The additive FFT over GF(2^128).
 *
 * With Cantor's basis (beta(0) = 1, beta(i)^2 + beta(i) = beta(i-1)) the subspace polynomials s_i
 * have coefficients in GF(2), s_i(s_j(x)) = s_(i+j)(x), and s_(2^k)(x) = x^(2^2^k) + x. So the
 * change to the basis of products of s_i needs additions only, and one table of factors serves
 * every layer.
 */

#include <pthread.h>

#include "qkd-linkd/distill/gf2-fft.h"

/* Blocks of so many values stay in the second-level cache while all their layers are done. */
#define CACHED_LOG2 14

static struct gf2_twiddles twiddles;
static pthread_once_t twiddles_once = PTHREAD_ONCE_INIT;

#define FIELD_DEGREE 128

/*
 * From any u of trace 1, u -> u^2 + u repeated 127 times gives 1, and the elements on the way, read
 * backwards, are Cantor's basis (Gao and Mateer, IEEE Trans. Inf. Theory 56 (2010), appendix).
 */
static bool fill_basis(struct gf128 u)
{
	struct gf128 element = u;

	for (int i = FIELD_DEGREE - 1; i >= 0; i--) {
		if (i <= GF2_FFT_MAX_LOG2)
			twiddles.beta[i] = element;
		element = gf128_add(gf128_portable.multiply(element, element), element);
	}
	return twiddles.beta[0].low == 1 && twiddles.beta[0].high == 0;
}

static void fill_twiddles(void)
{
	unsigned bit = 0;

	while (!fill_basis(bit < 64 ? (struct gf128){.low = UINT64_C(1) << bit}
				    : (struct gf128){.high = UINT64_C(1) << (bit - 64)}))
		bit++;
	twiddles.step[0] = twiddles.beta[1];
	for (unsigned j = 1; j < GF2_FFT_MAX_LOG2; j++)
		twiddles.step[j] = gf128_add(twiddles.step[j - 1], twiddles.beta[j + 1]);
}

const struct gf2_twiddles *gf2_fft_twiddles(void)
{
	pthread_once(&twiddles_once, fill_twiddles);
	return &twiddles;
}

/* Adds count words at from to those at to; they do not overlap. */
static void add_words(uint64_t *restrict to, const uint64_t *restrict from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] ^= from[i];
}

/* The largest power of two below m; m >= 2. */
static unsigned half_log2(unsigned m)
{
	return 1u << (31 - __builtin_clz(m - 1));
}

/*
 * The expansion of 2^m coefficients in powers of y = x^(2^t) + x: from the top down, a block of
 * 2^size coefficients is divided by y^(2^s) = x^(2^(size-1)) + x^(2^s), s = size-t-1. A coefficient
 * is 2^unit words; chunks of 2^s coefficients move together.
 */
static void expand_blocks(uint64_t *words, unsigned m, unsigned size, unsigned t, unsigned unit)
{
	size_t half = (size_t)1 << t, chunk = (size_t)1 << (size - t - 1 + unit);
	size_t end = (size_t)1 << (m + unit);

	for (size_t start = 0; start < end; start += 2 * half * chunk)
		for (size_t c = 2 * half; c-- > half;)
			add_words(words + start + (c - half + 1) * chunk, words + start + c * chunk,
				  chunk);
}

static void collapse_blocks(uint64_t *words, unsigned m, unsigned size, unsigned t, unsigned unit)
{
	size_t half = (size_t)1 << t, chunk = (size_t)1 << (size - t - 1 + unit);
	size_t end = (size_t)1 << (m + unit);

	for (size_t start = 0; start < end; start += 2 * half * chunk)
		for (size_t c = half; c < 2 * half; c++)
			add_words(words + start + (c - half + 1) * chunk, words + start + c * chunk,
				  chunk);
}

/* From the basis 1, x, x^2, ... to that of products of subspace polynomials. */
static void change_basis(uint64_t *words, unsigned m, unsigned unit)
{
	unsigned t;

	if (m < 2)
		return;
	t = half_log2(m);
	for (unsigned size = m; size > t; size--)
		expand_blocks(words, m, size, t, unit);
	if (t > 1)
		for (size_t k = 0; k < (size_t)1 << (m - t); k++)
			change_basis(words + (k << (t + unit)), t, unit);
	change_basis(words, m - t, unit + t);
}

static void change_basis_back(uint64_t *words, unsigned m, unsigned unit)
{
	unsigned t;

	if (m < 2)
		return;
	t = half_log2(m);
	change_basis_back(words, m - t, unit + t);
	if (t > 1)
		for (size_t k = 0; k < (size_t)1 << (m - t); k++)
			change_basis_back(words + (k << (t + unit)), t, unit);
	for (unsigned size = t + 1; size <= m; size++)
		collapse_blocks(words, m, size, t, unit);
}

static void evaluate(const struct gf2_kernel *kernel, struct gf128 *values, unsigned log2,
		     size_t block)
{
	if (log2 > CACHED_LOG2) {
		kernel->forward(values, log2 - 1, block, 1, &twiddles);
		evaluate(kernel, values, log2 - 1, 2 * block);
		evaluate(kernel, values + ((size_t)1 << (log2 - 1)), log2 - 1, 2 * block + 1);
		return;
	}
	for (unsigned i = log2; i-- > 0;)
		kernel->forward(values, i, block << (log2 - 1 - i), (size_t)1 << (log2 - 1 - i),
				&twiddles);
}

static void interpolate(const struct gf2_kernel *kernel, struct gf128 *values, unsigned log2,
			size_t block)
{
	if (log2 > CACHED_LOG2) {
		interpolate(kernel, values, log2 - 1, 2 * block);
		interpolate(kernel, values + ((size_t)1 << (log2 - 1)), log2 - 1, 2 * block + 1);
		kernel->inverse(values, log2 - 1, block, 1, &twiddles);
		return;
	}
	for (unsigned i = 0; i < log2; i++)
		kernel->inverse(values, i, block << (log2 - 1 - i), (size_t)1 << (log2 - 1 - i),
				&twiddles);
}

void gf2_fft_forward(const struct gf2_kernel *kernel, struct gf128 *values, unsigned log2)
{
	gf2_fft_twiddles();
	change_basis((uint64_t *)values, log2, 1);
	evaluate(kernel, values, log2, 0);
}

void gf2_fft_inverse(const struct gf2_kernel *kernel, struct gf128 *values, unsigned log2)
{
	gf2_fft_twiddles();
	interpolate(kernel, values, log2, 0);
	change_basis_back((uint64_t *)values, log2, 1);
}

/* The change of basis takes words to words, so it is done before they are spread. */
void gf2_fft_forward_words(const struct gf2_kernel *kernel, const uint64_t *words, size_t count,
			   struct gf128 *values, unsigned log2)
{
	uint64_t *scratch = (uint64_t *)values;
	size_t total = (size_t)1 << log2;

	gf2_fft_twiddles();
	memcpy(scratch, words, count * sizeof(*words));
	memset(scratch + count, 0, (total - count) * sizeof(*words));
	change_basis(scratch, log2, 0);
	for (size_t i = total; i-- > 0;)
		values[i] = (struct gf128){.low = scratch[i]};
	evaluate(kernel, values, log2, 0);
}
