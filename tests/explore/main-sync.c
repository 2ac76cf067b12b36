/* SPDX-License-Identifier: MIT */

/*
 * Explores the sync protocol. EXPLORE_SEED and EXPLORE_STEPS choose where and how long.
 */

#include "tests/explore/sync-explore.h"

#define STEPS_DEFAULT UINT64_C(10000000)

int main(void)
{
	return explore_main(&sync_explore_subject, STEPS_DEFAULT);
}
