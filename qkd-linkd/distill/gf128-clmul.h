/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * GF(2^128) by the x86 processors' carry-less multiplication, one, two or four products an
 * instruction. Use gf128_kernel(), which asks the processor first.
 */

#include "qkd-linkd/distill/gf128.h"

#ifdef __x86_64__
#define GF128_HAVE_CLMUL
extern const struct gf2_kernel gf128_clmul;     /* pclmulqdq */
extern const struct gf2_kernel gf128_clmul_256; /* vpclmulqdq with avx2 */
extern const struct gf2_kernel gf128_clmul_512; /* vpclmulqdq with avx512f */
#endif
