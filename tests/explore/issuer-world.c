/* SPDX-License-Identifier: MIT */

/*
 * The course of an episode: faults of the plan, then whatever is due next.
 */

#include "tests/explore/issuer-world.h"

#include <inttypes.h>
#include <stdarg.h>

#include "common/json-text.h"
#include "common/log.h"
#include "qkd-keyringd/id-table.h"

#define SETTLE_STEPS 20000
#define SETTLE_USEC  (20 * USEC_PER_SEC)
#define KEYS_USEC    (300 * USEC_PER_MSEC)
#define ASK_USEC     (20 * USEC_PER_MSEC)

const struct explore_kind issuers_kinds[ISSUERS_FAULTS_] = {
	[ISSUERS_CUT] = {"cut the connection", 60, 0, false},
	[ISSUERS_KILL] = {"kill -9", 40, 0, true},
	[ISSUERS_STOP] = {"stop in order", 20, 0, true},
	[ISSUERS_POWER_CUT] = {"power cut", 40, 0, true},
	[ISSUERS_BLACKOUT] = {"power cut at both sites", 30, 0, false},
	[ISSUERS_STOP_IN_WRITE] = {"stop within a write", 60, 16, true},
	[ISSUERS_SYNC_FAILS] = {"fail an operation of the disk", 15, 16, true},
	[ISSUERS_CLOCK_JUMP] = {"jump the wall clock, seconds less 5", 20, 10, true},
	[ISSUERS_STALL] = {"stall, tenths of a second", 30, 30, true},
	[ISSUERS_LATE_KEYS] = {"keys come late, tenths of a second", 60, 30, true},
};

void issuers_violation(struct issuers *world, const char *format, ...)
{
	va_list arguments;

	if (world->violation[0])
		return;
	va_start(arguments, format);
	vsnprintf(world->violation, sizeof(world->violation), format, arguments);
	va_end(arguments);
}

void issuers_trace(const struct issuers *world, const char *format, ...)
{
	va_list arguments;

	if (!world->is_traced)
		return;
	fprintf(stderr, "%5" PRIu64 " %9.3f  ", world->step,
		(double)world->now_usec / (double)USEC_PER_SEC);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

unsigned issuers_choose(unsigned count, void *userdata)
{
	return (unsigned)prng_below(&((struct issuers *)userdata)->prng, count);
}

bool issuers_chance(struct issuers *world, unsigned per_thousand)
{
	return prng_below(&world->prng, 1000) < per_thousand;
}

/* Faults */

static void disturb_site(struct issuers_site *site, const struct explore_fault *fault)
{
	struct issuers *world = site->world;

	switch ((enum issuers_fault)fault->kind) {
	case ISSUERS_KILL:
		if (site->issuer)
			issuers_site_crash(site, MEMORY_CRASH_PROCESS);
		break;
	case ISSUERS_STOP:
		issuers_site_stop(site);
		break;
	case ISSUERS_POWER_CUT:
		issuers_site_crash(site, issuers_chance(world, 400) ? MEMORY_CRASH_LOSE
								    : MEMORY_CRASH_CHOOSE);
		break;
	case ISSUERS_BLACKOUT:
		for (unsigned i = 0; i < 2; i++)
			issuers_site_crash(&world->sites[i], MEMORY_CRASH_LOSE);
		break;
	case ISSUERS_STOP_IN_WRITE:
		memory_storage_power_off_at(site->disk, fault->argument);
		break;
	case ISSUERS_SYNC_FAILS:
		site->is_disk_faulty = true;
		memory_storage_fail_at(site->disk, fault->argument, -EIO);
		break;
	case ISSUERS_CLOCK_JUMP:
		issuers_trace(world, "%s: the clock jumps", issuers_names[site->index]);
		site->clock_offset += ((int64_t)fault->argument - 5) * (int64_t)USEC_PER_SEC;
		break;
	case ISSUERS_STALL:
		site->stalled_usec = world->now_usec + fault->argument * 100 * USEC_PER_MSEC;
		break;
	case ISSUERS_LATE_KEYS:
		world->keys_usec[site->index] =
			world->now_usec + fault->argument * 100 * USEC_PER_MSEC;
		break;
	case ISSUERS_CUT:
	case ISSUERS_FAULTS_:
		issuers_cut(world);
		break;
	}
}

static void disturb(struct issuers *world)
{
	const struct explore_plan *plan = world->plan;

	for (; !world->is_calm && world->next_fault < plan->count; world->next_fault++) {
		const struct explore_fault *fault = &plan->faults[world->next_fault];

		if (fault->step > world->step)
			return;
		disturb_site(&world->sites[fault->site], fault);
	}
}

/* Steps */

static bool is_up(const struct issuers_site *site)
{
	return site->issuer && site->stalled_usec <= site->world->now_usec;
}

/* Whatever linkd has agreed and this site has not heard of yet. */
static void bring_keys(struct issuers *world)
{
	uint64_t batch = world->plan->features & ISSUERS_FEW_KEYS ? 3 : 16;

	if (!world->is_calm && world->agreed + batch <= ISSUERS_MAX_KEYS)
		world->agreed += issuers_choose((unsigned)batch, world);
	for (unsigned i = 0; i < 2; i++) {
		struct issuers_site *site = &world->sites[i];

		if (world->keys_usec[i] > world->now_usec)
			continue;
		world->keys_usec[i] = world->now_usec + prng_below(&world->prng, KEYS_USEC);
		issuers_add_keys(site, world->agreed - site->lines);
	}
}

static size_t next_frame(const struct issuers *world)
{
	size_t next = SIZE_MAX;

	for (size_t i = 0; i < world->frame_count; i++)
		if (is_up(world->frames[i].to->site) &&
		    (next == SIZE_MAX || world->frames[i].at_usec < world->frames[next].at_usec))
			next = i;
	return next;
}

static uint64_t next_time(struct issuers *world)
{
	size_t frame = next_frame(world);
	uint64_t at = MIN(world->keys_usec[0], world->keys_usec[1]);

	if (frame != SIZE_MAX)
		at = MIN(at, world->frames[frame].at_usec);
	if (!world->sites[0].end || !world->sites[1].end)
		at = MIN(at, world->connect_usec);
	for (unsigned i = 0; i < 2; i++) {
		struct issuers_site *site = &world->sites[i];

		issuers_site_enter(site);
		if (!site->issuer)
			at = MIN(at, site->restart_usec);
		else if (!is_up(site))
			at = MIN(at, site->stalled_usec);
		else
			at = MIN(at, fake_loop_next(site->event));
	}
	return at;
}

/* What is due besides the loops. */
static void advance(struct issuers *world)
{
	size_t frame = next_frame(world);

	for (unsigned i = 0; i < 2; i++)
		if (!world->sites[i].issuer && world->sites[i].restart_usec <= world->now_usec)
			issuers_site_start(&world->sites[i]);
	if ((!world->sites[0].end || !world->sites[1].end) &&
	    world->connect_usec <= world->now_usec)
		issuers_connect(world);
	else if (frame != SIZE_MAX && world->frames[frame].at_usec <= world->now_usec)
		issuers_deliver_frame(world, frame);
	if (MIN(world->keys_usec[0], world->keys_usec[1]) <= world->now_usec)
		bring_keys(world);
}

static void step(struct issuers *world)
{
	unsigned first;
	uint64_t next;

	explore_dice(world->plan, world->step, &world->prng);
	disturb(world);
	if (!world->is_calm && issuers_chance(world, 150))
		issuers_ask(&world->sites[issuers_choose(2, world)]);
	if (issuers_chance(world, 300))
		issuers_helper(world);
	first = issuers_choose(2, world);
	if (issuers_chance(world, 300) ||
	    (!issuers_site_run(&world->sites[first]) && !issuers_site_run(&world->sites[!first])))
		advance(world);
	next = next_time(world);
	if (!world->is_calm && next > world->now_usec + ASK_USEC)
		next = world->now_usec + prng_below(&world->prng, ASK_USEC); /* people ask */
	world->now_usec = MAX(world->now_usec, next);
	issuers_check_deadlines(world);
	world->step++;
	world->steps++;
}

/* Episodes */

static void begin(struct issuers *world, const struct explore_plan *plan, bool trace)
{
	explore_dice(plan, UINT32_MAX, &world->prng);
	world->plan = plan;
	world->is_traced = false;
	world->now_usec = USEC_PER_SEC;
	for (unsigned i = 0; i < 2; i++) {
		world->sites[i].world = world;
		world->sites[i].index = i;
		issuers_site_begin(&world->sites[i]);
	}
	world->is_traced = trace;
	world->is_calm = false;
	world->step = world->next_fault = world->connect_usec = 0;
	world->keys_usec[0] = world->keys_usec[1] = 0;
	world->agreed = plan->features & ISSUERS_FEW_KEYS ? 6 : 60;
	world->violation[0] = '\0';
	issuers_people_begin(world);
}

/* Every other episode ends without a last kill, so that what is under way comes to its end. */
static void calm(struct issuers *world)
{
	issuers_trace(world, "from here on nothing fails");
	world->is_calm = true;
	for (unsigned i = 0; i < 2; i++) {
		struct issuers_site *site = &world->sites[i];

		site->stalled_usec = MIN(site->stalled_usec, world->now_usec);
		if (site->issuer && world->plan->seed % 2 == 0)
			issuers_site_crash(site, MEMORY_CRASH_PROCESS);
		memory_storage_power_on(site->disk);
	}
}

int issuers_run(struct issuers *world, const struct explore_plan *plan, bool trace)
{
	uint64_t end;

	begin(world, plan, trace);
	while (world->step < plan->steps && !world->violation[0])
		step(world);
	calm(world);
	end = world->now_usec + SETTLE_USEC;
	for (unsigned i = 0; i < SETTLE_STEPS && world->now_usec < end && !world->violation[0]; i++)
		step(world);
	if (!world->violation[0])
		issuers_check_settled(world);
	return world->violation[0] ? -1 : 0;
}

int issuers_new(struct issuers **ret)
{
	struct issuers *world = calloc(1, sizeof(*world));

	if (!world)
		return -ENOMEM;
	log_set_max_level(LOG_EMERG - 1);
	(void)id_table_seed(); /* once in a process: before any dice, so that it is always the same
				*/
	fake_loop_set_dice(&world->prng);
	for (unsigned i = 0; i < 2; i++)
		if (memory_storage_new(&world->sites[i].disk) < 0 ||
		    sd_event_new(&world->sites[i].event) < 0) {
			issuers_free(world);
			return -ENOMEM;
		}
	*ret = world;
	return 0;
}

void issuers_free(struct issuers *world)
{
	for (unsigned i = 0; i < 2; i++) {
		if (world->sites[i].issuer)
			issuers_site_crash(&world->sites[i], MEMORY_CRASH_PROCESS);
		memory_storage_free(world->sites[i].disk);
		sd_event_unref(world->sites[i].event);
	}
	fake_loop_set_dice(NULL);
	free(world);
}
