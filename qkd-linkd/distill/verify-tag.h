/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Verification that two strings are equal after reconciliation: a polynomial hash over GF(2^128)
 * under a fresh random key that is sent after the correction, cut to t bits. Two different strings
 * of n bits have the same tag with probability at most ceil(n/128) 2^-t: the difference is a
 * nonzero polynomial in the key of that degree, and 2^(128-t) values share their first t bits.
 */

#include "qkd-linkd/distill/gf128.h"

#define VERIFY_TAG_KEY_BYTES 16
#define VERIFY_TAG_MAX_BYTES 16

/* The bytes of a tag whose collision probability is at most eps_cor; at most 16. */
unsigned verify_tag_bytes(uint64_t bits, double eps_cor);

/* words: the string, zero-padded to an even number of words. */
void verify_tag(const struct gf2_kernel *kernel, const uint8_t key[static VERIFY_TAG_KEY_BYTES],
		const uint64_t *words, size_t word_count, unsigned tag_bytes, uint8_t *ret_tag);
