/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The field GF(2^128) = GF(2)[x] / (x^128 + x^7 + x^2 + x + 1): bit i of the 128 is the coefficient
 * of x^i (not GHASH's mirrored order). The polynomial hash of verification and authentication and
 * the additive FFT of privacy amplification compute in it, through a kernel that is chosen when the
 * program runs; every kernel gives the same bits.
 */

#include "common/macros.h"

#define GF128_BYTES 16

struct gf128 {
	uint64_t low, high;
};

static inline struct gf128 gf128_add(struct gf128 a, struct gf128 b)
{
	return (struct gf128){a.low ^ b.low, a.high ^ b.high};
}

/* Little endian, the order of the coefficients. */
struct gf128 gf128_load(const uint8_t bytes[static GF128_BYTES]);
void gf128_store(struct gf128 a, uint8_t ret_bytes[static GF128_BYTES]);

/* step[j] = beta(1) + ... + beta(j+1), for counting through the FFT's twiddle factors. */
#define GF2_FFT_MAX_LOG2 22
struct gf2_twiddles {
	struct gf128 beta[GF2_FFT_MAX_LOG2 + 1]; /* Cantor's basis: beta(0) = 1 */
	struct gf128 step[GF2_FFT_MAX_LOG2];
};

struct gf2_kernel {
	const char *name;
	struct gf128 (*multiply)(struct gf128 a, struct gf128 b);
	/* Horner's rule: state = (state + block) * key for each 16-byte block. */
	void (*hash)(struct gf128 *state, struct gf128 key, const uint8_t *blocks, size_t count);
	/* a[i] = a[i] * b[i] */
	void (*multiply_each)(struct gf128 *a, const struct gf128 *b, size_t count);
	/*
	 * One layer of butterflies over block_count blocks of 2^(run_log2+1) values. Block b has
	 * the factor t = sum of beta(j+1) over the bits j of first_block+b; its halves u, v become
	 * u + t v, v + u + t v; inverse undoes it.
	 */
	void (*forward)(struct gf128 *values, unsigned run_log2, size_t first_block,
			size_t block_count, const struct gf2_twiddles *twiddles);
	void (*inverse)(struct gf128 *values, unsigned run_log2, size_t first_block,
			size_t block_count, const struct gf2_twiddles *twiddles);
};

extern const struct gf2_kernel gf128_portable;
/* The fastest that this processor has. */
const struct gf2_kernel *gf128_kernel(void);
/* All that it has, the portable one first; NULL after the last. For the tests. */
const struct gf2_kernel *gf128_kernel_at(size_t i);
