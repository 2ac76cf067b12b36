/* SPDX-License-Identifier: MIT */

/*
 * The world's course: a clock that jumps to the next event, and the episode around it.
 */

#include "tests/explore/sync-world.h"

#include <inttypes.h>
#include <stdarg.h>

#define SETTLE_STEPS   20000
#define CHECK_INTERVAL 64 /* steps between looks at all lines */
#define END_OF_FILE    (KEYFILE_LINES - 24)

void world_violation(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->violation[0])
		return;
	va_start(arguments, format);
	vsnprintf(world->violation, sizeof(world->violation), format, arguments);
	va_end(arguments);
}

void world_trace(const struct world *world, const char *format, ...)
{
	va_list arguments;

	if (!world->is_traced)
		return;
	fprintf(stderr, "%5" PRIu64 " %10.3f  ", world->step,
		(double)world->now_usec / (double)USEC_PER_SEC);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

unsigned world_choose(unsigned count, void *userdata)
{
	struct world *world = userdata;

	return (unsigned)prng_below(&world->prng, count);
}

bool world_chance(struct world *world, unsigned per_thousand)
{
	return prng_below(&world->prng, 1000) < per_thousand;
}

/* Steps */

static uint64_t next_alarm(const struct world *world)
{
	uint64_t at = world->is_calm ? UINT64_MAX : world->supply_usec;

	for (unsigned i = 0; i < 2; i++)
		at = MIN(at, world->sites[i].machine ? world->sites[i].wake_usec
						     : world->sites[i].restart_usec);
	return MIN(at, network_alarm(world));
}

static void ring(struct world *world)
{
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		if (!site->machine && site->restart_usec <= world->now_usec)
			site_start(site);
		else if (site->machine && site->wake_usec <= world->now_usec)
			site_heed(site, sync_machine_timer(site->machine));
	}
	network_ring(world);
	if (world->supply_usec <= world->now_usec)
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
		world_violation(world, "nothing is left that could happen");
		return;
	}
	world->now_usec = MAX(world->now_usec, at);
	if (alarm == at)
		ring(world);
	else if (fetch_at == at)
		device_answer(world, fetch);
	else
		network_deliver(world, message);
}

static void step(struct world *world)
{
	explore_dice(world->plan, world->step, &world->prng);
	world_faults(world);
	advance(world);
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		if (world->is_calm || world_chance(world, 700))
			site_flush(site);
		if (!(world->plan->features & WORLD_NO_KEYRINGD) && !world->is_disk_lost &&
		    world_chance(world, 250))
			site_heed_keyringd(site, keyringd_step(site));
		if (world->step % CHECK_INTERVAL == 0)
			ledger_check_site(site);
	}
	world->step++;
	world->steps++;
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
	explore_dice(plan, UINT32_MAX, &world->prng);
	world->plan = plan;
	world->is_traced = trace;
	world->is_calm = world->is_connected = world->is_disk_lost = world->has_heard = false;
	world->now_usec = USEC_PER_SEC;
	world->step = world->next_fault = world->message_count = world->fetch_count = 0;
	world->serials = world->supply_usec = world->connect_usec = 0;
	world->to_lose = world->to_double = world->to_delay = 0;
	world->to_refuse = world->to_answer_late = world->to_differ = 0;
	world->violation[0] = '\0';
	world->base = plan->features & WORLD_END_OF_FILE ? END_OF_FILE : 0;
	world->window = 1 + world_choose(8, world);
	world->hold_usec = USEC_PER_MSEC << world_choose(14, world);
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
	world_trace(world, "from here on nothing fails");
	world->is_calm = true;
	world->to_lose = world->to_double = world->to_delay = 0;
	for (unsigned i = 0; i < 2; i++)
		site_crash(&world->sites[i], MEMORY_CRASH_PROCESS);
}

int world_run(struct world *world, const struct explore_plan *plan, bool trace)
{
	begin(world, plan, trace);
	while (world->step < plan->steps && !world->violation[0])
		step(world);
	if (!world->violation[0])
		calm(world);
	for (uint64_t i = 0; i < SETTLE_STEPS && !world->violation[0] && !is_quiet(world); i++)
		step(world);
	if (!world->violation[0] && !is_quiet(world))
		world_violation(world, "it does not settle");
	for (unsigned i = 0; i < 2 && !world->violation[0]; i++)
		ledger_check_site(&world->sites[i]);
	if (!world->violation[0])
		world_check_settled(world);
	return world->violation[0] ? -1 : 0;
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
