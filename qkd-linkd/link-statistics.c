/* SPDX-License-Identifier: MIT */
/* Brings together what the parts of a link count; levels are looked at when somebody reads. */

#include "qkd-linkd/link-private.h"

#include "qkd-linkd/distill-statistics.h"

#define COUNTER(n, u, h)                                                \
	{                                                               \
		"link." n, STATISTICS_COUNTER, STATISTICS_INTEGER, u, h \
	}
#define GAUGE(n, u, h)                                                \
	{                                                             \
		"link." n, STATISTICS_GAUGE, STATISTICS_INTEGER, u, h \
	}

const struct statistics_definition link_statistics_definitions[LINK_STATISTIC_COUNT_] = {
	[LINK_STATISTIC_CONNECTED] = GAUGE("connected", "", "1 while the peer is connected"),
	[LINK_STATISTIC_CONNECTIONS] =
		COUNTER("connections", "connections", "times the peer was connected"),
	[LINK_STATISTIC_OPEN] = GAUGE("open", "transactions", "transactions that are open"),
	[LINK_STATISTIC_STOCK] = GAUGE("stock", "keys", "lines in the key files"),
	[LINK_STATISTIC_POOL] = GAUGE("pool", "keys", "keys in the kernel's pool"),
	[LINK_STATISTIC_DEPOSITED] =
		COUNTER("deposited", "keys", "keys put into the kernel's pool"),
	[LINK_STATISTIC_FLUSH] = {"link.flush", STATISTICS_SUMMARY, STATISTICS_TIME, "seconds",
				  "time for key files and journal to become durable"},
};

static void collect(void *userdata)
{
	struct link *link = userdata;
	struct statistic *values = link->statistics.values;

	statistics_set(&values[LINK_STATISTIC_CONNECTED], sync_machine_is_connected(link->machine));
	statistics_set(&values[LINK_STATISTIC_OPEN], sync_machine_open(link->machine));
	if (link->deposit)
		statistics_set(&values[LINK_STATISTIC_POOL], deposit_count(link->deposit));
	statistics_set(&link_device_statistics(link->device)[LINK_DEVICE_STATISTIC_STATE],
		       link_device_state(link->device));
}

static void add(struct link *link, struct statistics_group *group,
		const struct statistics_definition *definitions, struct statistic *values,
		size_t count)
{
	struct link_statistics *s = &link->statistics;

	*group = (struct statistics_group){
		.definitions = definitions,
		.values = values,
		.count = count,
		.labels = {{"site", s->site_name}, {"link", s->link_name}, {"peer", s->peer_name}},
		.label_count = 3,
	};
	statistics_add_group(&s->set, group);
}

/* A reload replaces the configuration while labels stay. */
static void keep_names(struct link *link)
{
	struct link_statistics *s = &link->statistics;

	snprintf(s->site_name, sizeof(s->site_name), "%s", link->config->site);
	snprintf(s->link_name, sizeof(s->link_name), "%s", link->config->link);
	snprintf(s->peer_name, sizeof(s->peer_name), "%s", link->config->peer);
}

int link_statistics_open(struct link *link)
{
	struct link_statistics *s = &link->statistics;
	struct device *distilled = link_device_distilled(link->device);

	keep_names(link);
	statistics_init(&s->set, link_now(link));
	add(link, &s->link, link_statistics_definitions, s->values, LINK_STATISTIC_COUNT_);
	s->link.collect = collect;
	s->link.userdata = link;
	add(link, &s->device, link_device_definitions, link_device_statistics(link->device),
	    LINK_DEVICE_STATISTIC_COUNT_);
	add(link, &s->sync, sync_statistics, sync_machine_statistics(link->machine),
	    SYNC_STATISTIC_COUNT_);
	if (distilled)
		add(link, &s->distill, distill_statistics, distilled_device_statistics(distilled),
		    DISTILL_STATISTIC_COUNT_);
	return statistics_bus_new(link->event, &s->set, &s->bus);
}

struct statistics_bus *link_statistics_bus(struct link *link)
{
	return link->statistics.bus;
}

void link_statistics_close(struct link *link)
{
	link->statistics.bus = statistics_bus_free(link->statistics.bus);
}
