/* SPDX-License-Identifier: MIT */

/*
 * A connection between every two sites. Each keeps the order of its frames; between them there is
 * none. A relay that lies does so on the way.
 */

#include "tests/explore/relay-world.h"

#include <stdlib.h>

#define DELAY_USEC     (5 * USEC_PER_MSEC)
#define RECONNECT_USEC (1 * USEC_PER_SEC)

/* One character of the XOR. */
static bool change_message(json_t *message)
{
	json_t *body = json_object_get(message, "body");
	const char *step = json_string_value(json_object_get(body, "step"));
	const char *bytes = json_string_value(json_object_get(body, "bytes"));
	char *changed;

	if (!step || !str_equal(step, "combined-key") || !bytes || !*bytes)
		return false;
	changed = strdup(bytes);
	if (!changed)
		abort();
	changed[0] = changed[0] == 'A' ? 'B' : 'A';
	json_object_set_new(body, "bytes", json_string(changed));
	free(changed);
	return true;
}

static void lie(struct relays_site *site, json_t *frame)
{
	json_t *message;
	size_t i;

	json_array_foreach (json_object_get(frame, "messages"), i, message) {
		if (!site->lies || !change_message(message))
			continue;
		site->lies = false;
		site->world->lies++;
		explore_trace(&site->world->course, "%s: lies", relays_names[site->index]);
	}
}

static int end_send(struct site_transport *transport, const json_t *frame)
{
	struct relays_end *end = CONTAINER_OF(transport, struct relays_end, transport);
	struct relays *world = end->site->world;
	struct relays_frame *queued = &world->frames[world->frame_count];
	uint64_t at = world->course.now_usec + prng_below(&world->course.prng, DELAY_USEC);

	if (!end->other)
		return -ENOTCONN;
	if (world->frame_count == RELAYS_FRAMES)
		return -ENOBUFS;
	relays_note_frame(end->site, end->peer, frame);
	*queued = (struct relays_frame){.to = end->other, .json = json_deep_copy(frame)};
	lie(end->site, queued->json);
	for (size_t i = 0; i < world->frame_count; i++) /* TLS keeps the order */
		if (world->frames[i].to == queued->to)
			at = MAX(at, world->frames[i].at_usec);
	queued->at_usec = at;
	world->frame_count++;
	return 0;
}

static void forget_frames(struct relays *world, const struct relays_end *end)
{
	size_t kept = 0;

	for (size_t i = 0; i < world->frame_count; i++)
		if (world->frames[i].to == end)
			json_decref(world->frames[i].json);
		else
			world->frames[kept++] = world->frames[i];
	world->frame_count = kept;
}

static void end_close(struct site_transport *transport)
{
	struct relays_end *end = CONTAINER_OF(transport, struct relays_end, transport);
	struct relays *world = end->site->world;

	forget_frames(world, end);
	if (end->other)
		end->other->other = NULL;
	if (end->site->ends[end->peer] == end)
		end->site->ends[end->peer] = NULL;
	world->connect_usec[relays_link(end->site->index, end->peer)] =
		world->course.now_usec + prng_below(&world->course.prng, RECONNECT_USEC);
	free(end);
}

static void lose_end(struct relays_site *site, unsigned peer)
{
	if (!site->ends[peer] || !site->issuer)
		return;
	relays_site_enter(site);
	site_peer_lost(issuer_site_peer(site->issuer, relays_names[peer]), "cut");
}

void relays_cut(struct relays *world, unsigned a, unsigned b)
{
	if (!world->sites[a].ends[b] && !world->sites[b].ends[a])
		return;
	explore_trace(&world->course, "%s and %s are cut off", relays_names[a], relays_names[b]);
	lose_end(&world->sites[a], b);
	lose_end(&world->sites[b], a);
}

void relays_lose(struct relays_site *site)
{
	struct relays *world = site->world;

	for (unsigned i = 0; i < world->site_count; i++) {
		if (!site->ends[i])
			continue;
		if (site->ends[i]->other)
			site->ends[i]->other->other = NULL;
		site->ends[i]->other = NULL;
	}
}

static void add_end(struct relays *world, unsigned from, unsigned to)
{
	struct relays_end *end = calloc(1, sizeof(*end));

	if (!end)
		abort();
	end->transport.send = end_send;
	end->transport.close = end_close;
	end->site = &world->sites[from];
	end->peer = to;
	world->sites[from].ends[to] = end;
}

static void attach(struct relays_site *site, unsigned peer)
{
	relays_site_enter(site);
	if (issuer_attach(site->issuer, relays_names[peer], &site->ends[peer]->transport) < 0)
		abort();
}

void relays_connect(struct relays *world, unsigned a, unsigned b)
{
	struct relays_site *one = &world->sites[a], *two = &world->sites[b];

	world->connect_usec[relays_link(a, b)] = world->course.now_usec + RECONNECT_USEC;
	if (!one->issuer || !two->issuer)
		return;
	relays_cut(world, a, b);
	explore_trace(&world->course, "%s and %s are connected", relays_names[a], relays_names[b]);
	add_end(world, a, b);
	add_end(world, b, a);
	one->ends[b]->other = two->ends[a];
	two->ends[a]->other = one->ends[b];
	attach(one, b);
	attach(two, a);
}

size_t relays_next_frame(const struct relays *world)
{
	size_t next = SIZE_MAX;

	for (size_t i = 0; i < world->frame_count; i++)
		if (world->frames[i].to->site->stalled_usec <= world->course.now_usec &&
		    (next == SIZE_MAX || world->frames[i].at_usec < world->frames[next].at_usec))
			next = i;
	return next;
}

static void trace_frame(const struct relays *world, const struct relays_frame *frame)
{
	char *text = world->course.is_traced ? json_dumps(frame->json, JSON_COMPACT) : NULL;

	if (text)
		explore_trace(&world->course, "%s hears of %s %s",
			      relays_names[frame->to->site->index], relays_names[frame->to->peer],
			      text);
	free(text);
}

void relays_deliver_frame(struct relays *world, size_t i)
{
	struct relays_frame frame = world->frames[i];
	struct relays_site *site = frame.to->site;
	unsigned peer = frame.to->peer;

	trace_frame(world, &frame);
	world->frame_count--;
	memmove(&world->frames[i], &world->frames[i + 1], (world->frame_count - i) * sizeof(frame));
	relays_site_enter(site);
	site_peer_receive(issuer_site_peer(site->issuer, relays_names[peer]), frame.json);
	json_decref(frame.json);
	relays_site_heed(site);
}
