/* SPDX-License-Identifier: MIT */

/*
 * Explores the sync protocol on the real machine, journal and key files: episodes of random faults
 * from a seed, each ending in calm and a check. QKD_EXPLORE_STEPS sets the number of steps (default
 * 200,000), QKD_EXPLORE_SEED the first seed. A failure prints what reproduces it.
 */

#include <criterion/criterion.h>
#include <inttypes.h>

#include "tests/unit/support/sync-world.h"

#define STEPS_DEFAULT     UINT64_C(200000)
#define STEPS_PER_EPISODE 600

static const unsigned mixes[] = {
	0,
	WORLD_LOSS | WORLD_DUPLICATES | WORLD_REORDER,
	WORLD_RECONNECTS | WORLD_LOSS,
	WORLD_CRASHES,
	WORLD_CRASHES | WORLD_RECONNECTS | WORLD_DEVICE_FAILS,
	WORLD_CRASHES | WORLD_SYNC_FAILS | WORLD_FULL_DISK,
	WORLD_LIES | WORLD_DUPLICATES | WORLD_RECONNECTS,
	WORLD_CONFIRM | WORLD_UNEQUAL | WORLD_CRASHES | WORLD_LOSS,
	WORLD_LOSS | WORLD_DUPLICATES | WORLD_REORDER | WORLD_RECONNECTS | WORLD_CRASHES |
		WORLD_SYNC_FAILS | WORLD_FULL_DISK | WORLD_DEVICE_FAILS | WORLD_LIES,
	WORLD_LOST_DISK | WORLD_RECONNECTS | WORLD_CRASHES,
};

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* The fewest steps with faults after which this seed still fails. */
static uint64_t shrink(struct world *world, uint64_t seed, unsigned faults, uint64_t steps)
{
	for (uint64_t part = steps / 2; part > 0; part /= 2)
		while (steps > part && world_episode(world, seed, faults, steps - part) < 0)
			steps -= part;
	(void)world_episode(world, seed, faults, steps);
	return steps;
}

Test(sync_explore, both_sides_agree_whatever_fails, .timeout = 3600)
{
	uint64_t seed = environment_number("QKD_EXPLORE_SEED", 1);
	uint64_t limit = environment_number("QKD_EXPLORE_STEPS", STEPS_DEFAULT);
	_cleanup_(world_freep) struct world *world = NULL;

	cr_assert_eq(world_new(&world), 0);
	while (world->steps < limit) {
		unsigned faults = mixes[seed % ELEMENTSOF(mixes)];
		uint64_t steps;

		if (world_episode(world, seed, faults, STEPS_PER_EPISODE) < 0) {
			steps = shrink(world, seed, faults, STEPS_PER_EPISODE);
			cr_assert_fail("seed %" PRIu64 ", faults 0x%x, %" PRIu64 " steps: %s", seed,
				       faults, steps, world->violation);
		}
		seed++;
	}
}
