/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The connection to the twin at the peer site: the leader dials, the follower listens; one
 * connection at a time, the newest wins. Turns frames into sync messages and back; what is no sync
 * message ends the connection.
 */

#include "common/channel.h"
#include "qkd-linkd/link-config.h"
#include "qkd-linkd/sync-message.h"

struct link_peer;

struct link_peer_handler {
	void (*on_connected)(void *userdata);
	void (*on_message)(const struct sync_message *message, void *userdata);
	/* A binary frame, borrowed; negative: it is malformed. NULL: there are none. */
	int (*on_binary)(const uint8_t *bytes, size_t size_bytes, void *userdata);
	void (*on_lost)(const char *reason, void *userdata);
};

/* config is borrowed and outlives it. */
int link_peer_new(sd_event *event, const struct link_config *config,
		  const struct link_peer_handler *handler, void *userdata, struct link_peer **ret);
struct link_peer *link_peer_free(struct link_peer *peer);
DEFINE_CLEANUP(struct link_peer *, link_peer_free);

void link_peer_send(struct link_peer *peer, const struct sync_message *message);
/* Negative errno when it cannot be queued. */
int link_peer_send_binary(struct link_peer *peer, const void *bytes, size_t size_bytes);
/* Ends the connection, with on_lost(); the next one comes by itself. */
void link_peer_reconnect(struct link_peer *peer, const char *reason);
/* Ends the connection without on_lost(); the next one comes by itself. */
void link_peer_disconnect(struct link_peer *peer);
/* Why there is no connection, as far as is known here; "" while there is one. */
const char *link_peer_trouble(const struct link_peer *peer);
/* Reads certificates and key again, for the connections to come. */
int link_peer_reload(struct link_peer *peer, const struct link_config *config);
