/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A fast generator for what is public and has to come out the same again from its seed: the
 * simulator's dice and the permutations that both ends of a link derive from one announced number.
 * Never for keys, nonces or anything that somebody must not foresee.
 *
 * xoshiro256++ (Blackman and Vigna, ACM TOMS 47, 2021), seeded by SplitMix64 (Steele, Lea and
 * Flood, OOPSLA 2014), both in the public domain.
 */

#include <stdint.h>

struct prng {
	uint64_t state[4];
};

/* One step of SplitMix64's output function: a good hash of a counter. */
static inline uint64_t prng_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline void prng_init(struct prng *prng, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		prng->state[i] = prng_mix(seed + (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15));
}

static inline uint64_t prng_rotate_left(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline uint64_t prng_next(struct prng *prng)
{
	uint64_t *s = prng->state;
	uint64_t result = prng_rotate_left(s[0] + s[3], 23) + s[0];
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = prng_rotate_left(s[3], 45);
	return result;
}

/* In (0, 1]: its logarithm is finite. */
static inline double prng_uniform(struct prng *prng)
{
	return (double)((prng_next(prng) >> 11) + 1) * 0x1p-53;
}

/* Below limit, without bias worth a name for limit << 2^64 (Lemire's multiplication). */
static inline uint64_t prng_below(struct prng *prng, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)prng_next(prng) * limit) >> 64);
}
