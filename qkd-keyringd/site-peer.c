/* SPDX-License-Identifier: MIT */

/*
 * The bookkeeping between the issuer and a connection: which requests are open, what is to be sent,
 * and what an incoming frame answers. It knows nothing of keys.
 */

#include "qkd-keyringd/site-peer.h"

#include "common/frame.h"

#define FRAME_TARGET_BYTES                                                    \
	(FRAME_MAX_JSON_BYTES / 2) /* one message is always smaller than this \
				    */

#define COUNTER(n, u, h)                                                \
	{                                                               \
		"site." n, STATISTICS_COUNTER, STATISTICS_INTEGER, u, h \
	}

const struct statistics_definition site_peer_definitions[SITE_PEER_STATISTIC_COUNT_] = {
	[SITE_PEER_STATISTIC_CONNECTIONS] =
		COUNTER("connections", "connections", "times the peer's keyringd was connected"),
	[SITE_PEER_STATISTIC_ASKED] = COUNTER("asked", "requests", "requests to the peer"),
	[SITE_PEER_STATISTIC_REPEATED] =
		COUNTER("repeated", "requests", "requests sent again on a new connection"),
	[SITE_PEER_STATISTIC_SERVED] = COUNTER("served", "requests", "requests of the peer"),
	[SITE_PEER_STATISTIC_LATENCY] = {"site.latency", STATISTICS_SUMMARY, STATISTICS_TIME,
					 "seconds", "from a request to the peer to its answer"},
	[SITE_PEER_STATISTIC_FRAME] = {"site.frame", STATISTICS_SUMMARY, STATISTICS_INTEGER,
				       "messages", "messages that shared a frame to the peer"},
};

struct site_peer {
	char *name;
	const struct site_peer_handler *handler;
	void *userdata;

	struct site_transport *transport;
	unsigned connection; /* counts, so that a callback's change of connection is noticed */
	bool greeted;        /* the peer's hello has come */
	uint64_t position;

	struct id_table by_id;
	struct list requests; /* in the order in which they were asked */

	json_t *outbox; /* array of messages: the next frame's */
	size_t outbox_bytes;
	json_t *full; /* array of such arrays, which leave before it */
	bool hurries; /* there is something in these that somebody waits for */
	struct statistic statistics[SITE_PEER_STATISTIC_COUNT_];
};

int site_peer_new(const char *name, const struct site_peer_handler *handler, void *userdata,
		  struct site_peer **ret)
{
	_cleanup_(site_peer_freep) struct site_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return -ENOMEM;
	list_init(&peer->requests);
	peer->handler = handler;
	peer->userdata = userdata;
	peer->name = strdup(name);
	peer->outbox = json_array();
	peer->full = json_array();
	if (!peer->name || !peer->outbox || !peer->full)
		return -ENOMEM;
	*ret = TAKE_PTR(peer);
	return 0;
}

static void count(struct site_peer *peer, enum site_peer_statistic which, uint64_t value)
{
	statistics_update(&peer->statistics[which], value);
}

static void forget_request(struct site_peer *peer, struct site_request *request)
{
	list_remove(&request->link);
	id_table_remove(&peer->by_id, &request->node);
	json_decref(request->message);
	request->message = NULL;
}

static void drop_connection(struct site_peer *peer)
{
	struct site_transport *transport = TAKE_PTR(peer->transport);

	if (transport)
		transport->close(transport);
	peer->connection++;
	peer->greeted = false;
	peer->position = 0;
	json_array_clear(peer->full);
	json_array_clear(peer->outbox);
	peer->outbox_bytes = 0;
	peer->hurries = false;
}

struct site_peer *site_peer_free(struct site_peer *peer)
{
	if (!peer)
		return NULL;
	if (peer->full)
		drop_connection(peer);
	LIST_FOREACH (link, &peer->requests)
		forget_request(peer, LIST_ENTRY(link, struct site_request, link));
	id_table_done(&peer->by_id);
	json_decref(peer->outbox);
	json_decref(peer->full);
	free(peer->name);
	free(peer);
	return NULL;
}

struct statistic *site_peer_statistics(struct site_peer *peer)
{
	return peer->statistics;
}

const char *site_peer_name(const struct site_peer *peer)
{
	return peer->name;
}

bool site_peer_is_connected(const struct site_peer *peer)
{
	return peer->greeted;
}

/* Nothing leaves before site_peer_flush(): the record of it may not be written yet. */
static int outbox_close_frame(struct site_peer *peer)
{
	json_t *next = json_array();

	if (!next || json_array_append(peer->full, peer->outbox) < 0) {
		json_decref(next);
		return -ENOMEM;
	}
	json_decref(peer->outbox);
	peer->outbox = next;
	peer->outbox_bytes = 0;
	return 0;
}

/* Takes the message. */
static int outbox_add(struct site_peer *peer, json_t *message, size_t size_bytes)
{
	if (json_array_size(peer->outbox) >= SITE_FRAME_MAX_MESSAGES ||
	    peer->outbox_bytes + size_bytes > FRAME_TARGET_BYTES) {
		if (outbox_close_frame(peer) < 0) {
			json_decref(message);
			return -ENOMEM;
		}
	}
	if (json_array_append_new(peer->outbox, message) < 0)
		return -ENOMEM;
	peer->outbox_bytes += size_bytes;
	return 0;
}

static int outbox_build(struct site_peer *peer, const struct site_message *message)
{
	json_t *json;
	int r = site_message_build(message, &json);

	return r < 0 ? r : outbox_add(peer, json, site_message_size_bytes(message));
}

void site_peer_hurry(struct site_peer *peer)
{
	if (peer->hurries || json_array_size(peer->outbox) == 0)
		return;
	peer->hurries = true;
	peer->handler->on_outbox(peer, peer->userdata);
}

int site_peer_attach(struct site_peer *peer, struct site_transport *transport,
		     const struct site_message *hello)
{
	int r;

	if (peer->transport)
		site_peer_lost(peer, "the peer has connected anew");
	peer->transport = transport;
	r = outbox_build(peer, hello);
	site_peer_hurry(peer);
	return r;
}

/* What was asked on the connection before has to be asked again; the size is not kept, and hardly
 * matters: one message to a frame is rare enough. */
static int ask_again(struct site_peer *peer)
{
	LIST_FOREACH (link, &peer->requests) {
		struct site_request *request = LIST_ENTRY(link, struct site_request, link);
		size_t ids = json_array_size(json_object_get(request->message, "sequences"));
		int r = outbox_add(peer, json_incref(request->message),
				   512 + ids * (UUID_CHARS + 24));

		if (r < 0)
			return r;
		count(peer, SITE_PEER_STATISTIC_REPEATED, 1);
	}
	site_peer_hurry(peer);
	return 0;
}

static const char *receive_hello(struct site_peer *peer, const struct site_message *message)
{
	if (peer->greeted)
		return "a second hello";
	if (message->version != SITE_PROTOCOL_VERSION)
		return "the peer speaks another version of the site protocol";
	if (!str_equal(message->site, peer->name))
		return "the peer's hello names another site than its certificate";
	peer->greeted = true;
	count(peer, SITE_PEER_STATISTIC_CONNECTIONS, 1);
	if (ask_again(peer) < 0)
		return "out of memory";
	peer->handler->on_connected(peer, message, peer->userdata);
	return NULL;
}

/* An answer that nobody waits for any more is no fault: the request may have been cancelled. */
static const char *receive_answer(struct site_peer *peer, const struct site_message *message)
{
	struct id_node *node = id_table_find(&peer->by_id, &message->request);
	struct site_request *request;

	if (!node)
		return NULL;
	request = CONTAINER_OF(node, struct site_request, node);
	if (site_message_answer(request->type) != message->type)
		return "an answer of another kind than its request";
	forget_request(peer, request);
	count(peer, SITE_PEER_STATISTIC_LATENCY, statistics_clock_usec() - request->asked_usec);
	request->answered(request, message);
	return NULL;
}

static const char *receive_message(struct site_peer *peer, const struct site_message *message)
{
	if (message->type == SITE_HELLO)
		return receive_hello(peer, message);
	if (!peer->greeted)
		return "a message before the hello";
	if (site_message_answer(message->type) == SITE_MESSAGE_TYPE_COUNT_)
		return receive_answer(peer, message);
	count(peer, SITE_PEER_STATISTIC_SERVED, 1);
	peer->handler->on_request(peer, message, peer->userdata);
	return NULL;
}

static const char *receive_one(struct site_peer *peer, const json_t *json)
{
	_cleanup_(site_message_done) struct site_message message = {};

	if (site_message_verify(json, &message) < 0)
		return "a malformed message";
	return receive_message(peer, &message);
}

void site_peer_receive(struct site_peer *peer, const json_t *frame)
{
	uint64_t position = 0;
	json_t *messages = site_frame_verify(frame, &position);
	unsigned connection = peer->connection;
	const char *fault = messages ? NULL : "a frame without messages";
	json_t *json;
	size_t i;

	peer->position = MAX(peer->position, position);
	json_array_foreach (messages, i, json) {
		fault = receive_one(peer, json);
		if (fault || peer->connection != connection)
			break;
	}
	if (fault)
		site_peer_lost(peer, fault);
}

void site_peer_lost(struct site_peer *peer, const char *reason)
{
	if (!peer->transport)
		return;
	drop_connection(peer);
	peer->handler->on_lost(peer, reason, peer->userdata);
}

int site_peer_ask(struct site_peer *peer, struct site_request *request,
		  const struct site_message *message,
		  void (*answered)(struct site_request *request, const struct site_message *answer))
{
	int r;

	if (peer->by_id.count >= SITE_PEER_MAX_REQUESTS)
		return -ENOBUFS;
	*request = (struct site_request){
		.type = message->type,
		.asked_usec = statistics_clock_usec(),
		.answered = answered,
	};
	request->node.id = message->request;
	list_init(&request->link);
	r = site_message_build(message, &request->message);
	if (r < 0)
		return r;
	r = id_table_add(&peer->by_id, &request->node);
	if (r < 0) {
		json_decref(request->message);
		request->message = NULL;
		return r;
	}
	list_append(&peer->requests, &request->link);
	count(peer, SITE_PEER_STATISTIC_ASKED, 1);
	if (!peer->greeted)
		return 0;
	r = outbox_add(peer, json_incref(request->message), site_message_size_bytes(message));
	if (r < 0)
		forget_request(peer, request);
	site_peer_hurry(peer);
	return r;
}

bool site_request_is_pending(const struct site_request *request)
{
	return request->message != NULL;
}

void site_request_cancel(struct site_peer *peer, struct site_request *request)
{
	if (site_request_is_pending(request))
		forget_request(peer, request);
}

int site_peer_answer_unhurried(struct site_peer *peer, const struct site_message *message)
{
	return peer->greeted ? outbox_build(peer, message) : 0;
}

int site_peer_answer(struct site_peer *peer, const struct site_message *message)
{
	int r = site_peer_answer_unhurried(peer, message);

	site_peer_hurry(peer);
	return r;
}

static void send_frame(struct site_peer *peer, json_t *messages, uint64_t position)
{
	json_t *frame;

	if (!peer->transport || site_frame_build(messages, position, &frame) < 0)
		return;
	count(peer, SITE_PEER_STATISTIC_FRAME, json_array_size(messages));
	peer->transport->send(peer->transport, frame);
	json_decref(frame);
}

void site_peer_flush(struct site_peer *peer, uint64_t position)
{
	json_t *messages;
	size_t i;

	if (!peer->hurries)
		return;
	json_array_foreach (peer->full, i, messages)
		send_frame(peer, messages, position);
	if (json_array_size(peer->outbox) > 0)
		send_frame(peer, peer->outbox, position);
	json_array_clear(peer->full);
	json_array_clear(peer->outbox);
	peer->outbox_bytes = 0;
	peer->hurries = false;
}

uint64_t site_peer_position(const struct site_peer *peer)
{
	return peer->position;
}
