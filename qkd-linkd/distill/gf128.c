/* SPDX-License-Identifier: MIT */
/*
 * GF(2^128) without special instructions, and the choice of a kernel.
 *
 * The portable multiplication takes time that does not depend on its operands: authentication keys
 * go through it. Polynomials are multiplied by integer multiplication of operands whose bits stand
 * four apart, so that no carry reaches the next kept bit (the idea is BearSSL's ghash_ctmul64).
 */

#include <endian.h>

#include "qkd-linkd/distill/gf128-clmul.h"
#include "qkd-linkd/distill/gf128.h"

/* The low 64 bits of the carry-less product. */
static inline uint64_t multiply_low(uint64_t x, uint64_t y)
{
	const uint64_t m0 = UINT64_C(0x1111111111111111), m1 = m0 << 1, m2 = m0 << 2, m3 = m0 << 3;
	uint64_t x0 = x & m0, x1 = x & m1, x2 = x & m2, x3 = x & m3;
	uint64_t y0 = y & m0, y1 = y & m1, y2 = y & m2, y3 = y & m3;
	uint64_t z0 = (x0 * y0) ^ (x1 * y3) ^ (x2 * y2) ^ (x3 * y1);
	uint64_t z1 = (x0 * y1) ^ (x1 * y0) ^ (x2 * y3) ^ (x3 * y2);
	uint64_t z2 = (x0 * y2) ^ (x1 * y1) ^ (x2 * y0) ^ (x3 * y3);
	uint64_t z3 = (x0 * y3) ^ (x1 * y2) ^ (x2 * y1) ^ (x3 * y0);

	return (z0 & m0) | (z1 & m1) | (z2 & m2) | (z3 & m3);
}

static inline uint64_t reverse_bits(uint64_t x)
{
	x = (x & UINT64_C(0x5555555555555555)) << 1 | (x >> 1 & UINT64_C(0x5555555555555555));
	x = (x & UINT64_C(0x3333333333333333)) << 2 | (x >> 2 & UINT64_C(0x3333333333333333));
	x = (x & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4 | (x >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f));
	return __builtin_bswap64(x);
}

/* The whole product of 64 by 64 bits; its high half is the low half of the mirrored operands. */
static inline struct gf128 multiply_words(uint64_t x, uint64_t y)
{
	return (struct gf128){
		.low = multiply_low(x, y),
		.high = reverse_bits(multiply_low(reverse_bits(x), reverse_bits(y))) >> 1,
	};
}

/* Times x^128 = x^7 + x^2 + x + 1, of one word: up to 71 bits. */
static inline struct gf128 fold_word(uint64_t word)
{
	return (struct gf128){
		.low = word ^ word << 1 ^ word << 2 ^ word << 7,
		.high = word >> 63 ^ word >> 62 ^ word >> 57,
	};
}

static inline struct gf128 multiply_portable(struct gf128 a, struct gf128 b)
{
	struct gf128 low = multiply_words(a.low, b.low), high = multiply_words(a.high, b.high);
	struct gf128 middle = multiply_words(a.low ^ a.high, b.low ^ b.high), fold;

	middle = gf128_add(middle, gf128_add(low, high));
	low.high ^= middle.low;
	high.low ^= middle.high;
	fold = fold_word(high.high);
	low.high ^= fold.low;
	high.low ^= fold.high;
	return gf128_add(low, fold_word(high.low));
}

typedef struct gf128 vector;

static inline vector vector_load(const struct gf128 *a)
{
	return *a;
}

static inline void vector_store(struct gf128 *a, vector b)
{
	*a = b;
}

static inline vector vector_broadcast(struct gf128 a)
{
	return a;
}

#define vector_add      gf128_add
#define vector_multiply multiply_portable
#define GF128_TARGET
#define GF128_LANES 1
#include "qkd-linkd/distill/gf128-layers.h"

static void portable_hash(struct gf128 *state, struct gf128 key, const uint8_t *blocks,
			  size_t count)
{
	for (size_t i = 0; i < count; i++)
		*state = multiply_portable(gf128_add(*state, gf128_load(blocks + i * GF128_BYTES)),
					   key);
}

const struct gf2_kernel gf128_portable = {
	.name = "portable",
	.multiply = multiply_portable,
	.hash = portable_hash,
	.multiply_each = layers_multiply_each,
	.forward = layers_forward,
	.inverse = layers_inverse,
};

struct gf128 gf128_load(const uint8_t bytes[static GF128_BYTES])
{
	uint64_t words[2];

	memcpy(words, bytes, sizeof(words));
	return (struct gf128){le64toh(words[0]), le64toh(words[1])};
}

void gf128_store(struct gf128 a, uint8_t ret_bytes[static GF128_BYTES])
{
	uint64_t words[2] = {htole64(a.low), htole64(a.high)};

	memcpy(ret_bytes, words, sizeof(words));
}

const struct gf2_kernel *gf128_kernel_at(size_t i)
{
	const struct gf2_kernel *kernels[4] = {&gf128_portable};
	size_t count = 1;

#ifdef GF128_HAVE_CLMUL
	if (__builtin_cpu_supports("pclmul"))
		kernels[count++] = &gf128_clmul;
	if (__builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx2"))
		kernels[count++] = &gf128_clmul_256;
	if (__builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512bw"))
		kernels[count++] = &gf128_clmul_512;
#endif
	return i < count ? kernels[i] : NULL;
}

const struct gf2_kernel *gf128_kernel(void)
{
	const struct gf2_kernel *best = &gf128_portable, *next;

	for (size_t i = 1; (next = gf128_kernel_at(i)) != NULL; i++)
		best = next;
	return best;
}
