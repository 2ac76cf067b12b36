/* SPDX-License-Identifier: MIT */
/* Long products over GF(2): every kernel against the naive product and against gf2x. */

#include <criterion/criterion.h>

#include "common/prng.h"
#include "qkd-linkd/distill/gf2-polynomial.h"

#if __has_include(<gf2x.h>)
#include <gf2x.h>
#define HAVE_GF2X
#endif

#define MAX_WORDS ((size_t)(1 << 20) / 64)

static struct gf2_workspace *workspace;
static uint64_t *a, *b, *product, *expected;

static void prepare(void)
{
	cr_assert_eq(gf2_workspace_new(2 * MAX_WORDS, &workspace), 0);
	a = malloc(MAX_WORDS * 8);
	b = malloc(MAX_WORDS * 8);
	product = malloc(2 * MAX_WORDS * 8);
	expected = malloc(2 * MAX_WORDS * 8);
}

static void dispose(void)
{
	gf2_workspace_free(workspace);
	free(a);
	free(b);
	free(product);
	free(expected);
}

TestSuite(gf2_polynomial, .init = prepare, .fini = dispose);

static void draw(struct prng *prng, size_t a_words, size_t b_words)
{
	for (size_t i = 0; i < a_words; i++)
		a[i] = prng_next(prng);
	for (size_t i = 0; i < b_words; i++)
		b[i] = prng_next(prng);
}

static void expect_every_kernel(size_t a_words, size_t b_words)
{
	const struct gf2_kernel *kernel;

	for (size_t k = 0; (kernel = gf128_kernel_at(k)) != NULL; k++) {
		cr_assert_eq(
			gf2_polynomial_multiply(kernel, workspace, a, a_words, b, b_words, product),
			0);
		cr_assert_eq(memcmp(product, expected, (a_words + b_words) * 8), 0,
			     "%s: %zu x %zu words", kernel->name, a_words, b_words);
	}
}

Test(gf2_polynomial, small_products_are_the_naive_ones)
{
	struct prng prng;

	prng_init(&prng, 1);
	for (int i = 0; i < 200; i++) {
		size_t a_words = 1 + prng_below(&prng, 40), b_words = 1 + prng_below(&prng, 40);

		draw(&prng, a_words, b_words);
		gf2_polynomial_multiply_naive(a, a_words, b, b_words, expected);
		expect_every_kernel(a_words, b_words);
	}
}

Test(gf2_polynomial, larger_products_are_the_naive_ones)
{
	struct prng prng;

	prng_init(&prng, 2);
	for (int i = 0; i < 4; i++) {
		size_t a_words = 1 + prng_below(&prng, 1500), b_words = 1 + prng_below(&prng, 1500);

		draw(&prng, a_words, b_words);
		gf2_polynomial_multiply_naive(a, a_words, b, b_words, expected);
		expect_every_kernel(a_words, b_words);
	}
}

#ifdef HAVE_GF2X
Test(gf2_polynomial, products_up_to_a_million_bits_are_those_of_gf2x)
{
	struct prng prng;

	prng_init(&prng, 3);
	for (int i = 0; i < 12; i++) {
		size_t a_words = i ? 1 + prng_below(&prng, MAX_WORDS) : MAX_WORDS;
		size_t b_words = i ? 1 + prng_below(&prng, MAX_WORDS) : MAX_WORDS;

		draw(&prng, a_words, b_words);
		gf2x_mul((unsigned long *)expected, (unsigned long *)a, (long)a_words,
			 (unsigned long *)b, (long)b_words);
		expect_every_kernel(a_words, b_words);
	}
}
#endif

Test(gf2_polynomial, factors_that_are_empty_or_too_long_are_refused)
{
	struct gf2_workspace *huge;

	cr_expect_eq(gf2_polynomial_multiply(gf128_kernel(), workspace, a, 0, b, 1, product),
		     -EINVAL);
	cr_expect_eq(gf2_polynomial_multiply(gf128_kernel(), workspace, a, MAX_WORDS, b,
					     MAX_WORDS + 1, product),
		     -E2BIG);
	cr_expect_eq(gf2_workspace_new(SIZE_MAX, &huge), -E2BIG);
}

Test(gf2_polynomial, slices_are_the_bits_asked_for_and_zeros_after_them)
{
	struct prng prng;
	uint64_t slice[8];

	prng_init(&prng, 4);
	draw(&prng, 8, 1);
	for (unsigned first = 0; first < 200; first += 7)
		for (unsigned bits = 1; bits < 300; bits += 13) {
			gf2_polynomial_slice(a, first, bits, slice);
			for (unsigned i = 0; i < (bits + 63) / 64 * 64; i++) {
				unsigned from = first + i;
				uint64_t bit = i < bits ? a[from / 64] >> from % 64 & 1 : 0;

				cr_assert_eq(slice[i / 64] >> i % 64 & 1, bit);
			}
		}
}
