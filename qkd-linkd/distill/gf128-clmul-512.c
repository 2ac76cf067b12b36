/* SPDX-License-Identifier: MIT */
/* GF(2^128) by carry-less multiplication, four products at a time (vpclmulqdq with avx512f). */

#include "qkd-linkd/distill/gf128-clmul.h"

#ifdef GF128_HAVE_CLMUL

#include <immintrin.h>

#define GF128_TARGET __attribute__((target("pclmul,vpclmulqdq,avx512f,avx512bw")))

typedef __m512i vector;

GF128_TARGET static inline vector vector_load(const struct gf128 *a)
{
	return _mm512_loadu_si512((const void *)a);
}

GF128_TARGET static inline void vector_store(struct gf128 *a, vector b)
{
	_mm512_storeu_si512((void *)a, b);
}

GF128_TARGET static inline vector vector_add(vector a, vector b)
{
	return _mm512_xor_si512(a, b);
}

GF128_TARGET static inline vector vector_broadcast(struct gf128 a)
{
	return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)&a));
}

/* gf128-clmul.c explains the steps. */
GF128_TARGET static inline vector vector_multiply(vector a, vector b)
{
	const vector modulus = _mm512_broadcast_i32x4(_mm_set_epi64x(0, 0x87)),
		     zero = _mm512_setzero_si512();
	vector low = _mm512_clmulepi64_epi128(a, b, 0x00);
	vector high = _mm512_clmulepi64_epi128(a, b, 0x11);
	vector middle = vector_add(_mm512_clmulepi64_epi128(a, b, 0x01),
				   _mm512_clmulepi64_epi128(a, b, 0x10));

	middle = vector_add(middle, _mm512_clmulepi64_epi128(high, modulus, 0x01));
	middle = vector_add(middle, _mm512_unpacklo_epi64(zero, high));
	low = vector_add(low, _mm512_unpacklo_epi64(zero, middle));
	return vector_add(low, _mm512_clmulepi64_epi128(middle, modulus, 0x01));
}

#define GF128_LANES  4
#define GF128_NARROW gf128_clmul_256
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

const struct gf2_kernel gf128_clmul_512 = {
	.name = "vpclmulqdq-512",
	.multiply = narrow_multiply,
	.hash = narrow_hash,
	.multiply_each = layers_multiply_each,
	.forward = layers_forward,
	.inverse = layers_inverse,
};

#endif
