/* SPDX-License-Identifier: MIT */

/*
 * Runs episodes one after the other and tells what reproduces a violation; the programs' common
 * main().
 */

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "tests/explore/explore.h"

static void tell(const struct explore_subject *subject, struct explore_course *course,
		 struct explore_plan *plan)
{
	unsigned trials = explore_shrink(subject, course, plan);

	fprintf(stderr, "\nshrunk in %u trials to ", trials);
	explore_plan_print(subject, plan);
	fprintf(stderr, "what happens then:\n");
	(void)subject->run(course, plan, true);
	fprintf(stderr, "violated: %s\n", course->violation);
}

static int run_episodes(const struct explore_subject *subject, struct explore_course *course,
			uint64_t steps, bool shrink, struct explore_result *ret)
{
	struct explore_plan *plan = malloc(sizeof(*plan));
	uint64_t before = course->steps;

	if (!plan)
		return -ENOMEM;
	do {
		explore_plan_make(subject, ret->seed, plan);
		ret->is_violated = subject->run(course, plan, getenv("EXPLORE_TRACE")) < 0;
		ret->episodes++;
		ret->steps = course->steps - before;
		if (!ret->is_violated)
			ret->seed++;
	} while (!ret->is_violated && ret->steps < steps);
	if (ret->is_violated) {
		snprintf(ret->violation, sizeof(ret->violation), "%s", course->violation);
		fprintf(stderr, "%s: seed %" PRIu64 ", step %" PRIu64 ": %s\n", subject->name,
			ret->seed, ret->steps, ret->violation);
		if (shrink)
			tell(subject, course, plan);
	}
	free(plan);
	return 0;
}

int explore_run(const struct explore_subject *subject, uint64_t first_seed, uint64_t steps,
		bool shrink, struct explore_result *ret)
{
	struct explore_result result = {.seed = first_seed};
	struct explore_course *course;
	int r;

	r = subject->new (&course);
	if (r < 0)
		return r;
	r = run_episodes(subject, course, steps, shrink, &result);
	if (r >= 0 && !result.is_violated && subject->report)
		subject->report(course);
	subject->free(course);
	*ret = result;
	return r;
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static double cpu_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

int explore_main(const struct explore_subject *subject, uint64_t default_steps)
{
	uint64_t seed = environment_number("EXPLORE_SEED", 1);
	uint64_t steps = environment_number("EXPLORE_STEPS", default_steps);
	double seconds = cpu_seconds();
	struct explore_result result;

	if (explore_run(subject, seed, steps, environment_number("EXPLORE_SHRINK", 1), &result) <
	    0) {
		fprintf(stderr, "%s: not enough memory\n", subject->name);
		return EXIT_FAILURE;
	}
	seconds = cpu_seconds() - seconds;
	if (result.is_violated) {
		printf("%s: violated at step %" PRIu64 ", seed %" PRIu64 ": %s\n", subject->name,
		       result.steps, result.seed, result.violation);
		fprintf(stderr, "again: EXPLORE_SEED=%" PRIu64 " EXPLORE_STEPS=1\n", result.seed);
		return EXIT_FAILURE;
	}
	printf("%s: %" PRIu64 " steps, seeds %" PRIu64 " to %" PRIu64
	       ", 0 violations, %.0f steps/s\n",
	       subject->name, result.steps, seed, result.seed - 1,
	       (double)result.steps / MAX(seconds, 1e-3));
	return EXIT_SUCCESS;
}
