/* SPDX-License-Identifier: MIT */

/*
 * Explores two issuers. EXPLORE_SEED and EXPLORE_STEPS choose where and how long.
 */

#include "tests/explore/issuer-world.h"

#define STEPS_DEFAULT UINT64_C(10000000)

int main(void)
{
	return explore_main(&issuer_explore_subject, STEPS_DEFAULT);
}
