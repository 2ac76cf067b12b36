/* SPDX-License-Identifier: MIT */

/*
 * People at the two ends who ask for keys with each other, and now and then at neighbours, who use
 * the same links.
 */

#include "tests/explore/relay-world.h"

#include <inttypes.h>

#define WAIT_USEC (4 * USEC_PER_SEC)
#define LATE_USEC (1 * USEC_PER_SEC)
#define LAST_USEC (10 * USEC_PER_SEC)
#define OWNER     1000

static void answered(struct relays_request *request, int result)
{
	explore_trace(&request->site->world->course, "%s: request %zu: %s",
		      relays_names[request->site->index],
		      (size_t)(request - request->site->world->requests),
		      result < 0 ? strerror(-result) : "served");
	request->operation = NULL;
	request->is_answered = true;
}

static void on_delivered(int result, const struct issued_key *key, void *userdata)
{
	struct relays_request *request = userdata;
	struct relays *world = request->site->world;

	answered(request, result);
	if (result < 0) {
		request->site = NULL;
		return;
	}
	relays_note_key(request->site, &key->id, key->key->bytes);
	request->delivery = key->delivery;
	if (!request->is_last)
		return;
	if (world->last_count++ > 0 && !uuid_equal(&world->last_id, &key->id))
		explore_violation(&world->course, "the ends have different keys for one label");
	world->last_id = key->id;
}

static void on_reserved(int result, const struct uuid *ids, size_t count, void *userdata)
{
	struct relays_request *request = userdata;

	answered(request, result);
	for (size_t i = 0; result >= 0 && i < count; i++)
		relays_note_new(request->site->world, &ids[i]);
	request->site = NULL;
}

static struct relays_request *free_request(struct relays *world)
{
	for (size_t i = 0; i < RELAYS_REQUESTS; i++)
		if (!world->requests[i].site)
			return &world->requests[i];
	return NULL;
}

static int ask(struct relays_request *request)
{
	struct issuer *issuer = request->site->issuer;
	const char *peer = relays_names[request->peer];
	char label[16];

	switch (request->ask) {
	case RELAYS_ASK_NEW:
		return issuer_reserve_new(issuer, peer, 0, 1 + request->label % 3, OWNER,
					  request->deadline_usec, on_reserved, request,
					  &request->operation);
	case RELAYS_ASK_ID:
		return issuer_deliver_id(issuer, peer, &request->id, 0, OWNER,
					 request->deadline_usec, on_delivered, request,
					 &request->operation);
	case RELAYS_ASK_LABEL:
	case RELAYS_ASKS_:
		break;
	}
	snprintf(label, sizeof(label), "%c%u", request->is_last ? 'Z' : 'L', request->label);
	return issuer_deliver_label(issuer, peer, label, 0, 0, OWNER, request->deadline_usec,
				    on_delivered, request, &request->operation);
}

static void start_request(struct relays_request *request)
{
	static const char *const names[] = {"new keys", "a key by its id", "a label"};
	struct relays_site *site = request->site;

	request->delivery = NULL;
	request->is_answered = false;
	explore_trace(&site->world->course, "%s: request %zu: %s with %s",
		      relays_names[site->index], (size_t)(request - site->world->requests),
		      names[request->ask], relays_names[request->peer]);
	relays_site_enter(site);
	if (ask(request) < 0)
		request->site = NULL;
}

/* Of a key that somebody was told of. */
static bool choose_id(struct relays *world, struct uuid *ret)
{
	unsigned first, count = (unsigned)world->issued_count;

	if (count == 0)
		return false;
	first = explore_choose(count, &world->course);
	for (unsigned i = 0; i < count; i++)
		if (world->issued[(first + i) % count].is_new) {
			*ret = world->issued[(first + i) % count].id;
			return true;
		}
	return false;
}

void relays_ask(struct relays *world)
{
	struct relays_request *request = free_request(world);
	unsigned last = world->site_count - 1;
	unsigned from = explore_chance(&world->course, 500) ? 0 : last, to = last - from;

	if (explore_chance(&world->course, 150)) { /* neighbours */
		from = explore_choose(last, &world->course);
		to = from + 1;
	}
	if (!request || !world->sites[from].issuer)
		return;
	*request = (struct relays_request){.site = &world->sites[from], .peer = to};
	request->ask = (enum relays_ask)explore_choose(RELAYS_ASKS_, &world->course);
	request->label = explore_choose(RELAYS_LABELS, &world->course);
	if (request->ask == RELAYS_ASK_ID && !choose_id(world, &request->id))
		request->ask = RELAYS_ASK_NEW;
	request->deadline_usec =
		world->course.now_usec + prng_below(&world->course.prng, WAIT_USEC);
	start_request(request);
}

void relays_ask_last(struct relays *world, unsigned label)
{
	unsigned last = world->site_count - 1;

	world->last_count = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct relays_request *request = free_request(world);

		if (!request)
			return;
		*request = (struct relays_request){
			.site = &world->sites[i ? last : 0],
			.peer = i ? 0 : last,
			.ask = RELAYS_ASK_LABEL,
			.label = label,
			.deadline_usec = world->course.now_usec + LAST_USEC,
			.is_last = true,
		};
		start_request(request);
	}
}

void relays_helper(struct relays *world)
{
	/* In the end, all of them. */
	uint64_t i = world->course.is_calm ? world->course.step % RELAYS_REQUESTS
					   : explore_choose(RELAYS_REQUESTS, &world->course);
	struct relays_request *request = &world->requests[i];
	struct delivery *delivery;

	if (!request->site)
		return;
	relays_site_enter(request->site);
	if (!request->is_answered) {
		if (!world->course.is_calm && explore_chance(&world->course, 30)) {
			issue_operation_cancel(TAKE_PTR(request->operation));
			request->site = NULL;
		}
		return;
	}
	delivery = TAKE_PTR(request->delivery);
	request->site = NULL;
	if (delivery)
		delivery_report(delivery, explore_chance(&world->course, 700));
}

/* keyringd is gone: its operations with it, and what was delivered cannot be reported any more. */
void relays_people_lost(struct relays_site *site)
{
	for (size_t i = 0; i < RELAYS_REQUESTS; i++) {
		struct relays_request *request = &site->world->requests[i];

		if (request->site != site)
			continue;
		if (request->delivery)
			delivery_abandon(TAKE_PTR(request->delivery));
		request->operation = NULL;
		request->site = NULL;
	}
}

void relays_check_deadlines(struct relays *world)
{
	for (size_t i = 0; i < RELAYS_REQUESTS; i++) {
		const struct relays_request *request = &world->requests[i];

		if (request->site && !request->is_answered &&
		    request->site->stalled_usec + LATE_USEC < world->course.now_usec &&
		    request->deadline_usec + LATE_USEC < world->course.now_usec)
			explore_violation(&world->course,
					  "%s: request %zu has no answer at its deadline",
					  relays_names[request->site->index], i);
	}
}

bool relays_all_answered(const struct relays *world)
{
	for (size_t i = 0; i < RELAYS_REQUESTS; i++)
		if (world->requests[i].site && !world->requests[i].is_answered)
			return false;
	return true;
}
