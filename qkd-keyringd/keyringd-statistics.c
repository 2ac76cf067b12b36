/* SPDX-License-Identifier: MIT */
/* Gathers the values of the parts in groups, one for each store and each peer. */

#include "keyringd-statistics.h"

#include "issue-log.h"
#include "site-peer.h"

#define UPCALL_SOCKETS 2 /* the site's, and the one for descriptions without a site */

#define GAUGE(n, u, h)                                                 \
	{                                                              \
		"store." n, STATISTICS_GAUGE, STATISTICS_INTEGER, u, h \
	}

const struct statistics_definition keyringd_statistics_store[STORE_STATISTIC_COUNT_] = {
	[STORE_STATISTIC_CONNECTED] =
		GAUGE("connected", "", "1 while the peer's keyringd is connected"),
	[STORE_STATISTIC_AVAILABLE_OWN] =
		GAUGE("available.own", "keys", "available keys that this site may allocate"),
	[STORE_STATISTIC_AVAILABLE_PEER] =
		GAUGE("available.peer", "keys", "available keys that the peer may allocate"),
	[STORE_STATISTIC_RESERVED] = GAUGE("reserved", "keys", "keys reserved for somebody"),
	[STORE_STATISTIC_DELIVERING] =
		GAUGE("delivering", "keys", "keys handed out, delivery not reported"),
	[STORE_STATISTIC_ISSUED] = GAUGE("issued", "keys", "issued keys that are still known"),
	[STORE_STATISTIC_DESTROYED] =
		GAUGE("destroyed", "keys", "destroyed keys that are still known"),
	[STORE_STATISTIC_LABELS] = GAUGE("labels", "labels", "labels that are in use or spent"),
	[STORE_STATISTIC_LOST] =
		GAUGE("lost", "keys", "keys given up because a crash left them uncertain"),
	[STORE_STATISTIC_ALTERNATIVES] =
		GAUGE("alternatives", "keys", "keys that stood in for ones that a site refused"),
};

struct store_group {
	struct keyringd_statistics *owner;
	size_t index; /* the issuer's */
	struct statistic values[STORE_STATISTIC_COUNT_];
	struct statistics_group store, site;
};

struct upcall_group {
	struct upcall_server *server;
	struct statistics_group group;
};

struct keyringd_statistics {
	sd_event *event;
	const char *site;
	struct issuer *issuer;
	struct statistics set;
	struct statistics_bus *bus;
	struct store_group *stores;
	size_t store_count;
	struct statistics_group record, calls, multihop;
	struct upcall_group upcalls[UPCALL_SOCKETS];
	size_t upcall_count;
};

static uint64_t now_usec(const struct keyringd_statistics *s)
{
	uint64_t now = 0;

	sd_event_now(s->event, CLOCK_MONOTONIC, &now);
	return now;
}

/* Labels: the site, and one more where name is not NULL. */
static void add(struct keyringd_statistics *s, struct statistics_group *group,
		const struct statistics_definition *definitions, struct statistic *values,
		size_t count, const char *name, const char *value)
{
	*group = (struct statistics_group){
		.definitions = definitions,
		.values = values,
		.count = count,
		.labels = {{"site", s->site}, {name, value}},
		.label_count = name ? 2 : 1,
	};
	statistics_add_group(&s->set, group);
}

/* Stores */

static void collect_store(void *userdata)
{
	struct store_group *group = userdata;
	struct statistic *values = group->values;
	struct store_status status;

	if (issuer_store_status(group->owner->issuer, group->index, &status) < 0)
		return;
	statistics_set(&values[STORE_STATISTIC_CONNECTED], status.connected);
	statistics_set(&values[STORE_STATISTIC_AVAILABLE_OWN], status.available_own);
	statistics_set(&values[STORE_STATISTIC_AVAILABLE_PEER], status.available_peer);
	statistics_set(&values[STORE_STATISTIC_RESERVED], status.reserved);
	statistics_set(&values[STORE_STATISTIC_DELIVERING], status.delivering);
	statistics_set(&values[STORE_STATISTIC_ISSUED], status.issued);
	statistics_set(&values[STORE_STATISTIC_DESTROYED], status.destroyed);
	statistics_set(&values[STORE_STATISTIC_LABELS], status.labels);
	statistics_set(&values[STORE_STATISTIC_LOST], status.lost_ahead);
	statistics_set(&values[STORE_STATISTIC_ALTERNATIVES], status.alternatives);
}

static int add_store(struct keyringd_statistics *s, size_t index)
{
	struct store_group *group = &s->stores[index];
	struct store_status status;
	struct site_peer *peer;
	int r = issuer_store_status(s->issuer, index, &status);

	if (r < 0)
		return r;
	group->owner = s;
	group->index = index;
	add(s, &group->store, keyringd_statistics_store, group->values, STORE_STATISTIC_COUNT_,
	    "peer", status.peer);
	group->store.collect = collect_store;
	group->store.userdata = group;
	peer = issuer_site_peer(s->issuer, status.peer);
	if (peer)
		add(s, &group->site, site_peer_definitions, site_peer_statistics(peer),
		    SITE_PEER_STATISTIC_COUNT_, "peer", status.peer);
	return 0;
}

static int add_stores(struct keyringd_statistics *s)
{
	size_t count = issuer_store_count(s->issuer);
	int r = 0;

	s->stores = calloc(MAX(count, (size_t)1), sizeof(*s->stores));
	if (!s->stores)
		return -ENOMEM;
	for (; r >= 0 && s->store_count < count; s->store_count++)
		r = add_store(s, s->store_count);
	return r;
}

/* Doors */

void keyringd_statistics_add_calls(struct keyringd_statistics *s, struct bus_calls *calls)
{
	add(s, &s->calls, bus_call_definitions, calls->statistics, BUS_CALL_STATISTIC_COUNT_, NULL,
	    NULL);
}

void keyringd_statistics_add_multihop(struct keyringd_statistics *s, struct multihop *multihop)
{
	add(s, &s->multihop, multihop_definitions, multihop_statistics(multihop),
	    MULTIHOP_STATISTIC_COUNT_, NULL, NULL);
}

static void collect_upcalls(void *userdata)
{
	struct upcall_server *server = userdata;

	statistics_set(&upcall_server_statistics(server)[UPCALL_STATISTIC_OPEN],
		       upcall_server_open_count(server));
}

int keyringd_statistics_add_upcalls(struct keyringd_statistics *s, struct upcall_server *server,
				    const char *name)
{
	struct upcall_group *group = &s->upcalls[s->upcall_count];

	if (s->upcall_count == UPCALL_SOCKETS)
		return -ENOSPC;
	s->upcall_count++;
	group->server = server;
	add(s, &group->group, upcall_definitions, upcall_server_statistics(server),
	    UPCALL_STATISTIC_COUNT_, "socket", name);
	group->group.collect = collect_upcalls;
	group->group.userdata = server;
	return 0;
}

/* Beginning and end */

int keyringd_statistics_new(sd_event *event, const char *site, struct issuer *issuer,
			    struct keyringd_statistics **ret)
{
	_cleanup_(keyringd_statistics_freep) struct keyringd_statistics *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->event = sd_event_ref(event);
	s->site = site;
	s->issuer = issuer;
	statistics_init(&s->set, now_usec(s));
	add(s, &s->record, issue_log_definitions, issuer_record_statistics(issuer),
	    ISSUE_LOG_STATISTIC_COUNT_, NULL, NULL);
	r = add_stores(s);
	if (r >= 0)
		r = statistics_bus_new(event, &s->set, &s->bus);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

struct keyringd_statistics *keyringd_statistics_free(struct keyringd_statistics *s)
{
	if (!s)
		return NULL;
	statistics_bus_free(s->bus);
	free(s->stores);
	sd_event_unref(s->event);
	free(s);
	return NULL;
}

struct statistics_bus *keyringd_statistics_bus(struct keyringd_statistics *s)
{
	return s->bus;
}

void keyringd_statistics_sample(struct keyringd_statistics *s)
{
	statistics_sample(&s->set, now_usec(s));
}
