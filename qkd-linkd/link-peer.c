/* SPDX-License-Identifier: MIT */

/*
 * Owns the channel to the peer, whoever made it.
 */

#include "qkd-linkd/link-peer.h"

#include "common/events.h"
#include "common/log.h"

#define REFUSED_LOG_USEC  (60 * USEC_PER_SEC)
#define REFUSED_LOG_BURST 5

struct link_peer {
	sd_event *event;
	const struct link_config *config;
	struct link_peer_handler handler;
	void *userdata;
	struct channel_server *server; /* the follower's */
	struct channel_client *client; /* the leader's */
	struct channel *channel;
	struct log_ratelimit refused_limit, violation_limit;
	char trouble[CHANNEL_REASON_CHARS + 64]; /* why there is no channel */
	struct uuid ids[SYNC_MAX_KEYS];
};

/* Gives the channel up; a client begins anew. */
static void drop(struct link_peer *peer, const char *reason)
{
	if (!peer->channel)
		return;
	peer->channel = channel_free(peer->channel);
	snprintf(peer->trouble, sizeof(peer->trouble), "%s", reason);
	if (peer->client && channel_client_reconnect(peer->client) < 0)
		log_error("Cannot connect to %s again", peer->config->peer);
}

static void log_violation(struct link_peer *peer, const char *what)
{
	struct log_fields fields = {.peer = peer->config->peer, .reason = "malformed"};
	unsigned suppressed;

	if (log_ratelimit_pass(&peer->violation_limit, &suppressed))
		log_event(LOG_WARNING, EVENT_SYNC_VIOLATION, &fields,
			  "%s sent a malformed message (%s); connection ended", peer->config->peer,
			  what);
}

static void on_message(struct channel *channel, json_t *json, void *userdata)
{
	struct link_peer *peer = userdata;
	struct sync_message message;
	const char *what;

	if (sync_message_verify(json, peer->ids, &message, &what) >= 0) {
		peer->handler.on_message(&message, peer->userdata);
		return;
	}
	log_violation(peer, what);
	drop(peer, "it sent a malformed message");
	peer->handler.on_lost("it sent a malformed message", peer->userdata);
}

static void on_binary(struct channel *channel, const uint8_t *bytes, size_t size_bytes,
		      void *userdata)
{
	struct link_peer *peer = userdata;

	if (peer->handler.on_binary &&
	    peer->handler.on_binary(bytes, size_bytes, peer->userdata) >= 0)
		return;
	if (peer->channel != channel) /* it has ended in it */
		return;
	log_violation(peer, "a binary frame out of place");
	link_peer_reconnect(peer, "it sent a malformed message");
}

static void on_closed(struct channel *channel, int result, const char *reason, void *userdata)
{
	struct link_peer *peer = userdata;

	drop(peer, reason);
	peer->handler.on_lost(reason, peer->userdata);
}

static void on_channel(struct channel *channel, void *userdata)
{
	static const struct channel_handler handler = {
		.on_message = on_message, .on_binary = on_binary, .on_closed = on_closed};
	struct link_peer *peer = userdata;

	if (peer->channel) {
		peer->channel = channel_free(peer->channel);
		peer->handler.on_lost("it has connected again", peer->userdata);
	}
	peer->channel = channel;
	peer->trouble[0] = '\0';
	channel_set_handler(channel, &handler, peer);
	peer->handler.on_connected(peer->userdata);
}

/* Server */

static bool allow(const char *name, void *userdata)
{
	const struct link_peer *peer = userdata;

	return str_equal(name, peer->config->peer);
}

static void refused(const char *address, const char *reason, void *userdata)
{
	struct link_peer *peer = userdata;
	struct log_fields fields = {.peer = peer->config->peer, .reason = "refused"};
	unsigned suppressed;

	if (!peer->channel)
		snprintf(peer->trouble, sizeof(peer->trouble), "%s was refused: %s", address,
			 reason);
	if (log_ratelimit_pass(&peer->refused_limit, &suppressed))
		log_event(LOG_WARNING, EVENT_CONNECTION_REFUSED, &fields,
			  "Connection from %s refused: %s (%u more not logged)", address, reason,
			  suppressed);
}

/* Client */

/* Once for each reason, not for each try. */
static void failed(int result, const char *reason, void *userdata)
{
	struct link_peer *peer = userdata;
	struct log_fields fields = {.peer = peer->config->peer, .error = -result};

	if (str_equal(peer->trouble, reason))
		return;
	snprintf(peer->trouble, sizeof(peer->trouble), "%s", reason);
	log_event(LOG_WARNING, EVENT_PEER_UNREACHABLE, &fields, "Cannot connect to %s at %s: %s",
		  peer->config->peer, peer->config->peer_address, reason);
}

static int read_identity(const struct link_config *config, struct channel_identity **ret)
{
	_cleanup_(freep) char *what = NULL;
	int r = channel_identity_new(config->tls_ca, config->tls_certificate, config->tls_key,
				     &what, ret);

	if (r < 0)
		log_error("Cannot use the certificates: %s", what ? what : strerror(-r));
	return r;
}

static int open_server(struct link_peer *peer, struct channel_identity *identity)
{
	static const struct channel_server_handler handler = {
		.allow = allow, .on_channel = on_channel, .refused = refused};
	int r = channel_server_new(peer->event, peer->config->listen, identity, &handler, peer,
				   &peer->server);

	if (r < 0)
		log_error("Cannot listen on %s: %s", peer->config->listen, strerror(-r));
	return r;
}

static int open_client(struct link_peer *peer, struct channel_identity *identity)
{
	static const struct channel_client_handler handler = {.on_channel = on_channel,
							      .failed = failed};
	int r = channel_client_new(peer->event, peer->config->peer_address, peer->config->peer,
				   identity, &handler, peer, &peer->client);

	if (r < 0)
		log_error("Cannot dial %s: %s", peer->config->peer_address, strerror(-r));
	return r;
}

static int check_name(const struct link_config *config, const struct channel_identity *identity)
{
	const char *name = channel_identity_name(identity);

	if (str_equal(name, config->site))
		return 0;
	log_error("The certificate in %s is %s's, not %s's", config->tls_certificate, name,
		  config->site);
	return -EINVAL;
}

int link_peer_new(sd_event *event, const struct link_config *config,
		  const struct link_peer_handler *handler, void *userdata, struct link_peer **ret)
{
	_cleanup_(link_peer_freep) struct link_peer *peer = calloc(1, sizeof(*peer));
	_cleanup_(channel_identity_unrefp) struct channel_identity *identity = NULL;
	int r;

	if (!peer)
		return -ENOMEM;
	peer->event = sd_event_ref(event);
	peer->config = config;
	peer->handler = *handler;
	peer->userdata = userdata;
	peer->refused_limit = peer->violation_limit = (struct log_ratelimit){
		.interval_usec = REFUSED_LOG_USEC, .burst = REFUSED_LOG_BURST};
	r = read_identity(config, &identity);
	if (r >= 0)
		r = check_name(config, identity);
	if (r >= 0)
		r = link_config_is_leader(config) ? open_client(peer, identity)
						  : open_server(peer, identity);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(peer);
	return 0;
}

struct link_peer *link_peer_free(struct link_peer *peer)
{
	if (!peer)
		return NULL;
	channel_free(peer->channel);
	channel_client_free(peer->client);
	channel_server_free(peer->server);
	sd_event_unref(peer->event);
	free(peer);
	return NULL;
}

void link_peer_send(struct link_peer *peer, const struct sync_message *message)
{
	_cleanup_(json_decrefp) json_t *json = NULL;
	int r;

	if (!peer->channel)
		return;
	r = sync_message_build(message, &json);
	if (r >= 0)
		r = channel_send(peer->channel, json);
	if (r < 0) /* as if it were lost: it is repeated */
		log_debug("%s to %s not sent: %s", sync_kind_name(message->kind),
			  peer->config->peer, strerror(-r));
}

int link_peer_send_binary(struct link_peer *peer, const void *bytes, size_t size_bytes)
{
	return peer->channel ? channel_send_binary(peer->channel, bytes, size_bytes) : -ENOTCONN;
}

void link_peer_reconnect(struct link_peer *peer, const char *reason)
{
	if (!peer->channel)
		return;
	drop(peer, reason);
	peer->handler.on_lost(reason, peer->userdata);
}

void link_peer_disconnect(struct link_peer *peer)
{
	drop(peer, "ended here");
}

const char *link_peer_trouble(const struct link_peer *peer)
{
	return peer->channel ? "" : peer->trouble;
}

int link_peer_reload(struct link_peer *peer, const struct link_config *config)
{
	_cleanup_(channel_identity_unrefp) struct channel_identity *identity = NULL;
	int r = read_identity(config, &identity);

	if (r >= 0)
		r = check_name(config, identity);
	if (r < 0)
		return r;
	if (peer->server)
		channel_server_set_identity(peer->server, identity);
	if (peer->client)
		channel_client_set_identity(peer->client, identity);
	return 0;
}
