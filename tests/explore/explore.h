/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Exploration: a subject (a simulated world around real code) is run episode by episode, each from
 * one seed, with a plan of faults that the seed gives; a violation is shrunk to a short plan and
 * told message by message.
 *
 * A plan is data, not dice thrown on the way, so that a fault can be left out and all others still
 * come where they came; for the same reason a world throws its own dice anew at every step, from
 * the seed and the step's number (explore_dice()).
 */

#include <stdio.h>

#include "common/macros.h"
#include "common/prng.h"

#define EXPLORE_MAX_FAULTS 2048

struct explore_fault {
	uint32_t step;
	uint8_t kind; /* the subject's */
	uint8_t site;
	uint32_t argument;
};

struct explore_plan {
	uint64_t seed;
	uint32_t steps;    /* with faults; calm follows */
	uint32_t features; /* the subject's */
	size_t count;
	struct explore_fault faults[EXPLORE_MAX_FAULTS]; /* by step */
};

/* A kind of fault: how often it comes, where the plan has it at all. */
struct explore_kind {
	const char *name;
	unsigned per_10000_steps;
	uint32_t argument_limit; /* its argument is below; 0: it has none */
	bool has_site;
};

/* What every world has of the episode that is run. */
struct explore_course {
	const struct explore_plan *plan;
	size_t next_fault; /* of the plan */
	struct prng prng;  /* the dice of this step */
	uint64_t now_usec, step;
	uint64_t steps; /* of all episodes so far */
	bool is_calm;   /* no more faults: everything has to settle */
	bool is_traced;
	char violation[200]; /* "" while all is well */
};

struct explore_subject {
	const char *name;
	const struct explore_kind *kinds;
	size_t kind_count;
	/* What the seed gives besides the faults: steps and features. */
	void (*choose)(struct prng *prng, struct explore_plan *plan);
	/* May a fault of this kind be in a plan with these features? NULL: any may. */
	bool (*allows)(uint32_t features, unsigned kind);
	int (*new)(struct explore_course **ret); /* a world's */
	void (*free)(struct explore_course *course);
	/* 0, or -1 when something was violated. trace: tell every event to standard error. */
	int (*run)(struct explore_course *course, const struct explore_plan *plan, bool trace);
	void (*report)(const struct explore_course
			       *course); /* figures of its own to standard output, or NULL */
};

struct explore_result {
	uint64_t seed;     /* the one that failed, or the one after the last */
	uint64_t steps;    /* taken */
	uint64_t episodes; /* run */
	bool is_violated;
	char violation[256];
};

/* Episodes from the first seed on until so many steps are done, or one is violated. */
int explore_run(const struct explore_subject *subject, uint64_t first_seed, uint64_t steps,
		bool shrink, struct explore_result *ret);
/* The program: EXPLORE_SEED, EXPLORE_STEPS, EXPLORE_SHRINK=0 in the environment; with EXPLORE_TRACE
 * every event is told. */
int explore_main(const struct explore_subject *subject, uint64_t default_steps);

void explore_plan_make(const struct explore_subject *subject, uint64_t seed,
		       struct explore_plan *ret);
void explore_plan_print(const struct explore_subject *subject, const struct explore_plan *plan);
/* Leaves out whatever is not needed for a violation; the world is used for the trials. Answers how
 * many trials it took. */
unsigned explore_shrink(const struct explore_subject *subject, struct explore_course *course,
			struct explore_plan *plan);
/* The dice of one step. */
void explore_dice(const struct explore_plan *plan, uint64_t step, struct prng *ret);

static inline bool explore_one_in(struct prng *prng, unsigned n)
{
	return prng_below(prng, n) == 0;
}

/* For worlds. What an episode begins with; nothing is traced until the world says so. */
void explore_begin(struct explore_course *course, const struct explore_plan *plan);
void explore_step_begin(struct explore_course *course);
void explore_step_end(struct explore_course *course);
/* The next one of this step, or NULL. */
const struct explore_fault *explore_next_fault(struct explore_course *course);
void explore_violation(struct explore_course *course, const char *format, ...) _printf_(2, 3);
void explore_trace(const struct explore_course *course, const char *format, ...) _printf_(2, 3);
/* The step's dice; the first one also for memory_storage_crash(). */
unsigned explore_choose(unsigned count, void *course);
bool explore_chance(struct explore_course *course, unsigned per_thousand);
