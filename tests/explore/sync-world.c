/* SPDX-License-Identifier: MIT */

/*
 * The world's course: a clock that jumps to the next event, and the episode around it.
 */

#include "tests/explore/sync-world.h"

#define SETTLE_STEPS   20000
#define CHECK_INTERVAL 64 /* steps between looks at all lines */
#define END_OF_FILE    (KEYFILE_LINES - 24)

/* Steps */

static uint64_t next_alarm(const struct world *world)
{
	uint64_t at = world->course.is_calm ? UINT64_MAX : world->supply_usec;

	for (unsigned i = 0; i < 2; i++)
		at = MIN(at, world->sites[i].machine ? world->sites[i].wake_usec
						     : world->sites[i].restart_usec);
	return MIN(at, network_alarm(world));
}

static void ring(struct world *world)
{
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		if (!site->machine && site->restart_usec <= world->course.now_usec)
			site_start(site);
		else if (site->machine && site->wake_usec <= world->course.now_usec)
			site_heed(site, sync_machine_timer(site->machine));
	}
	network_ring(world);
	if (world->supply_usec <= world->course.now_usec)
		device_supply(world);
}

static void advance(struct world *world)
{
	size_t message = 0, fetch = 0;
	uint64_t message_at = network_next(world, &message);
	uint64_t fetch_at = device_next(world, &fetch), alarm = next_alarm(world);
	uint64_t at = MIN(message_at, fetch_at);

	at = MIN(at, alarm);
	if (at == UINT64_MAX) {
		explore_violation(&world->course, "nothing is left that could happen");
		return;
	}
	world->course.now_usec = MAX(world->course.now_usec, at);
	if (alarm == at)
		ring(world);
	else if (fetch_at == at)
		device_answer(world, fetch);
	else
		network_deliver(world, message);
}

static void step(struct world *world)
{
	explore_step_begin(&world->course);
	world_faults(world);
	advance(world);
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		if (world->course.is_calm || explore_chance(&world->course, 700))
			site_flush(site);
		if (!(world->course.plan->features & WORLD_NO_KEYRINGD) && !world->is_disk_lost &&
		    explore_chance(&world->course, 250))
			site_heed_keyringd(site, keyringd_step(site));
		if (world->course.step % CHECK_INTERVAL == 0)
			ledger_check_site(site);
	}
	explore_step_end(&world->course);
}

/* Episodes */

static bool is_quiet(const struct world *world)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct world_site *site = &world->sites[i];

		if (!site->machine || site->wants_flush || sync_machine_open(site->machine) > 0 ||
		    !sync_machine_is_connected(site->machine))
			return false;
	}
	return world->message_count == 0;
}

static void begin(struct world *world, const struct explore_plan *plan, bool trace)
{
	explore_begin(&world->course, plan);
	world->course.is_traced = trace;
	world->is_connected = world->is_disk_lost = world->has_heard = false;
	world->message_count = world->fetch_count = 0;
	world->serials = world->supply_usec = world->connect_usec = 0;
	world->to_lose = world->to_double = world->to_delay = 0;
	world->to_refuse = world->to_answer_late = world->to_differ = 0;
	world->base = plan->features & WORLD_END_OF_FILE ? END_OF_FILE : 0;
	world->window = 1 + explore_choose(8, &world->course);
	world->hold_usec = USEC_PER_MSEC << explore_choose(14, &world->course);
	for (unsigned i = 0; i < 2; i++) {
		world->sites[i].world = world;
		world->sites[i].index = i;
		site_begin(&world->sites[i]);
	}
	ledger_begin(world);
	world->generations = world->base > 0;
}

/* From here on both stay up and connected, and no disk fails. */
static void calm(struct world *world)
{
	explore_trace(&world->course, "from here on nothing fails");
	world->course.is_calm = true;
	world->to_lose = world->to_double = world->to_delay = 0;
	for (unsigned i = 0; i < 2; i++)
		site_crash(&world->sites[i], MEMORY_CRASH_PROCESS);
}

int world_run(struct world *world, const struct explore_plan *plan, bool trace)
{
	begin(world, plan, trace);
	while (world->course.step < plan->steps && !world->course.violation[0])
		step(world);
	if (!world->course.violation[0])
		calm(world);
	for (uint64_t i = 0; i < SETTLE_STEPS && !world->course.violation[0] && !is_quiet(world);
	     i++)
		step(world);
	if (!world->course.violation[0] && !is_quiet(world))
		explore_violation(&world->course, "it does not settle");
	for (unsigned i = 0; i < 2 && !world->course.violation[0]; i++)
		ledger_check_site(&world->sites[i]);
	if (!world->course.violation[0])
		world_check_settled(world);
	return world->course.violation[0] ? -1 : 0;
}

int world_new(struct world **ret)
{
	_cleanup_(world_freep) struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return -ENOMEM;
	world->generations = WORLD_MAX_GENERATIONS;
	for (unsigned i = 0; i < 2; i++)
		if (memory_storage_new(&world->sites[i].disk) < 0 ||
		    memory_storage_new(&world->sites[i].backup) < 0)
			return -ENOMEM;
	*ret = TAKE_PTR(world);
	return 0;
}

struct world *world_free(struct world *world)
{
	if (!world)
		return NULL;
	for (unsigned i = 0; i < 2; i++) {
		sync_machine_free(world->sites[i].machine);
		keyringd_end(&world->sites[i]);
		memory_storage_free(world->sites[i].disk);
		memory_storage_free(world->sites[i].backup);
	}
	free(world);
	return NULL;
}
