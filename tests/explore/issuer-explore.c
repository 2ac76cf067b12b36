/* SPDX-License-Identifier: MIT */

/*
 * Two issuers as a subject of exploration.
 */

#include <inttypes.h>
#include <stdio.h>

#include "tests/explore/issuer-world.h"

#define STEPS_MIN 100
#define STEPS_MAX 1500

static bool one_in(struct prng *prng, unsigned n)
{
	return prng_below(prng, n) == 0;
}

static void choose(struct prng *prng, struct explore_plan *plan)
{
	plan->steps = STEPS_MIN + (uint32_t)prng_below(prng, STEPS_MAX - STEPS_MIN);
	plan->features = (one_in(prng, 3) ? ISSUERS_SHORT_LABELS : 0) |
			 (one_in(prng, 3) ? ISSUERS_SHORT_RESERVATIONS : 0) |
			 (one_in(prng, 2) ? ISSUERS_FEW_KEYS : 0) |
			 (one_in(prng, 2) ? ISSUERS_SIZES : 0);
}

static bool allows(uint32_t features, unsigned kind)
{
	return true;
}

static int new (void **ret)
{
	struct issuers *world;
	int r = issuers_new(&world);

	if (r >= 0)
		*ret = world;
	return r;
}

static void free_world(void *world)
{
	issuers_free(world);
}

static int run(void *world, const struct explore_plan *plan, bool trace)
{
	return issuers_run(world, plan, trace);
}

static const char *violation(const void *world)
{
	return ((const struct issuers *)world)->violation;
}

static uint64_t steps(const void *world)
{
	return ((const struct issuers *)world)->steps;
}

static void report(const void *userdata)
{
	const struct issuers *world = userdata;

	printf("issuer: %" PRIu64 " keys handed out, %" PRIu64 " at both sites, %" PRIu64
	       " crashes\n",
	       world->delivered, world->pairs, world->crashes);
}

const struct explore_subject issuer_explore_subject = {
	.name = "issuer",
	.kinds = issuers_kinds,
	.kind_count = ELEMENTSOF(issuers_kinds),
	.choose = choose,
	.allows = allows,
	.new = new,
	.free = free_world,
	.run = run,
	.violation = violation,
	.steps = steps,
	.report = report,
};
