/* SPDX-License-Identifier: MIT */
/*
 * GF(2^128) by carry-less multiplication, one product at a time: for every x86-64 processor since
 * 2010. The wider kernels are in gf128-clmul-256.c and gf128-clmul-512.c.
 */

#include "qkd-linkd/distill/gf128-clmul.h"

#ifdef GF128_HAVE_CLMUL

#include <immintrin.h>

#define GF128_TARGET __attribute__((target("pclmul,sse4.1")))

typedef __m128i vector;

GF128_TARGET static inline vector vector_load(const struct gf128 *a)
{
	return _mm_loadu_si128((const __m128i *)a);
}

GF128_TARGET static inline void vector_store(struct gf128 *a, vector b)
{
	_mm_storeu_si128((__m128i *)a, b);
}

GF128_TARGET static inline vector vector_add(vector a, vector b)
{
	return _mm_xor_si128(a, b);
}

GF128_TARGET static inline vector vector_broadcast(struct gf128 a)
{
	return vector_load(&a);
}

/* Schoolbook product, then the upper half folded down by x^128 = x^7 + x^2 + x + 1, twice. */
GF128_TARGET static inline vector vector_multiply(vector a, vector b)
{
	const __m128i modulus = _mm_set_epi64x(0, 0x87);
	vector low = _mm_clmulepi64_si128(a, b, 0x00), high = _mm_clmulepi64_si128(a, b, 0x11);
	vector middle =
		_mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10));

	middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(high, modulus, 0x01));
	middle = _mm_xor_si128(middle, _mm_slli_si128(high, 8));
	low = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
	return _mm_xor_si128(low, _mm_clmulepi64_si128(middle, modulus, 0x01));
}

#define GF128_LANES 1
#include "qkd-linkd/distill/gf128-layers.h"

GF128_TARGET static struct gf128 clmul_multiply(struct gf128 a, struct gf128 b)
{
	struct gf128 product;

	vector_store(&product, vector_multiply(vector_load(&a), vector_load(&b)));
	return product;
}

GF128_TARGET static void clmul_hash(struct gf128 *state, struct gf128 key, const uint8_t *blocks,
				    size_t count)
{
	vector sum = vector_load(state), factor = vector_load(&key);

	for (size_t i = 0; i < count; i++) {
		vector block = _mm_loadu_si128((const __m128i *)(blocks + i * GF128_BYTES));

		sum = vector_multiply(vector_add(sum, block), factor);
	}
	vector_store(state, sum);
}

const struct gf2_kernel gf128_clmul = {
	.name = "pclmulqdq",
	.multiply = clmul_multiply,
	.hash = clmul_hash,
	.multiply_each = layers_multiply_each,
	.forward = layers_forward,
	.inverse = layers_inverse,
};

#endif
