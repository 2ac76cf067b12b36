/* SPDX-License-Identifier: MIT */

/*
 * Sites and their paths as a subject of exploration.
 */

#include <inttypes.h>
#include <stdio.h>

#include "tests/explore/relay-world.h"

#define STEPS_MIN 100
#define STEPS_MAX 1500

static void choose(struct prng *prng, struct explore_plan *plan)
{
	plan->steps = STEPS_MIN + (uint32_t)prng_below(prng, STEPS_MAX - STEPS_MIN);
	plan->features = (uint32_t)prng_below(prng, RELAYS_SHAPES_) |
			 (explore_one_in(prng, 3) ? RELAYS_STOCK : 0) |
			 (explore_one_in(prng, 3) ? RELAYS_FEW_KEYS : 0);
}

static int new (struct explore_course **ret)
{
	struct relays *world;
	int r = relays_new(&world);

	if (r >= 0)
		*ret = &world->course;
	return r;
}

static void free_world(struct explore_course *course)
{
	relays_free(CONTAINER_OF(course, struct relays, course));
}

static int run(struct explore_course *course, const struct explore_plan *plan, bool trace)
{
	return relays_run(CONTAINER_OF(course, struct relays, course), plan, trace);
}

static void report(const struct explore_course *course)
{
	const struct relays *world = CONTAINER_OF(course, struct relays, course);

	printf("relay: %" PRIu64 " keys handed out, %" PRIu64 " at both sites, %" PRIu64
	       " answers of relays, %" PRIu64 " lies, %" PRIu64 " generations removed, %" PRIu64
	       " crashes\n",
	       world->delivered, world->pairs, world->relayed, world->lies, world->removed,
	       world->crashes);
}

const struct explore_subject relay_explore_subject = {
	.name = "relay",
	.kinds = relays_kinds,
	.kind_count = ELEMENTSOF(relays_kinds),
	.choose = choose,
	.new = new,
	.free = free_world,
	.run = run,
	.report = report,
};
