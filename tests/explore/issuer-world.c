/* SPDX-License-Identifier: MIT */

/*
 * The course of an episode: faults of the plan, then whatever is due next.
 */

#include "tests/explore/issuer-world.h"

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
		issuers_site_crash(site, explore_chance(&world->course, 400) ? MEMORY_CRASH_LOSE
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
		explore_trace(&world->course, "%s: the clock jumps", issuers_names[site->index]);
		site->clock_offset += ((int64_t)fault->argument - 5) * (int64_t)USEC_PER_SEC;
		break;
	case ISSUERS_STALL:
		site->stalled_usec = world->course.now_usec + fault->argument * 100 * USEC_PER_MSEC;
		break;
	case ISSUERS_LATE_KEYS:
		world->keys_usec[site->index] =
			world->course.now_usec + fault->argument * 100 * USEC_PER_MSEC;
		break;
	case ISSUERS_CUT:
	case ISSUERS_FAULTS_:
		issuers_cut(world);
		break;
	}
}

static void disturb(struct issuers *world)
{
	const struct explore_fault *fault;

	while ((fault = explore_next_fault(&world->course)))
		disturb_site(&world->sites[fault->site], fault);
}

/* Steps */

static bool is_up(const struct issuers_site *site)
{
	return site->issuer && site->stalled_usec <= site->world->course.now_usec;
}

/* Whatever linkd has agreed and this site has not heard of yet. */
static void bring_keys(struct issuers *world)
{
	uint64_t batch = world->course.plan->features & ISSUERS_FEW_KEYS ? 3 : 16;

	if (!world->course.is_calm && world->agreed + batch <= ISSUERS_MAX_KEYS)
		world->agreed += explore_choose((unsigned)batch, &world->course);
	for (unsigned i = 0; i < 2; i++) {
		struct issuers_site *site = &world->sites[i];

		if (world->keys_usec[i] > world->course.now_usec)
			continue;
		world->keys_usec[i] =
			world->course.now_usec + prng_below(&world->course.prng, KEYS_USEC);
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
		if (!world->sites[i].issuer &&
		    world->sites[i].restart_usec <= world->course.now_usec)
			issuers_site_start(&world->sites[i]);
	if ((!world->sites[0].end || !world->sites[1].end) &&
	    world->connect_usec <= world->course.now_usec)
		issuers_connect(world);
	else if (frame != SIZE_MAX && world->frames[frame].at_usec <= world->course.now_usec)
		issuers_deliver_frame(world, frame);
	if (MIN(world->keys_usec[0], world->keys_usec[1]) <= world->course.now_usec)
		bring_keys(world);
}

static void step(struct issuers *world)
{
	unsigned first;
	uint64_t next;

	explore_step_begin(&world->course);
	disturb(world);
	if (!world->course.is_calm && explore_chance(&world->course, 150))
		issuers_ask(&world->sites[explore_choose(2, &world->course)]);
	if (explore_chance(&world->course, 300))
		issuers_helper(world);
	first = explore_choose(2, &world->course);
	if (explore_chance(&world->course, 300) ||
	    (!issuers_site_run(&world->sites[first]) && !issuers_site_run(&world->sites[!first])))
		advance(world);
	next = next_time(world);
	if (!world->course.is_calm && next > world->course.now_usec + ASK_USEC)
		next = world->course.now_usec +
		       prng_below(&world->course.prng, ASK_USEC); /* people ask */
	world->course.now_usec = MAX(world->course.now_usec, next);
	issuers_check_deadlines(world);
	explore_step_end(&world->course);
}

/* Episodes */

static void begin(struct issuers *world, const struct explore_plan *plan, bool trace)
{
	explore_begin(&world->course, plan);
	for (unsigned i = 0; i < 2; i++) {
		world->sites[i].world = world;
		world->sites[i].index = i;
		issuers_site_begin(&world->sites[i]);
	}
	world->course.is_traced = trace;
	world->connect_usec = 0;
	world->keys_usec[0] = world->keys_usec[1] = 0;
	world->agreed = plan->features & ISSUERS_FEW_KEYS ? 6 : 60;
	issuers_people_begin(world);
}

/* Every other episode ends without a last kill, so that what is under way comes to its end. */
static void calm(struct issuers *world)
{
	explore_trace(&world->course, "from here on nothing fails");
	world->course.is_calm = true;
	for (unsigned i = 0; i < 2; i++) {
		struct issuers_site *site = &world->sites[i];

		site->stalled_usec = MIN(site->stalled_usec, world->course.now_usec);
		if (site->issuer && world->course.plan->seed % 2 == 0)
			issuers_site_crash(site, MEMORY_CRASH_PROCESS);
		memory_storage_power_on(site->disk);
	}
}

int issuers_run(struct issuers *world, const struct explore_plan *plan, bool trace)
{
	uint64_t end;

	begin(world, plan, trace);
	while (world->course.step < plan->steps && !world->course.violation[0])
		step(world);
	calm(world);
	end = world->course.now_usec + SETTLE_USEC;
	for (unsigned i = 0;
	     i < SETTLE_STEPS && world->course.now_usec < end && !world->course.violation[0]; i++)
		step(world);
	if (!world->course.violation[0])
		issuers_check_settled(world);
	return world->course.violation[0] ? -1 : 0;
}

int issuers_new(struct issuers **ret)
{
	struct issuers *world = calloc(1, sizeof(*world));

	if (!world)
		return -ENOMEM;
	log_set_max_level(LOG_EMERG - 1);
	(void)id_table_seed(); /* once in a process: before any dice, so that it is always the same
				*/
	fake_loop_set_dice(&world->course.prng);
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
