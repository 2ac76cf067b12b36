/* SPDX-License-Identifier: MIT */

/*
 * Carries out what the plan says: loss, crashes, failing disks and devices, a lying peer.
 */

#include "tests/explore/sync-world.h"

#define LIE_DELAY_USEC (100 * USEC_PER_MSEC)

const struct explore_kind world_kinds[WORLD_FAULTS_] = {
	[WORLD_LOSE] = {"lose a message", 300, 0, false},
	[WORLD_DOUBLE] = {"double a message", 300, 0, false},
	[WORLD_DELAY] = {"delay a message", 200, 0, false},
	[WORLD_RECONNECT] = {"end the connection", 60, 0, false},
	[WORLD_STRAGGLE] = {"end the connection, messages arrive later", 60, 0, false},
	[WORLD_KILL_LINKD] = {"kill linkd", 40, 0, true},
	[WORLD_KILL_KEYRINGD] = {"kill keyringd", 40, 0, true},
	[WORLD_POWER_CUT] = {"power cut", 40, 0, true},
	[WORLD_STOP_IN_WRITE] = {"stop within a write", 60, 24, true},
	[WORLD_SYNC_FAILS] = {"fail an operation of the disk", 20, 24, true},
	[WORLD_DISK_FULL] = {"fill the disk", 15, 400, true},
	[WORLD_CLOCK_JUMP] = {"jump the clock, seconds", 15, 120, false},
	[WORLD_DEVICE_REFUSES] = {"refuse keys at the device", 60, 0, false},
	[WORLD_DEVICE_LATE] = {"answer late at the device", 30, 0, false},
	[WORLD_DEVICE_UNEQUAL] = {"give unequal keys", 100, 0, false},
	[WORLD_WRONG_PROOF] = {"forge a proof", 200, 8, false},
	[WORLD_REPLAY] = {"replay a message", 200, 0, false},
	[WORLD_FORGE_ANSWER] = {"forge an answer", 200, 8, false},
	[WORLD_WRONG_FIRST] = {"forge a sequence number", 100, 64, false},
	[WORLD_BACK_UP] = {"back up", 300, 0, true},
	[WORLD_LOSE_DISK] = {"lose the disk", 60, 0, true},
};

/* What follows an overheard message, from somebody who has not seen what it has to prove. */
static void forge_answer(struct world *world, struct world_message *lie, uint32_t argument)
{
	struct sync_message *message = &lie->message;
	uint64_t next = world->sites[1].told_next[0];

	if (message->kind == SYNC_SYN) {
		message->kind = SYNC_SYN_ACK;
		message->syn_ack.alpha_plus_one = argument;
		message->syn_ack.beta = prng_next(&world->course.prng);
		message->syn_ack.has_tag = false;
	} else if (message->kind == SYNC_SYN_ACK) {
		message->kind = SYNC_ACK;
		message->ack.beta_plus_one = argument;
		message->ack.first = next + argument % 2;
		message->ack.count = 1 + argument;
	}
	lie->to = !lie->to;
}

static void change(struct world_message *lie, uint32_t argument)
{
	struct sync_message *message = &lie->message;

	if (message->kind == SYNC_SYN) {
		message->syn.alpha += argument + 1;
	} else if (message->kind == SYNC_SYN_ACK) {
		message->syn_ack.alpha_plus_one += argument + 1;
	} else if (message->kind == SYNC_ACK) {
		message->ack.beta_plus_one += argument + 1;
		message->ack.first += argument % 2;
	}
}

static void lie(struct world *world, unsigned kind, uint32_t argument)
{
	struct world_message lie = world->heard;

	if (!world->has_heard || !world->is_connected || lie.message.kind == SYNC_RESUME)
		return;
	if (lie.message.kind == SYNC_SYN)
		lie.message.syn.ids = lie.ids;
	if (kind == WORLD_WRONG_PROOF)
		change(&lie, argument);
	if (kind == WORLD_FORGE_ANSWER && lie.message.kind != SYNC_SYN &&
	    lie.message.kind != SYNC_SYN_ACK)
		return;
	if (kind == WORLD_FORGE_ANSWER)
		forge_answer(world, &lie, argument);
	if (kind == WORLD_WRONG_FIRST && lie.message.kind != SYNC_ACK)
		return;
	if (kind == WORLD_WRONG_FIRST)
		lie.message.ack.first += argument + 1000;
	explore_trace(&world->course, "somebody sends %s %llu: %s",
		      sync_kind_name(lie.message.kind), (unsigned long long)lie.message.txn,
		      world_kinds[kind].name);
	network_post(world, &lie.message, lie.to, prng_below(&world->course.prng, LIE_DELAY_USEC));
}

static void fill_disk(struct world_site *site, uint32_t argument)
{
	uint64_t used = memory_storage_used(site->disk);

	explore_trace(&site->world->course, "%s: the disk has room for %u bytes",
		      world_names[site->index], argument * 8);
	memory_storage_set_capacity(site->disk, used + (uint64_t)argument * 8);
	site->full_until = site->world->course.step + 20 + argument / 4;
}

static void disturb_disk(struct world_site *site, const struct explore_fault *fault)
{
	struct world *world = site->world;

	switch ((enum world_fault)fault->kind) {
	case WORLD_STOP_IN_WRITE:
		memory_storage_power_off_at(site->disk, fault->argument);
		break;
	case WORLD_SYNC_FAILS:
		site->is_disk_faulty = true;
		memory_storage_fail_at(site->disk, fault->argument, -EIO);
		break;
	case WORLD_DISK_FULL:
		fill_disk(site, fault->argument);
		break;
	case WORLD_BACK_UP:
		if (!site->machine || site->is_behind)
			break;
		explore_trace(&world->course, "%s: a backup is made", world_names[site->index]);
		site->has_backup = memory_storage_copy(site->backup, site->disk) >= 0;
		break;
	default:
		site_lose_disk(site);
	}
}

static void disturb_site(struct world_site *site, const struct explore_fault *fault)
{
	switch ((enum world_fault)fault->kind) {
	case WORLD_KILL_LINKD:
		if (site->machine)
			site_kill_linkd(site);
		break;
	case WORLD_KILL_KEYRINGD:
		site_kill_keyringd(site);
		break;
	case WORLD_POWER_CUT:
		site_power_cut(site);
		break;
	default:
		disturb_disk(site, fault);
	}
}

static void disturb(struct world *world, const struct explore_fault *fault)
{
	switch ((enum world_fault)fault->kind) {
	case WORLD_LOSE:
		world->to_lose++;
		break;
	case WORLD_DOUBLE:
		world->to_double++;
		break;
	case WORLD_DELAY:
		world->to_delay++;
		break;
	case WORLD_RECONNECT:
	case WORLD_STRAGGLE:
		network_drop(world, fault->kind == WORLD_STRAGGLE);
		break;
	case WORLD_CLOCK_JUMP:
		explore_trace(&world->course, "the clock jumps by %u s", fault->argument);
		world->course.now_usec += fault->argument * USEC_PER_SEC;
		break;
	case WORLD_DEVICE_REFUSES:
		world->to_refuse++;
		break;
	case WORLD_DEVICE_LATE:
		world->to_answer_late++;
		break;
	case WORLD_DEVICE_UNEQUAL:
		world->to_differ++;
		break;
	case WORLD_WRONG_PROOF:
	case WORLD_REPLAY:
	case WORLD_FORGE_ANSWER:
	case WORLD_WRONG_FIRST:
		lie(world, fault->kind, fault->argument);
		break;
	default:
		disturb_site(&world->sites[fault->site], fault);
	}
}

static void empty_disks(struct world *world)
{
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		if (site->full_until == 0 ||
		    (site->full_until > world->course.step && !world->course.is_calm))
			continue;
		memory_storage_set_capacity(site->disk, UINT64_MAX);
		site->full_until = 0;
	}
}

void world_faults(struct world *world)
{
	const struct explore_fault *fault;

	empty_disks(world);
	while ((fault = explore_next_fault(&world->course)))
		disturb(world, fault);
}
