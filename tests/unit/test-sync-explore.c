/* SPDX-License-Identifier: MIT */

/*
 * A short run of the exploration of the sync protocol; the long one is explore-sync
 * (scripts/check explore). EXPLORE_SEED and EXPLORE_STEPS work here, too. Seeds that once failed
 * stand below by name.
 */

#include <criterion/criterion.h>
#include <inttypes.h>

#include "tests/explore/sync-explore.h"

#define STEPS_DEFAULT UINT64_C(300000)

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

Test(sync_explore, both_sides_agree_whatever_fails, .timeout = 600)
{
	struct explore_result result;

	cr_assert_eq(explore_run(&sync_explore_subject, environment_number("EXPLORE_SEED", 1),
				 environment_number("EXPLORE_STEPS", STEPS_DEFAULT), true, &result),
		     0);
	cr_assert_not(result.is_violated, "seed %" PRIu64 ": %s", result.seed, result.violation);
}
