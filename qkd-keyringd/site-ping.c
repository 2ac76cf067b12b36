/* SPDX-License-Identifier: MIT */

/* Round trips to peers for callers on D-Bus, each with a time limit of its own. */

#include "site-ping.h"

#include "bus-call.h"
#include "issuer-path.h"

struct site_pings {
	sd_event *event;
	struct issuer *issuer;
	struct list open;
	size_t count;
};

struct ping {
	struct list link;
	struct site_pings *pings;
	struct site_peer *peer;
	struct site_request request;
	sd_bus_message *message;
	sd_event_source *timer;
	uint64_t asked_usec;
};

static struct ping *ping_free(struct ping *ping)
{
	if (!ping)
		return NULL;
	site_request_cancel(ping->peer, &ping->request);
	sd_event_source_disable_unref(ping->timer);
	sd_bus_message_unref(ping->message);
	list_remove(&ping->link);
	ping->pings->count--;
	free(ping);
	return NULL;
}
DEFINE_CLEANUP(struct ping *, ping_free);

static void answered(struct site_request *request, const struct site_message *answer)
{
	_cleanup_(ping_freep) struct ping *ping = CONTAINER_OF(request, struct ping, request);

	sd_bus_reply_method_return(ping->message, "t", statistics_clock_usec() - ping->asked_usec);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	_cleanup_(ping_freep) struct ping *ping = userdata;

	bus_call_reply_error(ping->message, -ETIMEDOUT, "The site does not answer");
	return 0;
}

static int ask(struct ping *ping)
{
	struct site_message query = {
		.type = SITE_QUERY,
		.request = issuer_path_new_id(ping->pings->issuer),
	};
	int r = uuid_new_random(&query.id);

	if (r >= 0)
		r = sd_event_add_time_relative(ping->pings->event, &ping->timer, CLOCK_MONOTONIC,
					       SITE_PING_USEC, 0, on_timeout, ping);
	ping->asked_usec = statistics_clock_usec();
	return r < 0 ? r : site_peer_ask(ping->peer, &ping->request, &query, answered);
}

static int start(struct site_pings *pings, struct site_peer *peer, sd_bus_message *message)
{
	_cleanup_(ping_freep) struct ping *ping = calloc(1, sizeof(*ping));
	int r;

	if (!ping)
		return -ENOMEM;
	ping->pings = pings;
	ping->peer = peer;
	ping->message = sd_bus_message_ref(message);
	list_init(&ping->link);
	list_append(&pings->open, &ping->link);
	pings->count++;
	r = ask(ping);
	if (r < 0)
		return r;
	TAKE_PTR(ping); /* it is in the list */
	return 1;
}

int site_pings_bus(struct site_pings *pings, sd_bus_message *message)
{
	struct site_peer *peer;
	const char *name;
	int r = sd_bus_message_read(message, "s", &name);

	if (r < 0)
		return r;
	peer = issuer_site_peer(pings->issuer, name);
	if (!peer)
		return bus_call_reply_error(message, -ENOKEY, "There is no such peer site");
	if (!site_peer_is_connected(peer))
		return bus_call_reply_error(message, -ENOTCONN, "The site is not connected");
	if (pings->count >= SITE_PING_MAX)
		return bus_call_reply_error(message, -EDQUOT, "Too many are under way");
	return start(pings, peer, message);
}

int site_pings_new(sd_event *event, struct issuer *issuer, struct site_pings **ret)
{
	struct site_pings *pings = calloc(1, sizeof(*pings));

	if (!pings)
		return -ENOMEM;
	pings->event = sd_event_ref(event);
	pings->issuer = issuer;
	list_init(&pings->open);
	*ret = pings;
	return 0;
}

struct site_pings *site_pings_free(struct site_pings *pings)
{
	if (!pings)
		return NULL;
	while (!list_is_empty(&pings->open))
		ping_free(LIST_ENTRY(pings->open.next, struct ping, link));
	sd_event_unref(pings->event);
	free(pings);
	return NULL;
}
