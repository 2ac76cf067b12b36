/* SPDX-License-Identifier: MIT */
/* GF(2^128) by carry-less multiplication, two products at a time (vpclmulqdq with avx2). */

#include "qkd-linkd/distill/gf128-clmul.h"

#ifdef GF128_HAVE_CLMUL

#include <immintrin.h>

#define GF128_TARGET __attribute__((target("pclmul,vpclmulqdq,avx2")))

typedef __m256i vector;

GF128_TARGET static inline vector vector_load(const struct gf128 *a)
{
	return _mm256_loadu_si256((const __m256i *)a);
}

GF128_TARGET static inline void vector_store(struct gf128 *a, vector b)
{
	_mm256_storeu_si256((__m256i *)a, b);
}

GF128_TARGET static inline vector vector_add(vector a, vector b)
{
	return _mm256_xor_si256(a, b);
}

GF128_TARGET static inline vector vector_broadcast(struct gf128 a)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)&a));
}

/* gf128-clmul.c explains the steps. */
GF128_TARGET static inline vector vector_multiply(vector a, vector b)
{
	const vector modulus = _mm256_broadcastsi128_si256(_mm_set_epi64x(0, 0x87)),
		     zero = _mm256_setzero_si256();
	vector low = _mm256_clmulepi64_epi128(a, b, 0x00);
	vector high = _mm256_clmulepi64_epi128(a, b, 0x11);
	vector middle = vector_add(_mm256_clmulepi64_epi128(a, b, 0x01),
				   _mm256_clmulepi64_epi128(a, b, 0x10));

	middle = vector_add(middle, _mm256_clmulepi64_epi128(high, modulus, 0x01));
	middle = vector_add(middle, _mm256_unpacklo_epi64(zero, high));
	low = vector_add(low, _mm256_unpacklo_epi64(zero, middle));
	return vector_add(low, _mm256_clmulepi64_epi128(middle, modulus, 0x01));
}

#define GF128_LANES  2
#define GF128_NARROW gf128_clmul
#include "qkd-linkd/distill/gf128-layers.h"

static struct gf128 narrow_multiply(struct gf128 a, struct gf128 b)
{
	return gf128_clmul.multiply(a, b);
}

/* Horner's rule is one chain: a wider vector would not help. */
static void narrow_hash(struct gf128 *state, struct gf128 key, const uint8_t *blocks, size_t count)
{
	gf128_clmul.hash(state, key, blocks, count);
}

const struct gf2_kernel gf128_clmul_256 = {
	.name = "vpclmulqdq-256",
	.multiply = narrow_multiply,
	.hash = narrow_hash,
	.multiply_each = layers_multiply_each,
	.forward = layers_forward,
	.inverse = layers_inverse,
};

#endif
