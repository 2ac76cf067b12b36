/* SPDX-License-Identifier: MIT */

/*
 * Sites and their paths as a subject of exploration.
 */

#include <inttypes.h>
#include <stdio.h>

#include "tests/explore/relay-world.h"

#define STEPS_MIN 100
#define STEPS_MAX 1500

static bool one_in(struct prng *prng, unsigned n)
{
	return prng_below(prng, n) == 0;
}

static void choose(struct prng *prng, struct explore_plan *plan)
{
	plan->steps = STEPS_MIN + (uint32_t)prng_below(prng, STEPS_MAX - STEPS_MIN);
	plan->features = (uint32_t)prng_below(prng, RELAYS_SHAPES_) |
			 (one_in(prng, 3) ? RELAYS_STOCK : 0) |
			 (one_in(prng, 3) ? RELAYS_FEW_KEYS : 0);
}

static bool allows(uint32_t features, unsigned kind)
{
	return true;
}

static int new (void **ret)
{
	struct relays *world;
	int r = relays_new(&world);

	if (r >= 0)
		*ret = world;
	return r;
}

static void free_world(void *world)
{
	relays_free(world);
}

static int run(void *world, const struct explore_plan *plan, bool trace)
{
	return relays_run(world, plan, trace);
}

static const char *violation(const void *world)
{
	return ((const struct relays *)world)->violation;
}

static uint64_t steps(const void *world)
{
	return ((const struct relays *)world)->steps;
}

static void report(const void *userdata)
{
	const struct relays *world = userdata;

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
	.allows = allows,
	.new = new,
	.free = free_world,
	.run = run,
	.violation = violation,
	.steps = steps,
	.report = report,
};
