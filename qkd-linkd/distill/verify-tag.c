/* SPDX-License-Identifier: MIT */
/* Verification after reconciliation: a polynomial hash over GF(2^128). */

#include <math.h>

#include "common/secret.h"
#include "qkd-linkd/distill/verify-tag.h"

unsigned verify_tag_bytes(uint64_t bits, double eps_cor)
{
	double degree = ceil((double)bits / 128);
	unsigned bytes = 1;

	while (bytes < VERIFY_TAG_MAX_BYTES && degree * exp2(-8.0 * bytes) > eps_cor)
		bytes++;
	return bytes;
}

void verify_tag(const struct gf2_kernel *kernel, const uint8_t key[static VERIFY_TAG_KEY_BYTES],
		const uint64_t *words, size_t word_count, unsigned tag_bytes, uint8_t *ret_tag)
{
	struct gf128 state = {};
	uint8_t whole[GF128_BYTES];

	kernel->hash(&state, gf128_load(key), (const uint8_t *)words, word_count / 2);
	gf128_store(state, whole);
	memcpy(ret_tag, whole, tag_bytes);
	secret_wipe(whole, sizeof(whole));
	secret_wipe(&state, sizeof(state));
}
