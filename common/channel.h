/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Frames between two sites over TCP with TLS 1.3 and certificates on both sides, on an sd_event
 * loop. The peer's certificate must chain to the configured CA and its subject common name must be
 * the site's name that we expect; anything else never reaches a callback.
 *
 * A channel is one established connection. A channel_server accepts, a channel_client connects and
 * goes on connecting with back-off for as long as it lives. Callbacks may free the channel.
 */

#include <systemd/sd-event.h>

#include "common/frame.h"

#define CHANNEL_MAX_QUEUED_BYTES (16u << 20)
#define CHANNEL_MAX_PENDING      64 /* accepted, handshake not done, one server */
#define CHANNEL_HANDSHAKE_USEC   (5 * USEC_PER_SEC)
#define CHANNEL_FRAME_USEC       (10 * USEC_PER_SEC) /* a frame begun must end within */
#define CHANNEL_REASON_CHARS     256
#define CHANNEL_KEEPALIVE_SEC    10 /* TCP keepalive and user timeout */
#define CHANNEL_BACKOFF_MIN_USEC (100 * USEC_PER_MSEC)
#define CHANNEL_BACKOFF_MAX_USEC (5 * USEC_PER_SEC)

#define CHANNEL_MAX_PENDING_PER_HOST 8 /* of these from one host (IPv6: one /64) */

struct channel;
struct channel_server;
struct channel_client;
struct channel_identity;

/* Our certificate, key and the CA of the network, read once; reload makes a new one. */
int channel_identity_new(const char *ca_file, const char *certificate_file, const char *key_file,
			 char **ret_what, struct channel_identity **ret);
struct channel_identity *channel_identity_ref(struct channel_identity *identity);
struct channel_identity *channel_identity_unref(struct channel_identity *identity);
DEFINE_CLEANUP(struct channel_identity *, channel_identity_unref);
const char *channel_identity_name(const struct channel_identity *identity); /* our subject's CN */

struct channel_handler {
	/* JSON frames; message is borrowed. */
	void (*on_message)(struct channel *channel, json_t *message, void *userdata);
	/* Binary frames; NULL: a binary frame closes the connection. */
	void (*on_binary)(struct channel *channel, const uint8_t *bytes, size_t size_bytes,
			  void *userdata);
	/* The last callback of this channel; reason is a sentence, result negative errno or 0 for
	 * an orderly end. The channel stays allocated until its owner frees it. */
	void (*on_closed)(struct channel *channel, int result, const char *reason, void *userdata);
};

/* Nothing is read from a channel without a handler (NULL); a new channel has none. */
void channel_set_handler(struct channel *channel, const struct channel_handler *handler,
			 void *userdata);
/* Queues; all that is queued when the dispatch or loop iteration ends goes out together. -ENOBUFS
 * above CHANNEL_MAX_QUEUED_BYTES, -EMSGSIZE for more than a frame holds, -ENOTCONN. Never calls
 * back. */
int channel_send(struct channel *channel, const json_t *message);
int channel_send_binary(struct channel *channel, const void *bytes, size_t size_bytes);
size_t channel_queued_bytes(const struct channel *channel);
const char *channel_peer(const struct channel *channel);    /* the certified site name */
const char *channel_address(const struct channel *channel); /* for the log */
/* RFC 5705 keying material of this connection, the same at both ends, for channel binding. */
int channel_export_key(struct channel *channel, const char *label, uint8_t *ret_bytes,
		       size_t size_bytes);
/* Closes at once, after what the socket takes of the queue without waiting; no callback follows.
 * Takes NULL, returns NULL. */
struct channel *channel_free(struct channel *channel);
DEFINE_CLEANUP(struct channel *, channel_free);

/*
 * allow() decides by the certified name before anything is read; refused(), optional, is told of
 * every connection that did not become a channel, for a rate-limited log entry.
 * on_channel passes ownership. allow() must not free the server, the others may.
 */
struct channel_server_handler {
	bool (*allow)(const char *peer, void *userdata);
	void (*on_channel)(struct channel *channel, void *userdata);
	void (*refused)(const char *address, const char *reason, void *userdata);
};
int channel_server_new(sd_event *event, const char *listen_address,
		       struct channel_identity *identity,
		       const struct channel_server_handler *handler, void *userdata,
		       struct channel_server **ret);
struct channel_server *channel_server_free(struct channel_server *server);
DEFINE_CLEANUP(struct channel_server *, channel_server_free);
/* The port that it listens on, for a listen_address with port 0. */
uint16_t channel_server_port(const struct channel_server *server);
/* For the connections to come. */
void channel_server_set_identity(struct channel_server *server, struct channel_identity *identity);

struct channel_client_handler {
	/* Passes ownership; the server has accepted us. */
	void (*on_channel)(struct channel *channel, void *userdata);
	/* A try failed; the next comes after the back-off. */
	void (*failed)(int result, const char *reason, void *userdata);
};
/* Starts connecting at once; no callback comes from within. -EINVAL: address or expected_peer. */
int channel_client_new(sd_event *event, const char *address, const char *expected_peer,
		       struct channel_identity *identity,
		       const struct channel_client_handler *handler, void *userdata,
		       struct channel_client **ret);
/* The owner tells that its channel is gone: connect again, at once if it held for a while. */
int channel_client_reconnect(struct channel_client *client);
struct channel_client *channel_client_free(struct channel_client *client);
DEFINE_CLEANUP(struct channel_client *, channel_client_free);
void channel_client_set_identity(struct channel_client *client, struct channel_identity *identity);
