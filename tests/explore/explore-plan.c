/* SPDX-License-Identifier: MIT */

/*
 * Makes the plan of an episode from its seed. Each plan has some kinds of faults only, and each at
 * a rate of its own: rare combinations are found by plans that do little else.
 */

#include <inttypes.h>
#include <stdlib.h>

#include "tests/explore/explore.h"

#define PLAN_DICE UINT64_C(0x706c616e)

void explore_dice(const struct explore_plan *plan, uint64_t step, struct prng *ret)
{
	prng_init(ret, prng_mix(plan->seed) + step);
}

static void add_fault(struct prng *prng, const struct explore_kind *kind, unsigned number,
		      struct explore_plan *plan)
{
	struct explore_fault *fault = &plan->faults[plan->count];

	if (plan->count == EXPLORE_MAX_FAULTS)
		return;
	*fault = (struct explore_fault){
		.step = (uint32_t)prng_below(prng, plan->steps),
		.kind = (uint8_t)number,
		.site = kind->has_site ? (uint8_t)prng_below(prng, 2) : 0,
		.argument = kind->argument_limit ? (uint32_t)prng_below(prng, kind->argument_limit)
						 : 0,
	};
	plan->count++;
}

static int compare_faults(const void *a, const void *b)
{
	const struct explore_fault *x = a, *y = b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	return (x->argument > y->argument) - (x->argument < y->argument);
}

void explore_plan_make(const struct explore_subject *subject, uint64_t seed,
		       struct explore_plan *ret)
{
	struct prng prng;

	prng_init(&prng, prng_mix(seed ^ PLAN_DICE));
	ret->seed = seed;
	ret->count = 0;
	ret->features = 0;
	subject->choose(&prng, ret);
	for (unsigned i = 0; i < subject->kind_count; i++) {
		const struct explore_kind *kind = &subject->kinds[i];
		bool is_in = prng_below(&prng, 5) < 2;
		uint64_t rate = kind->per_10000_steps << prng_below(&prng, 3);
		uint64_t count = ret->steps * rate / 10000 + prng_below(&prng, 2);

		if (!is_in || (subject->allows && !subject->allows(ret->features, i)))
			continue;
		for (uint64_t k = 0; k < count; k++)
			add_fault(&prng, kind, i, ret);
	}
	qsort(ret->faults, ret->count, sizeof(ret->faults[0]), compare_faults);
}

void explore_plan_print(const struct explore_subject *subject, const struct explore_plan *plan)
{
	fprintf(stderr, "seed %" PRIu64 ", %u steps, features 0x%x, %zu faults:\n", plan->seed,
		plan->steps, plan->features, plan->count);
	for (size_t i = 0; i < plan->count; i++) {
		const struct explore_fault *fault = &plan->faults[i];
		const struct explore_kind *kind = &subject->kinds[fault->kind];

		fprintf(stderr, "  step %u: %s", fault->step, kind->name);
		if (kind->has_site)
			fprintf(stderr, " at %s", fault->site ? "bob" : "alice");
		if (kind->argument_limit)
			fprintf(stderr, " (%u)", fault->argument);
		fputc('\n', stderr);
	}
}
