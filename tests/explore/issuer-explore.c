/* SPDX-License-Identifier: MIT */

/*
 * Two issuers as a subject of exploration.
 */

#include <inttypes.h>
#include <stdio.h>

#include "tests/explore/issuer-world.h"

#define STEPS_MIN 100
#define STEPS_MAX 1500

static void choose(struct prng *prng, struct explore_plan *plan)
{
	plan->steps = STEPS_MIN + (uint32_t)prng_below(prng, STEPS_MAX - STEPS_MIN);
	plan->features = (explore_one_in(prng, 3) ? ISSUERS_SHORT_LABELS : 0) |
			 (explore_one_in(prng, 3) ? ISSUERS_SHORT_RESERVATIONS : 0) |
			 (explore_one_in(prng, 2) ? ISSUERS_FEW_KEYS : 0) |
			 (explore_one_in(prng, 2) ? ISSUERS_SIZES : 0);
}

static int new (struct explore_course **ret)
{
	struct issuers *world;
	int r = issuers_new(&world);

	if (r >= 0)
		*ret = &world->course;
	return r;
}

static void free_world(struct explore_course *course)
{
	issuers_free(CONTAINER_OF(course, struct issuers, course));
}

static int run(struct explore_course *course, const struct explore_plan *plan, bool trace)
{
	return issuers_run(CONTAINER_OF(course, struct issuers, course), plan, trace);
}

static void report(const struct explore_course *course)
{
	const struct issuers *world = CONTAINER_OF(course, struct issuers, course);

	printf("issuer: %" PRIu64 " keys handed out, %" PRIu64 " at both sites, %" PRIu64
	       " crashes\n",
	       world->delivered, world->pairs, world->crashes);
}

const struct explore_subject issuer_explore_subject = {
	.name = "issuer",
	.kinds = issuers_kinds,
	.kind_count = ELEMENTSOF(issuers_kinds),
	.choose = choose,
	.new = new,
	.free = free_world,
	.run = run,
	.report = report,
};
