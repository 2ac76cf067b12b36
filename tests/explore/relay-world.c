/* SPDX-License-Identifier: MIT */

/*
 * The course of an episode: faults of the plan, then whatever is due next.
 */

#include "tests/explore/relay-world.h"

#include "common/json-text.h"
#include "common/log.h"
#include "qkd-keyringd/id-table.h"

#define SETTLE_STEPS 30000
#define LAST_TRIES   12
#define SETTLE_USEC  (120 * USEC_PER_SEC)
#define KEYS_USEC    (300 * USEC_PER_MSEC)
#define ASK_USEC     (20 * USEC_PER_MSEC)

const struct explore_kind relays_kinds[RELAYS_FAULTS_] = {
	[RELAYS_CUT] = {"cut a connection", 80, RELAYS_SITES *RELAYS_SITES, false},
	[RELAYS_KILL] = {"kill -9, site", 40, RELAYS_SITES, false},
	[RELAYS_POWER_CUT] = {"power cut, site", 40, RELAYS_SITES, false},
	[RELAYS_STOP_IN_WRITE] = {"stop within a write, site", 40, RELAYS_SITES * 16, false},
	[RELAYS_STALL] = {"stall, site and tenths of a second", 30, RELAYS_SITES * 40, false},
	[RELAYS_LATE_KEYS] = {"keys come late, site and tenths of a second", 60, RELAYS_SITES * 40,
			      false},
	[RELAYS_LIE] = {"a relay lies, site", 40, RELAYS_SITES, false},
	[RELAYS_FORGET_PATH] = {"a path is forgotten, site", 20, RELAYS_SITES, false},
};

/* Faults */

static void late_keys(struct relays_site *site, uint32_t argument)
{
	for (unsigned i = 0; i < RELAYS_SITES; i++)
		site->keys_usec[i] = site->world->course.now_usec + argument * 100 * USEC_PER_MSEC;
}

static void disturb_site(struct relays_site *site, enum relays_fault kind, uint32_t argument)
{
	struct relays *world = site->world;

	switch (kind) {
	case RELAYS_CUT:
		if (argument % world->site_count != site->index)
			relays_cut(world, site->index, argument % world->site_count);
		break;
	case RELAYS_KILL:
		if (site->issuer)
			relays_site_crash(site, MEMORY_CRASH_PROCESS);
		break;
	case RELAYS_POWER_CUT:
		relays_site_crash(site, explore_chance(&world->course, 600) ? MEMORY_CRASH_LOSE
									    : MEMORY_CRASH_CHOOSE);
		break;
	case RELAYS_STOP_IN_WRITE:
		memory_storage_power_off_at(site->disk, argument);
		break;
	case RELAYS_STALL:
		site->stalled_usec = world->course.now_usec + argument * 100 * USEC_PER_MSEC;
		break;
	case RELAYS_LATE_KEYS:
		late_keys(site, argument);
		break;
	case RELAYS_LIE:
		site->lies = true;
		break;
	case RELAYS_FORGET_PATH:
	case RELAYS_FAULTS_:
		relays_forget_path(site);
		break;
	}
}

static void disturb(struct relays *world)
{
	const struct explore_fault *fault;

	while ((fault = explore_next_fault(&world->course)))
		disturb_site(&world->sites[fault->argument % world->site_count],
			     (enum relays_fault)fault->kind, fault->argument / world->site_count);
}

/* Steps */

static bool is_up(const struct relays_site *site)
{
	return site->issuer && site->stalled_usec <= site->world->course.now_usec;
}

static void agree(struct relays *world, unsigned link, uint64_t count)
{
	world->agreed[link] = MIN(world->agreed[link] + count, (uint64_t)RELAYS_MAX_KEYS);
}

/* Whatever linkd has agreed and this site has not heard of yet. */
static void bring_keys(struct relays_site *site, unsigned peer)
{
	struct relays *world = site->world;
	unsigned batch = world->course.plan->features & RELAYS_FEW_KEYS ? 6 : 24;

	if (world->shape == RELAYS_DIRECT && site->index + peer == 2) /* of the ends */
		batch = 2;
	if (!world->course.is_calm)
		agree(world, relays_link(site->index, peer), explore_choose(batch, &world->course));
	site->keys_usec[peer] = world->course.now_usec + prng_below(&world->course.prng, KEYS_USEC);
	relays_add_keys(site, peer);
}

static void bring_due_keys(struct relays *world)
{
	for (unsigned i = 0; i < world->site_count; i++)
		for (unsigned j = 0; j < world->site_count; j++)
			if (i != j && relays_has_link(world, i, j) &&
			    world->sites[i].keys_usec[j] <= world->course.now_usec)
				bring_keys(&world->sites[i], j);
}

static uint64_t next_keys(const struct relays *world)
{
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; i < world->site_count; i++)
		for (unsigned j = 0; j < world->site_count; j++)
			if (i != j && relays_has_link(world, i, j) &&
			    (!world->course.is_calm ||
			     world->sites[i].lines[j] < world->agreed[relays_link(i, j)]))
				at = MIN(at, world->sites[i].keys_usec[j]);
	return at;
}

static uint64_t next_connection(const struct relays *world)
{
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; i < world->site_count; i++)
		for (unsigned j = 0; j < i; j++)
			if (!world->sites[i].ends[j] || !world->sites[j].ends[i])
				at = MIN(at, world->connect_usec[relays_link(i, j)]);
	return at;
}

static uint64_t next_of(struct relays_site *site)
{
	relays_site_enter(site);
	if (!site->issuer)
		return site->restart_usec;
	return is_up(site) ? fake_loop_next(site->event) : site->stalled_usec;
}

static uint64_t next_time(struct relays *world)
{
	size_t frame = relays_next_frame(world);
	uint64_t at = MIN(next_connection(world), next_keys(world));

	if (frame != SIZE_MAX)
		at = MIN(at, world->frames[frame].at_usec);
	for (unsigned i = 0; i < world->site_count; i++)
		at = MIN(at, next_of(&world->sites[i]));
	return at;
}

static void connect_due(struct relays *world)
{
	for (unsigned i = 0; i < world->site_count; i++)
		for (unsigned j = 0; j < i; j++)
			if ((!world->sites[i].ends[j] || !world->sites[j].ends[i]) &&
			    world->connect_usec[relays_link(i, j)] <= world->course.now_usec)
				relays_connect(world, i, j);
}

/* What is due besides the loops. */
static void advance(struct relays *world)
{
	size_t frame;

	for (unsigned i = 0; i < world->site_count; i++)
		if (!world->sites[i].issuer &&
		    world->sites[i].restart_usec <= world->course.now_usec)
			relays_site_start(&world->sites[i]);
	connect_due(world);
	frame = relays_next_frame(world);
	if (frame != SIZE_MAX && world->frames[frame].at_usec <= world->course.now_usec)
		relays_deliver_frame(world, frame);
	bring_due_keys(world);
}

static bool run_some_site(struct relays *world)
{
	unsigned first = explore_choose(world->site_count, &world->course);

	for (unsigned i = 0; i < world->site_count; i++)
		if (relays_site_run(&world->sites[(first + i) % world->site_count]))
			return true;
	return false;
}

static void step(struct relays *world)
{
	uint64_t next;

	explore_step_begin(&world->course);
	disturb(world);
	if (!world->course.is_calm && explore_chance(&world->course, 100))
		relays_ask(world);
	if (world->course.is_calm || explore_chance(&world->course, 300))
		relays_helper(world);
	if (explore_chance(&world->course, 300) || !run_some_site(world))
		advance(world);
	next = MIN(next_time(world), world->course.now_usec + USEC_PER_SEC);
	if (!world->course.is_calm && next > world->course.now_usec + ASK_USEC)
		next = world->course.now_usec +
		       prng_below(&world->course.prng, ASK_USEC); /* people ask */
	world->course.now_usec = MAX(world->course.now_usec, next);
	relays_check_deadlines(world);
	explore_step_end(&world->course);
}

/* Episodes */

static void begin(struct relays *world, const struct explore_plan *plan, bool trace)
{
	explore_begin(&world->course, plan);
	for (unsigned i = 0; i < RELAYS_SITES; i++)
		if (world->sites[i].issuer)
			relays_site_crash(&world->sites[i], MEMORY_CRASH_PROCESS);
	world->shape = plan->features % RELAYS_SHAPES_;
	world->site_count = world->shape == RELAYS_ROW_OF_4 || world->shape == RELAYS_DISJOINT ? 4
											       : 3;
	world->issued_count = world->answer_count = 0;
	world->last_count = 0;
	memset(world->requests, 0, sizeof(world->requests));
	memset(world->uses, 0, sizeof(world->uses));
	memset(world->connect_usec, 0, sizeof(world->connect_usec));
	for (unsigned i = 0; i < RELAYS_LINKS; i++)
		world->agreed[i] = plan->features & RELAYS_FEW_KEYS ? 12 : 100;
	for (unsigned i = 0; i < world->site_count; i++)
		relays_site_begin(&world->sites[i]);
	world->course.is_traced = trace;
}

/* Every other episode ends without a last kill, so that what is under way comes to its end. */
static void calm(struct relays *world)
{
	explore_trace(&world->course, "from here on nothing fails");
	world->course.is_calm = true;
	for (unsigned i = 0; i < world->site_count; i++) {
		struct relays_site *site = &world->sites[i];

		site->stalled_usec = MIN(site->stalled_usec, world->course.now_usec);
		site->lies = false;
		if (site->issuer && world->course.plan->seed % 2 == 0)
			relays_site_crash(site, MEMORY_CRASH_PROCESS);
		memory_storage_power_on(site->disk);
	}
}

static void go_on(struct relays *world, uint64_t usec, bool until_answered)
{
	uint64_t end = world->course.now_usec + usec;

	for (unsigned i = 0;
	     i < SETTLE_STEPS && world->course.now_usec < end && !world->course.violation[0]; i++) {
		step(world);
		if (until_answered && relays_all_answered(world))
			return;
	}
}

/* With enough keys again, both ends are served. Not at once: a key whose mark was not answered
 * before a kill is found out when it is chosen, and a label that both have asked for late is had by
 * one. */
static void check_served(struct relays *world)
{
	for (unsigned i = 0; i < RELAYS_LINKS; i++)
		agree(world, i, 100); /* a second path is taken only where it has many */
	go_on(world, USEC_PER_SEC, false);
	for (unsigned i = 0; i < LAST_TRIES && world->last_count < 2 && !world->course.violation[0];
	     i++) {
		relays_ask_last(world, i);
		go_on(world, SETTLE_USEC, true);
	}
	if (world->last_count < 2)
		explore_violation(&world->course, "with nothing failing, %u of 2 ends are served",
				  world->last_count);
}

int relays_run(struct relays *world, const struct explore_plan *plan, bool trace)
{
	begin(world, plan, trace);
	while (world->course.step < plan->steps && !world->course.violation[0])
		step(world);
	calm(world);
	go_on(world, SETTLE_USEC, false);
	if (!world->course.violation[0])
		relays_check_settled(world);
	if (!world->course.violation[0])
		check_served(world);
	return world->course.violation[0] ? -1 : 0;
}

int relays_new(struct relays **ret)
{
	struct relays *world = calloc(1, sizeof(*world));

	if (!world)
		return -ENOMEM;
	log_set_max_level(LOG_EMERG - 1);
	(void)id_table_seed(); /* once in a process: before any dice */
	fake_loop_set_dice(&world->course.prng);
	for (unsigned i = 0; i < RELAYS_SITES; i++) {
		struct relays_site *site = &world->sites[i];

		site->world = world;
		site->index = i;
		if (memory_storage_new(&site->disk) < 0 || sd_event_new(&site->event) < 0) {
			relays_free(world);
			return -ENOMEM;
		}
	}
	*ret = world;
	return 0;
}

void relays_free(struct relays *world)
{
	for (unsigned i = 0; i < RELAYS_SITES; i++)
		if (world->sites[i].issuer)
			relays_site_crash(&world->sites[i], MEMORY_CRASH_PROCESS);
	for (unsigned i = 0; i < RELAYS_SITES; i++) {
		memory_storage_free(world->sites[i].disk);
		sd_event_unref(world->sites[i].event);
	}
	fake_loop_set_dice(NULL);
	free(world);
}
