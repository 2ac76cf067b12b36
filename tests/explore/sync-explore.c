/* SPDX-License-Identifier: MIT */

/*
 * What the seed chooses besides faults, and the figures.
 */

#include "tests/explore/sync-explore.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/explore/sync-world.h"

#define STEPS_MIN 60
#define STEPS_MAX 900

static void choose(struct prng *prng, struct explore_plan *plan)
{
	plan->steps = STEPS_MIN + (uint32_t)prng_below(prng, STEPS_MAX - STEPS_MIN);
	plan->features = (explore_one_in(prng, 5) ? WORLD_CONFIRM : 0) |
			 (explore_one_in(prng, 2) ? WORLD_REORDERS : 0) |
			 (explore_one_in(prng, 5) ? WORLD_END_OF_FILE : 0) |
			 (explore_one_in(prng, 6) ? WORLD_SMALL_STORE : 0) |
			 (explore_one_in(prng, 4) ? WORLD_NO_KEYRINGD : 0) |
			 (explore_one_in(prng, 3) ? WORLD_DISK_LOSSES : 0) |
			 (explore_one_in(prng, 2) ? WORLD_SMALL_JOURNAL : 0) |
			 (explore_one_in(prng, 3) ? WORLD_LIES : 0) |
			 (explore_one_in(prng, 4) ? WORLD_UNEQUAL : 0) |
			 (explore_one_in(prng, 3) ? WORLD_LENIENT_DEVICE : 0);
}

static bool allows(uint32_t features, unsigned kind)
{
	switch ((enum world_fault)kind) {
	case WORLD_WRONG_PROOF:
	case WORLD_REPLAY:
	case WORLD_FORGE_ANSWER:
	case WORLD_WRONG_FIRST:
		return features & WORLD_LIES;
	case WORLD_DEVICE_UNEQUAL:
		return features & WORLD_UNEQUAL;
	case WORLD_BACK_UP:
	case WORLD_LOSE_DISK:
		return features & WORLD_DISK_LOSSES;
	default:
		return true;
	}
}

static int new (struct explore_course **ret)
{
	struct world *world;
	int r = world_new(&world);

	if (r >= 0)
		*ret = &world->course;
	return r;
}

static void free_world(struct explore_course *course)
{
	world_free(CONTAINER_OF(course, struct world, course));
}

static int run(struct explore_course *course, const struct explore_plan *plan, bool trace)
{
	return world_run(CONTAINER_OF(course, struct world, course), plan, trace);
}

static void report(const struct explore_course *course)
{
	const struct world *world = CONTAINER_OF(course, struct world, course);

	printf("sync: %" PRIu64 " lines written, %" PRIu64 " issued, %" PRIu64 " crashes, %" PRIu64
	       " generations begun anew\n",
	       world->agreed, world->issued, world->crashes, world->retired);
}

const struct explore_subject sync_explore_subject = {
	.name = "sync",
	.kinds = world_kinds,
	.kind_count = ELEMENTSOF(world_kinds),
	.choose = choose,
	.allows = allows,
	.new = new,
	.free = free_world,
	.run = run,
	.report = report,
};
