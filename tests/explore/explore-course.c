/* SPDX-License-Identifier: MIT */
/* What every world's episode has: its clock, its dice, its plan, and what was seen to be wrong. */

#include <inttypes.h>
#include <stdarg.h>

#include "tests/explore/explore.h"

void explore_begin(struct explore_course *course, const struct explore_plan *plan)
{
	uint64_t steps = course->steps;

	*course = (struct explore_course){.plan = plan, .now_usec = USEC_PER_SEC, .steps = steps};
	explore_dice(plan, UINT32_MAX, &course->prng);
}

void explore_step_begin(struct explore_course *course)
{
	explore_dice(course->plan, course->step, &course->prng);
}

void explore_step_end(struct explore_course *course)
{
	course->step++;
	course->steps++;
}

const struct explore_fault *explore_next_fault(struct explore_course *course)
{
	const struct explore_plan *plan = course->plan;

	if (course->is_calm || course->next_fault == plan->count ||
	    plan->faults[course->next_fault].step > course->step)
		return NULL;
	return &plan->faults[course->next_fault++];
}

void explore_violation(struct explore_course *course, const char *format, ...)
{
	va_list arguments;

	if (course->violation[0])
		return;
	va_start(arguments, format);
	vsnprintf(course->violation, sizeof(course->violation), format, arguments);
	va_end(arguments);
}

void explore_trace(const struct explore_course *course, const char *format, ...)
{
	va_list arguments;

	if (!course->is_traced)
		return;
	fprintf(stderr, "%5" PRIu64 " %9.3f  ", course->step,
		(double)course->now_usec / (double)USEC_PER_SEC);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

unsigned explore_choose(unsigned count, void *course)
{
	return (unsigned)prng_below(&((struct explore_course *)course)->prng, count);
}

bool explore_chance(struct explore_course *course, unsigned per_thousand)
{
	return prng_below(&course->prng, 1000) < per_thousand;
}
