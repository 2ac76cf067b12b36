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
	void (*on_lost)(const char *reason, void *userdata);
};

/* config is borrowed and outlives it. */
int link_peer_new(sd_event *event, const struct link_config *config,
		  const struct link_peer_handler *handler, void *userdata, struct link_peer **ret);
struct link_peer *link_peer_free(struct link_peer *peer);
DEFINE_CLEANUP(struct link_peer *, link_peer_free);

void link_peer_send(struct link_peer *peer, const struct sync_message *message);
/* Ends the connection without on_lost(); the next one comes by itself. */
void link_peer_disconnect(struct link_peer *peer);
/* Reads certificates and key again, for the connections to come. */
int link_peer_reload(struct link_peer *peer, const struct link_config *config);
