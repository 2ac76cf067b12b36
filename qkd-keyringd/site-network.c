/* SPDX-License-Identifier: MIT */

/*
 * The network side of the site protocol: which site dials which, and a TLS channel as a transport
 * of a site_peer. It exists so that the protocol itself runs in tests without sockets.
 */

#include "qkd-keyringd/site-network.h"

#include "common/events.h"
#include "common/log.h"

struct peer_entry {
	struct list link;
	struct site_network *network;
	struct site_peer *peer;
	struct channel_client *client;      /* NULL: it dials us */
	char trouble[CHANNEL_REASON_CHARS]; /* why there is no connection */
};

struct site_network {
	sd_event *event;
	char *site;
	struct channel_identity *identity;
	struct channel_server *server;
	const struct site_message *(*hello)(struct site_peer *peer, void *userdata);
	void *userdata;
	struct list peers;
	struct log_ratelimit refused_limit;
};

/* One connection. */
struct channel_transport {
	struct site_transport transport;
	struct channel *channel;
	struct site_peer *peer;
};

static int transport_send(struct site_transport *transport, const json_t *frame)
{
	struct channel_transport *self =
		CONTAINER_OF(transport, struct channel_transport, transport);

	return channel_send(self->channel, frame);
}

static void transport_close(struct site_transport *transport)
{
	struct channel_transport *self =
		CONTAINER_OF(transport, struct channel_transport, transport);

	channel_free(self->channel);
	free(self);
}

static void on_message(struct channel *channel, json_t *message, void *userdata)
{
	struct channel_transport *self = userdata;

	site_peer_receive(self->peer, message);
}

static void on_closed(struct channel *channel, int result, const char *reason, void *userdata)
{
	struct channel_transport *self = userdata;

	site_peer_lost(self->peer, reason);
}

static const struct channel_handler channel_handler = {
	.on_message = on_message,
	.on_closed = on_closed,
};

static struct peer_entry *find_by_name(struct site_network *network, const char *name)
{
	LIST_FOREACH (link, &network->peers) {
		struct peer_entry *entry = LIST_ENTRY(link, struct peer_entry, link);

		if (str_equal(site_peer_name(entry->peer), name))
			return entry;
	}
	return NULL;
}

/* Takes the channel. */
static void attach(struct peer_entry *entry, struct channel *channel)
{
	struct site_network *network = entry->network;
	struct channel_transport *self = calloc(1, sizeof(*self));

	if (!self) {
		channel_free(channel);
		return;
	}
	self->transport.send = transport_send;
	self->transport.close = transport_close;
	self->channel = channel;
	self->peer = entry->peer;
	channel_set_handler(channel, &channel_handler, self);
	if (site_peer_attach(entry->peer, &self->transport,
			     network->hello(entry->peer, network->userdata)) < 0)
		site_peer_lost(entry->peer, "out of memory");
	else
		entry->trouble[0] = '\0';
}

static void client_connected(struct channel *channel, void *userdata)
{
	attach(userdata, channel);
}

/* Once for each reason, not for each try. */
static void client_failed(int result, const char *reason, void *userdata)
{
	struct peer_entry *entry = userdata;
	struct log_fields fields = {.peer = site_peer_name(entry->peer), .error = -result};

	if (str_equal(entry->trouble, reason))
		return;
	snprintf(entry->trouble, sizeof(entry->trouble), "%s", reason);
	log_event(LOG_WARNING, EVENT_PEER_UNREACHABLE, &fields, "cannot connect to site %s: %s",
		  site_peer_name(entry->peer), reason);
}

static const struct channel_client_handler client_handler = {
	.on_channel = client_connected,
	.failed = client_failed,
};

static bool server_allow(const char *peer, void *userdata)
{
	struct peer_entry *entry = find_by_name(userdata, peer);

	return entry && !entry->client;
}

static void server_connected(struct channel *channel, void *userdata)
{
	struct peer_entry *entry = find_by_name(userdata, channel_peer(channel));

	if (entry)
		attach(entry, channel);
	else
		channel_free(channel);
}

static void server_refused(const char *address, const char *reason, void *userdata)
{
	struct site_network *network = userdata;
	unsigned suppressed;

	if (log_ratelimit_pass(&network->refused_limit, &suppressed))
		log_event(LOG_WARNING, EVENT_CONNECTION_REFUSED, &(struct log_fields){},
			  "connection from %s refused: %s (%u more)", address, reason, suppressed);
}

static const struct channel_server_handler server_handler = {
	.allow = server_allow,
	.on_channel = server_connected,
	.refused = server_refused,
};

int site_network_new(const struct site_network_options *options, struct site_network **ret)
{
	_cleanup_(site_network_freep) struct site_network *network = calloc(1, sizeof(*network));
	int r = 0;

	if (!network)
		return -ENOMEM;
	list_init(&network->peers);
	network->refused_limit =
		(struct log_ratelimit){.interval_usec = 60 * USEC_PER_SEC, .burst = 5};
	network->event = sd_event_ref(options->event);
	network->identity = channel_identity_ref(options->identity);
	network->hello = options->hello;
	network->userdata = options->userdata;
	network->site = strdup(options->site);
	if (!network->site)
		return -ENOMEM;
	if (options->listen)
		r = channel_server_new(network->event, options->listen, network->identity,
				       &server_handler, network, &network->server);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(network);
	return 0;
}

struct site_network *site_network_free(struct site_network *network)
{
	if (!network)
		return NULL;
	channel_server_free(network->server);
	while (!list_is_empty(&network->peers)) {
		struct peer_entry *entry = LIST_ENTRY(network->peers.next, struct peer_entry, link);

		list_remove(&entry->link);
		channel_client_free(entry->client);
		free(entry);
	}
	channel_identity_unref(network->identity);
	sd_event_unref(network->event);
	free(network->site);
	free(network);
	return NULL;
}

int site_network_add(struct site_network *network, struct site_peer *peer, const char *address)
{
	struct peer_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	entry->network = network;
	entry->peer = peer;
	list_init(&entry->link);
	list_append(&network->peers, &entry->link);
	if (!address || !site_is_leader(network->site, site_peer_name(peer)))
		return 0;
	return channel_client_new(network->event, address, site_peer_name(peer), network->identity,
				  &client_handler, entry, &entry->client);
}

const char *site_network_trouble(struct site_network *network, const struct site_peer *peer)
{
	const struct peer_entry *entry = find_by_name(network, site_peer_name(peer));

	return entry ? entry->trouble : "";
}

void site_network_lost(struct site_network *network, struct site_peer *peer, const char *reason)
{
	struct peer_entry *entry = find_by_name(network, site_peer_name(peer));

	if (entry)
		snprintf(entry->trouble, sizeof(entry->trouble), "%s", reason);
	if (entry && entry->client && channel_client_reconnect(entry->client) < 0)
		log_warning("cannot connect to site %s again", site_peer_name(peer));
}

void site_network_set_identity(struct site_network *network, struct channel_identity *identity)
{
	channel_identity_ref(identity);
	channel_identity_unref(network->identity);
	network->identity = identity;
	if (network->server)
		channel_server_set_identity(network->server, identity);
	LIST_FOREACH (link, &network->peers) {
		struct peer_entry *entry = LIST_ENTRY(link, struct peer_entry, link);

		if (entry->client)
			channel_client_set_identity(entry->client, identity);
	}
}
