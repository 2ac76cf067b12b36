/* SPDX-License-Identifier: MIT */

/*
 * Explores the sites of paths. EXPLORE_SEED and EXPLORE_STEPS choose where and how long.
 */

#include "tests/explore/relay-world.h"

#define STEPS_DEFAULT UINT64_C(10000000)

int main(void)
{
	return explore_main(&relay_explore_subject, STEPS_DEFAULT);
}
