/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One peer site: its connection when there is one, and the requests to it that have no answer yet.
 *
 * A request is kept until it is answered or cancelled, and sent again on every new connection with
 * the same id; all requests are idempotent. Messages are collected and leave with
 * site_peer_flush(), at the end of the loop's iteration, many to a frame. What carries the frames
 * is a transport: a TLS channel (site-network.c), or a pair of queues in a test.
 */

#include "common/statistics.h"
#include "qkd-keyringd/id-table.h"
#include "qkd-keyringd/list.h"
#include "qkd-keyringd/site-message.h"

#define SITE_PEER_MAX_REQUESTS 65536

enum site_peer_statistic {
	SITE_PEER_STATISTIC_CONNECTIONS,
	SITE_PEER_STATISTIC_ASKED,
	SITE_PEER_STATISTIC_REPEATED,
	SITE_PEER_STATISTIC_SERVED,
	SITE_PEER_STATISTIC_LATENCY,
	SITE_PEER_STATISTIC_FRAME,
	SITE_PEER_STATISTIC_COUNT_,
};
extern const struct statistics_definition site_peer_definitions[SITE_PEER_STATISTIC_COUNT_];

struct site_transport {
	/* frame is borrowed. A failed send is followed by site_peer_lost(), later. */
	int (*send)(struct site_transport *transport, const json_t *frame);
	/* Frees it; nothing is received from it any more. */
	void (*close)(struct site_transport *transport);
};

struct site_peer;

struct site_request {
	struct id_node node;
	struct list link;
	json_t *message;
	enum site_message_type type;
	uint64_t asked_usec;
	/* The request is out of the peer's hands when this is called. answer is borrowed. */
	void (*answered)(struct site_request *request, const struct site_message *answer);
};

struct site_peer_handler {
	void (*on_connected)(struct site_peer *peer, const struct site_message *hello,
			     void *userdata);
	void (*on_lost)(struct site_peer *peer, const char *reason, void *userdata);
	/* A request of the peer's. */
	void (*on_request)(struct site_peer *peer, const struct site_message *message,
			   void *userdata);
	/* Something was put into the outbox: call site_peer_flush() soon. */
	void (*on_outbox)(struct site_peer *peer, void *userdata);
};

int site_peer_new(const char *name, const struct site_peer_handler *handler, void *userdata,
		  struct site_peer **ret);
struct site_peer *site_peer_free(struct site_peer *peer);
DEFINE_CLEANUP(struct site_peer *, site_peer_free);

/* SITE_PEER_STATISTIC_COUNT_ of them. */
struct statistic *site_peer_statistics(struct site_peer *peer);
const char *site_peer_name(const struct site_peer *peer);
/* hello was exchanged */
bool site_peer_is_connected(const struct site_peer *peer);

/* A new connection takes the place of the one before. hello is ours. Owns the transport. */
int site_peer_attach(struct site_peer *peer, struct site_transport *transport,
		     const struct site_message *hello);
/* A frame came. May end in site_peer_lost(). */
void site_peer_receive(struct site_peer *peer, const json_t *frame);
/* The connection is gone, or goes because of what came over it. */
void site_peer_lost(struct site_peer *peer, const char *reason);

/* message->request is the request's id. -ENOBUFS at SITE_PEER_MAX_REQUESTS. */
int site_peer_ask(struct site_peer *peer, struct site_request *request,
		  const struct site_message *message,
		  void (*answered)(struct site_request *request,
				   const struct site_message *answer));
bool site_request_is_pending(const struct site_request *request);
/* No answer will be reported; safe for a request that was never asked. */
void site_request_cancel(struct site_peer *peer, struct site_request *request);
/* Dropped when there is no connection: the peer asks again on the next one. */
int site_peer_answer(struct site_peer *peer, const struct site_message *message);

/* The same for an answer that nobody waits for: it leaves with the next message of another kind, or
 * after site_peer_hurry(). */
int site_peer_answer_unhurried(struct site_peer *peer, const struct site_message *message);
void site_peer_hurry(struct site_peer *peer);

/* Sends what is in the outbox, if anything there is in a hurry. position: of our issue record, see
 * site_frame_build(). */
void site_peer_flush(struct site_peer *peer, uint64_t position);
/* The last position that the peer has told on this connection. */
uint64_t site_peer_position(const struct site_peer *peer);
