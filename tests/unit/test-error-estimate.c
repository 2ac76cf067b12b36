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

Test(error_estimate, a_limit_is_exceeded_only_with_certainty)
{
	cr_expect(error_estimate_exceeds(250, 1000, 0.11, 1e-10));
	cr_expect_not(error_estimate_exceeds(25, 100, 0.11, 1e-10)); /* too few to be sure */
	cr_expect_not(error_estimate_exceeds(120, 1000, 0.11, 1e-10));
	cr_expect(error_estimate_exceeds(120000, 1000000, 0.11, 1e-10));
	cr_expect_not(error_estimate_exceeds(100, 1000, 0.11, 1e-10));
	cr_expect_not(error_estimate_exceeds(0, 0, 0.11, 1e-10));
	cr_expect(error_estimate_exceeds(1000, 1000, 0.11, 1e-10));
}
