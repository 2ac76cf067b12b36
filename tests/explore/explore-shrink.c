/* SPDX-License-Identifier: MIT */

/*
 * Shrinks a plan that ends in a violation: fewer steps, then fewer faults, by leaving out ever
 * smaller parts (Zeller's delta debugging), until nothing more can go. Any violation will do: the
 * shortest way to one is the most readable.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/explore/explore.h"

#define MAX_TRIALS 4000

struct shrink {
	const struct explore_subject *subject;
	struct explore_course *course;
	struct explore_plan *plan; /* fails */
	struct explore_plan *trial;
	unsigned trials;
};

/* Keeps the trial when it still fails. */
static bool try_trial(struct shrink *shrink)
{
	if (shrink->trials == MAX_TRIALS)
		return false;
	shrink->trials++;
	if (shrink->subject->run(shrink->course, shrink->trial, false) == 0)
		return false;
	memcpy(shrink->plan, shrink->trial, sizeof(*shrink->plan));
	return true;
}

static void copy_without(struct shrink *shrink, size_t first, size_t count)
{
	struct explore_plan *trial = shrink->trial;

	memcpy(trial, shrink->plan, sizeof(*trial));
	memmove(&trial->faults[first], &trial->faults[first + count],
		(trial->count - first - count) * sizeof(trial->faults[0]));
	trial->count -= count;
}

static bool try_steps(struct shrink *shrink, uint32_t steps)
{
	struct explore_plan *trial = shrink->trial;

	memcpy(trial, shrink->plan, sizeof(*trial));
	trial->steps = steps;
	while (trial->count > 0 && trial->faults[trial->count - 1].step >= steps)
		trial->count--;
	return try_trial(shrink);
}

static bool shrink_steps(struct shrink *shrink)
{
	bool is_shorter = false;

	for (uint32_t part = shrink->plan->steps / 2; part > 0; part /= 2)
		while (shrink->plan->steps > part && try_steps(shrink, shrink->plan->steps - part))
			is_shorter = true;
	return is_shorter;
}

static bool shrink_faults(struct shrink *shrink)
{
	bool is_shorter = false;

	for (size_t part = MAX(shrink->plan->count / 2, (size_t)1); part > 0; part /= 2)
		for (size_t first = 0; first + part <= shrink->plan->count;) {
			copy_without(shrink, first, part);
			if (try_trial(shrink))
				is_shorter = true;
			else
				first += part;
		}
	return is_shorter;
}

unsigned explore_shrink(const struct explore_subject *subject, struct explore_course *course,
			struct explore_plan *plan)
{
	struct shrink shrink = {
		.subject = subject,
		.course = course,
		.plan = plan,
		.trial = malloc(sizeof(*plan)),
	};

	if (!shrink.trial)
		return 0;
	while (shrink_steps(&shrink) | shrink_faults(&shrink))
		;
	free(shrink.trial);
	return shrink.trials;
}
