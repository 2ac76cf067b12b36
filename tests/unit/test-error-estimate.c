/* SPDX-License-Identifier: MIT */
/* The expected error rate follows the link. */

#include <criterion/criterion.h>
#include <math.h>

#include "qkd-linkd/distill/error-estimate.h"

Test(error_estimate, the_first_block_goes_by_its_test_basis)
{
	struct error_estimate estimate = {};

	cr_expect_float_eq(error_estimate_expect(&estimate, 30, 1000), 0.03, 1e-12);
	cr_expect_gt(error_estimate_expect(&estimate, 0, 0), 0);
}

Test(error_estimate, later_blocks_go_by_what_was_corrected)
{
	struct error_estimate estimate = {};

	error_estimate_add(&estimate, 200, 10000);
	cr_expect_float_eq(error_estimate_expect(&estimate, 25, 1000), 0.02, 1e-12);
	error_estimate_add(&estimate, 400, 10000);
	cr_expect_float_eq(error_estimate_expect(&estimate, 0, 0), 0.03, 1e-12);
	error_estimate_add(&estimate, 0, 0);
	cr_expect_float_eq(error_estimate_expect(&estimate, 0, 0), 0.03, 1e-12);
}

Test(error_estimate, a_sudden_change_in_the_test_basis_is_believed)
{
	struct error_estimate estimate = {};

	error_estimate_add(&estimate, 200, 10000);
	cr_expect_float_eq(error_estimate_expect(&estimate, 2500, 10000), 0.25, 1e-12);
}

Test(error_estimate, the_upper_bound_holds_and_tightens)
{
	double last = 0.5;

	for (uint64_t bits = 100; bits < 100000000; bits *= 10) {
		double upper = error_estimate_upper(bits / 50, bits, 1e-10);

		cr_expect(upper > 0.02 && upper < last, "%lu: %f", bits, upper);
		last = upper;
	}
	cr_expect_float_eq(last, 0.02, 5e-4);
	cr_expect_gt(error_estimate_upper(0, 1000, 1e-10), 0.02); /* ln(1e10)/1000 */
	cr_expect_lt(error_estimate_upper(0, 1000, 1e-10), 0.024);
	cr_expect_eq(error_estimate_upper(600, 1000, 1e-10), 0.5);
	cr_expect_eq(error_estimate_upper(0, 0, 1e-10), 0.5);
}
