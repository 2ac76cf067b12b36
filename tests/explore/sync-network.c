/* SPDX-License-Identifier: MIT */

/*
 * The simulated network: one connection at a time, whose ends notice its begin and its end each in
 * its own time. Messages wait in one heap of unordered entries; what is lost, doubled or late was
 * decided by the plan.
 */

#include "tests/explore/sync-world.h"

#include <inttypes.h>

#include "common/json-text.h"

#define DELAY_USEC     (20 * USEC_PER_MSEC)
#define LATE_USEC      (8 * USEC_PER_SEC)
#define RECONNECT_USEC (2 * USEC_PER_SEC)
#define NOTICE_USEC    (3 * USEC_PER_SEC)

static void describe(const struct sync_message *message, char *text, size_t size)
{
	const char *name = sync_kind_name(message->kind);

	switch (message->kind) {
	case SYNC_SYN:
		snprintf(text, size, "%s %" PRIu64 ", %zu keys", name, message->txn,
			 message->syn.count);
		return;
	case SYNC_NAK:
		snprintf(text, size, "%s %" PRIu64 ", %s", name, message->txn,
			 sync_reason_name(message->nak.reason));
		return;
	case SYNC_ACK:
		snprintf(text, size, "%s %" PRIu64 ", lines %" PRIu64 " to %" PRIu64, name,
			 message->txn, message->ack.first,
			 message->ack.first + message->ack.count - 1);
		return;
	case SYNC_RESUME:
		snprintf(text, size, "%s generation %u, next line %" PRIu64 ", %zu open", name,
			 message->resume.generation, message->resume.next,
			 message->resume.open_count);
		return;
	case SYNC_SYN_ACK:
	case SYNC_DONE:
	case SYNC_ABORT:
	case SYNC_KIND_COUNT_:
		break;
	}
	snprintf(text, size, "%s %" PRIu64, name, message->txn);
}

static void trace_message(const struct world *world, const char *what,
			  const struct sync_message *message, unsigned to)
{
	char text[128];

	if (!world->course.is_traced)
		return;
	describe(message, text, sizeof(text));
	explore_trace(&world->course, "%5s %s %-5s %s%s", world_names[!to], to ? "->" : "<-",
		      world_names[to], text, what);
}

/* Over the wire format and back, now and then. */
static void transcode(struct world *world, struct world_message *message)
{
	_cleanup_(json_decrefp) json_t *json = NULL;
	static struct uuid ids[SYNC_MAX_KEYS];
	struct sync_message copy;
	const char *what = "";

	if (sync_message_build(&message->message, &json) < 0)
		abort();
	if (sync_message_verify(json, ids, &copy, &what) < 0) {
		explore_violation(&world->course, "a message of ours is refused: %s", what);
		return;
	}
	message->message = copy;
	if (copy.kind == SYNC_SYN)
		memcpy(message->ids, ids, copy.syn.count * sizeof(ids[0]));
}

static void copy_message(const struct sync_message *message, unsigned to, struct world_message *ret)
{
	ret->message = *message;
	ret->to = to;
	if (message->kind == SYNC_SYN)
		memcpy(ret->ids, message->syn.ids, message->syn.count * sizeof(ret->ids[0]));
}

void network_post(struct world *world, const struct sync_message *message, unsigned to,
		  uint64_t delay_usec)
{
	struct world_message *posted = &world->messages[world->message_count];

	if (world->message_count == WORLD_MAX_MESSAGES)
		return; /* loss */
	copy_message(message, to, posted);
	posted->at_usec = world->course.now_usec + delay_usec;
	if (!(world->course.plan->features & WORLD_REORDERS))
		for (size_t i = 0; i < world->message_count; i++)
			if (world->messages[i].to == to)
				posted->at_usec = MAX(posted->at_usec, world->messages[i].at_usec);
	if (explore_chance(&world->course, 50))
		transcode(world, posted);
	world->message_count++;
}

static bool use_up(unsigned *armed)
{
	if (*armed == 0)
		return false;
	(*armed)--;
	return true;
}

void network_send(struct world_site *site, const struct sync_message *message)
{
	struct world *world = site->world;
	unsigned to = !site->index;
	uint64_t delay = prng_below(&world->course.prng, DELAY_USEC);

	ledger_sent(site, message);
	if (!world->is_connected || !site->is_attached || use_up(&world->to_lose)) {
		trace_message(world, "  (lost)", message, to);
		return;
	}
	if (!world->has_heard || explore_chance(&world->course, 300)) {
		copy_message(message, to, &world->heard);
		world->has_heard = true;
	}
	if (use_up(&world->to_delay)) {
		delay += prng_below(&world->course.prng, LATE_USEC);
		trace_message(world, "  (late)", message, to);
	}
	network_post(world, message, to, delay);
	if (use_up(&world->to_double)) {
		trace_message(world, "  (twice)", message, to);
		network_post(world, message, to,
			     delay + prng_below(&world->course.prng, LATE_USEC));
	}
}

void network_deliver(struct world *world, size_t i)
{
	struct world_message *waiting = &world->messages[i], posted = *waiting;
	struct world_site *site = &world->sites[posted.to];

	if (world->is_connected && !site->is_attached && site->attach_usec != UINT64_MAX) {
		waiting->at_usec = site->attach_usec + 1;
		return;
	}
	*waiting = world->messages[--world->message_count];
	if (posted.message.kind == SYNC_SYN)
		posted.message.syn.ids = posted.ids;
	if (!site->machine || !site->is_attached)
		return;
	trace_message(world, "", &posted.message, posted.to);
	site_heed(site, sync_machine_receive(site->machine, &posted.message));
}

uint64_t network_next(const struct world *world, size_t *ret_message)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < world->message_count; i++)
		if (world->messages[i].at_usec < at) {
			at = world->messages[i].at_usec;
			*ret_message = i;
		}
	return at;
}

/* Connections */

void network_drop(struct world *world, bool straggle)
{
	if (!world->is_connected)
		return;
	explore_trace(&world->course, "the connection ends");
	world->is_connected = false;
	if (!straggle)
		world->message_count = 0;
	world->connect_usec =
		world->course.now_usec + prng_below(&world->course.prng, RECONNECT_USEC);
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		site->attach_usec = UINT64_MAX;
		if (site->is_attached)
			site->notice_usec = world->course.now_usec +
					    prng_below(&world->course.prng, NOTICE_USEC);
	}
}

static void notice_end(struct world_site *site)
{
	site->notice_usec = UINT64_MAX;
	site->is_attached = false;
	if (site->machine)
		sync_machine_disconnected(site->machine);
}

static void attach(struct world_site *site)
{
	site->attach_usec = UINT64_MAX;
	if (site->is_attached)
		notice_end(site);
	site->notice_usec = UINT64_MAX;
	if (!site->machine || !site->world->is_connected)
		return;
	site->is_attached = true;
	site_heed(site, sync_machine_connect(site->machine));
}

static void connect_sites(struct world *world)
{
	world->connect_usec =
		world->course.now_usec + prng_below(&world->course.prng, RECONNECT_USEC);
	if (!world->sites[0].machine || !world->sites[1].machine)
		return;
	explore_trace(&world->course, "a connection begins");
	world->is_connected = true;
	for (unsigned i = 0; i < 2; i++)
		world->sites[i].attach_usec =
			world->course.now_usec + prng_below(&world->course.prng, DELAY_USEC);
}

uint64_t network_alarm(const struct world *world)
{
	uint64_t at = world->is_connected ? UINT64_MAX : world->connect_usec;

	for (unsigned i = 0; i < 2; i++) {
		at = MIN(at, world->sites[i].attach_usec);
		at = MIN(at, world->sites[i].notice_usec);
	}
	return at;
}

void network_ring(struct world *world)
{
	if (!world->is_connected && world->connect_usec <= world->course.now_usec)
		connect_sites(world);
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		if (site->notice_usec <= world->course.now_usec)
			notice_end(site);
		if (site->attach_usec <= world->course.now_usec)
			attach(site);
	}
}
