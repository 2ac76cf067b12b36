/* SPDX-License-Identifier: MIT */
/* GF(2^128): every kernel that this processor has computes what the bit-by-bit definition says. */

#include <criterion/criterion.h>

#include "common/prng.h"
#include "qkd-linkd/distill/gf2-fft.h"

/* Shift and add, reducing by x^128 = x^7 + x^2 + x + 1. */
static struct gf128 multiply_by_definition(struct gf128 a, struct gf128 b)
{
	struct gf128 sum = {};

	for (unsigned i = 0; i < 128; i++) {
		uint64_t carry = a.high >> 63;

		if ((i < 64 ? b.low >> i : b.high >> (i - 64)) & 1)
			sum = gf128_add(sum, a);
		a.high = a.high << 1 | a.low >> 63;
		a.low = a.low << 1 ^ (carry ? 0x87 : 0);
	}
	return sum;
}

static struct gf128 random_element(struct prng *prng)
{
	struct gf128 a = {prng_next(prng), prng_next(prng)};

	return a;
}

static bool is_equal(struct gf128 a, struct gf128 b)
{
	return a.low == b.low && a.high == b.high;
}

Test(gf128, every_kernel_multiplies_by_the_definition)
{
	static const struct gf128 special[] = {
		{0, 0}, {1, 0}, {0, UINT64_C(1) << 63}, {UINT64_MAX, UINT64_MAX}, {2, 0}, {0, 1},
	};
	const struct gf2_kernel *kernel;
	struct prng prng;

	prng_init(&prng, 1);
	for (size_t k = 0; (kernel = gf128_kernel_at(k)) != NULL; k++) {
		for (size_t i = 0; i < 36; i++)
			cr_expect(is_equal(kernel->multiply(special[i / 6], special[i % 6]),
					   multiply_by_definition(special[i / 6], special[i % 6])),
				  "%s %zu", kernel->name, i);
		for (size_t i = 0; i < 2000; i++) {
			struct gf128 a = random_element(&prng), b = random_element(&prng);

			cr_assert(is_equal(kernel->multiply(a, b), multiply_by_definition(a, b)),
				  "%s", kernel->name);
		}
	}
}

Test(gf128, every_kernel_hashes_by_horners_rule)
{
	const struct gf2_kernel *kernel;
	uint8_t blocks[7 * GF128_BYTES];
	struct prng prng;
	struct gf128 key, expected = {};

	prng_init(&prng, 2);
	key = random_element(&prng);
	for (size_t i = 0; i < sizeof(blocks); i++)
		blocks[i] = (uint8_t)prng_next(&prng);
	for (size_t i = 0; i < 7; i++)
		expected = multiply_by_definition(
			gf128_add(expected, gf128_load(blocks + i * GF128_BYTES)), key);
	for (size_t k = 0; (kernel = gf128_kernel_at(k)) != NULL; k++) {
		struct gf128 state = {};

		kernel->hash(&state, key, blocks, 3);
		kernel->hash(&state, key, blocks + 3 * GF128_BYTES, 4);
		cr_expect(is_equal(state, expected), "%s", kernel->name);
	}
}

Test(gf128, every_kernel_does_the_same_butterflies_and_undoes_them)
{
	enum { LOG2 = 6, COUNT = 1 << LOG2 };
	const struct gf2_kernel *kernel;
	struct gf128 start[COUNT], expected[COUNT], values[COUNT];
	struct prng prng;

	prng_init(&prng, 3);
	for (size_t i = 0; i < COUNT; i++)
		start[i] = random_element(&prng);
	for (unsigned run = 0; run < LOG2; run++) {
		size_t blocks = (size_t)COUNT >> (run + 1);

		memcpy(expected, start, sizeof(start));
		gf128_portable.forward(expected, run, 5, blocks, gf2_fft_twiddles());
		for (size_t k = 0; (kernel = gf128_kernel_at(k)) != NULL; k++) {
			memcpy(values, start, sizeof(start));
			kernel->forward(values, run, 5, blocks, gf2_fft_twiddles());
			cr_expect_eq(memcmp(values, expected, sizeof(values)), 0, "%s run %u",
				     kernel->name, run);
			kernel->inverse(values, run, 5, blocks, gf2_fft_twiddles());
			cr_expect_eq(memcmp(values, start, sizeof(values)), 0, "%s run %u",
				     kernel->name, run);
		}
	}
}

Test(gf128, cantors_basis_satisfies_its_recursion)
{
	const struct gf2_twiddles *t = gf2_fft_twiddles();

	cr_expect(is_equal(t->beta[0], (struct gf128){1, 0}));
	for (unsigned i = 1; i <= GF2_FFT_MAX_LOG2; i++)
		cr_expect(is_equal(
			gf128_add(multiply_by_definition(t->beta[i], t->beta[i]), t->beta[i]),
			t->beta[i - 1]));
}

/* The transform's values are those of the polynomial, in the order of sums of the basis. */
Test(gf128, the_transform_evaluates_the_polynomial)
{
	enum { LOG2 = 5, COUNT = 1 << LOG2 };
	const struct gf2_twiddles *t = gf2_fft_twiddles();
	struct gf128 coefficients[COUNT], values[COUNT];
	struct prng prng;

	prng_init(&prng, 4);
	for (size_t i = 0; i < COUNT; i++)
		coefficients[i] = values[i] = random_element(&prng);
	gf2_fft_forward(gf128_kernel(), values, LOG2);
	for (size_t point = 0; point < COUNT; point++) {
		struct gf128 x = {}, sum = {};

		for (unsigned j = 0; j < LOG2; j++)
			if (point >> j & 1)
				x = gf128_add(x, t->beta[j]);
		for (size_t i = COUNT; i-- > 0;)
			sum = gf128_add(multiply_by_definition(sum, x), coefficients[i]);
		cr_expect(is_equal(sum, values[point]), "point %zu", point);
	}
	gf2_fft_inverse(gf128_kernel(), values, LOG2);
	cr_expect_eq(memcmp(values, coefficients, sizeof(values)), 0);
}
