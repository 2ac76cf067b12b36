/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Connects the peers: dials those that we lead, listens for the others, and gives each connection
 * to its site_peer.
 */

#include "common/channel.h"
#include "qkd-keyringd/site-peer.h"

struct site_network;

struct site_network_options {
	sd_event *event;
	const char *site;
	const char *listen; /* NULL: do not */
	struct channel_identity *identity;
	/* The hello to send on a new connection with this peer, borrowed. */
	const struct site_message *(*hello)(struct site_peer *peer, void *userdata);
	void *userdata;
};

int site_network_new(const struct site_network_options *options, struct site_network **ret);
struct site_network *site_network_free(struct site_network *network);
DEFINE_CLEANUP(struct site_network *, site_network_free);

/* address is needed where we lead; without one the peer is not dialled. */
int site_network_add(struct site_network *network, struct site_peer *peer, const char *address);
/* Its connection is gone: dial again where it is for us to dial. */
void site_network_lost(struct site_network *network, struct site_peer *peer, const char *reason);
/* Why there is no connection, as far as is known here; "" while there is one. Borrowed. */
const char *site_network_trouble(struct site_network *network, const struct site_peer *peer);
void site_network_set_identity(struct site_network *network, struct channel_identity *identity);
