/* SPDX-License-Identifier: MIT */
/* GF(2^128) by carry-less multiplication, four products at a time (vpclmulqdq with avx512f). */

#include "qkd-linkd/distill/gf128-clmul.h"

#ifdef GF128_HAVE_CLMUL

#include <immintrin.h>

typedef __m512i vector;

#define GF128_TARGET         __attribute__((target("pclmul,vpclmulqdq,avx512f,avx512bw")))
#define GF128_LANES          4
#define GF128_NARROW         gf128_clmul_256
#define GF128_WIDE           gf128_clmul_512
#define GF128_WIDE_NAME      "vpclmulqdq-512"
#define WIDE(operation)      _mm512_##operation
#define WIDE_BITS(operation) _mm512_##operation##_si512
#define WIDE_BROADCAST       _mm512_broadcast_i32x4
#include "qkd-linkd/distill/gf128-clmul-wide.h"

#endif
