/* SPDX-License-Identifier: MIT */

/*
 * A kernel of carry-less multiplication on vectors of several field elements, included once by each
 * width: the same steps, only the processor's names for them differ. Before it, define
 *	GF128_TARGET, GF128_LANES	as gf128-layers.h wants them
 *	GF128_NARROW			the next narrower kernel
 *	GF128_WIDE, GF128_WIDE_NAME	the kernel to define, and what it is called
 *	WIDE(operation)			the intrinsic's name for this width
 *	WIDE_BITS(operation)		the same for those that end in their width
 *	WIDE_BROADCAST			a 128-bit value in every lane
 * and the type `vector`.
 */

GF128_TARGET static inline vector vector_load(const struct gf128 *a)
{
	return WIDE_BITS(loadu)((const void *)a);
}

GF128_TARGET static inline void vector_store(struct gf128 *a, vector b)
{
	WIDE_BITS(storeu)((void *)a, b);
}

GF128_TARGET static inline vector vector_add(vector a, vector b)
{
	return WIDE_BITS(xor)(a, b);
}

GF128_TARGET static inline vector vector_broadcast(struct gf128 a)
{
	return WIDE_BROADCAST(_mm_loadu_si128((const __m128i *)&a));
}

/* gf128-clmul.c explains the steps. */
GF128_TARGET static inline vector vector_multiply(vector a, vector b)
{
	const vector modulus = WIDE_BROADCAST(_mm_set_epi64x(0, 0x87)), zero = WIDE_BITS(setzero)();
	vector low = WIDE(clmulepi64_epi128)(a, b, 0x00);
	vector high = WIDE(clmulepi64_epi128)(a, b, 0x11);
	vector middle = vector_add(WIDE(clmulepi64_epi128)(a, b, 0x01),
				   WIDE(clmulepi64_epi128)(a, b, 0x10));

	middle = vector_add(middle, WIDE(clmulepi64_epi128)(high, modulus, 0x01));
	middle = vector_add(middle, WIDE(unpacklo_epi64)(zero, high));
	low = vector_add(low, WIDE(unpacklo_epi64)(zero, middle));
	return vector_add(low, WIDE(clmulepi64_epi128)(middle, modulus, 0x01));
}

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

const struct gf2_kernel GF128_WIDE = {
	.name = GF128_WIDE_NAME,
	.multiply = narrow_multiply,
	.hash = narrow_hash,
	.multiply_each = layers_multiply_each,
	.forward = layers_forward,
	.inverse = layers_inverse,
};
