/* SPDX-License-Identifier: MIT */
/* GF(2^128) by carry-less multiplication, two products at a time (vpclmulqdq with avx2). */

#include "qkd-linkd/distill/gf128-clmul.h"

#ifdef GF128_HAVE_CLMUL

#include <immintrin.h>

typedef __m256i vector;

#define GF128_TARGET         __attribute__((target("pclmul,vpclmulqdq,avx2")))
#define GF128_LANES          2
#define GF128_NARROW         gf128_clmul
#define GF128_WIDE           gf128_clmul_256
#define GF128_WIDE_NAME      "vpclmulqdq-256"
#define WIDE(operation)      _mm256_##operation
#define WIDE_BITS(operation) _mm256_##operation##_si256
#define WIDE_BROADCAST       _mm256_broadcastsi128_si256
#include "qkd-linkd/distill/gf128-clmul-wide.h"

#endif
