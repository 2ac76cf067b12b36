// SPDX-License-Identifier: MIT
/*
 * Connects to one site and goes on trying: resolve, connect (each address in turn), TLS, greeting;
 * after a failure again, with back-off and some chance in it, so that two sites that lost each
 * other do not beat in step.
 *
 * Callbacks may free the client, so each is the last thing that a dispatch does.
 */

#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "common/channel-internal.h"

#define BACKOFF_ACCURACY_USEC (10 * USEC_PER_MSEC)

struct channel_client {
	sd_event *event;
	struct channel_identity *identity;
	const struct channel_client_handler *handler;
	void *userdata;
	struct address address;
	char expected_peer[NAME_MAX_CHARS + 1];

	/* One try: whichever of these is there tells how far it has come. */
	sd_event_source *timer; /* on: back-off, or the time limit of what is waited for */
	sd_event_source *io;    /* on fd: the resolver's answer, or the end of connect(2) */
	int fd;
	struct channel_handshake *handshake;
	struct channel *channel; /* that has not been greeted yet */
	struct channel_addresses addresses;
	unsigned next_address;
	int result; /* of the address tried last */
	char reason[CHANNEL_REASON_CHARS];

	bool has_passed_channel; /* nothing to do until channel_client_reconnect() */
	uint64_t passed_usec;
	uint64_t backoff_usec;
};

static void try_next_address(struct channel_client *client);

static void clear_try(struct channel_client *client)
{
	sd_event_source_set_enabled(client->timer, SD_EVENT_OFF);
	client->io = sd_event_source_disable_unref(client->io);
	if (client->fd >= 0)
		close(TAKE_FD(client->fd));
	client->handshake = channel_handshake_free(client->handshake);
	client->channel = channel_free(client->channel);
}

static int start_timer(struct channel_client *client, uint64_t usec)
{
	int r;

	r = sd_event_source_set_time_relative(client->timer, usec);
	return r < 0 ? r : sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT);
}

/* Between half of the back-off and all of it, which doubles for the next time. */
static uint64_t next_delay(struct channel_client *client)
{
	uint64_t half = client->backoff_usec / 2;
	uint32_t chance = 0;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
		chance = UINT32_MAX;
	client->backoff_usec = MIN(2 * client->backoff_usec, CHANNEL_BACKOFF_MAX_USEC);
	return half + half * chance / UINT32_MAX;
}

/* Nothing after this. */
static void fail_try(struct channel_client *client, int result, const char *reason)
{
	char copy[CHANNEL_REASON_CHARS]; /* it may lie in what clear_try() frees */

	snprintf(copy, sizeof(copy), "%s", reason);
	clear_try(client);
	start_timer(client, next_delay(client));
	if (client->handler->failed)
		client->handler->failed(result, copy, client->userdata);
}

/* This address did not do; remember why, for when the others do not either. Nothing after this. */
static void fail_address(struct channel_client *client, int result, const char *reason)
{
	client->result = result;
	snprintf(client->reason, sizeof(client->reason), "%s", reason);
	clear_try(client);
	try_next_address(client);
}

/* Nothing after this. */
static void pass_channel(struct channel_client *client)
{
	struct channel *channel = TAKE_PTR(client->channel);

	clear_try(client);
	client->has_passed_channel = true;
	sd_event_now(client->event, CLOCK_MONOTONIC, &client->passed_usec);
	channel_set_handler(channel, NULL, NULL);
	client->handler->on_channel(channel, client->userdata);
}

static void on_greeting(struct channel *channel, json_t *message, void *userdata)
{
	struct channel_client *client = userdata;
	const char *refused = json_string_value(json_object_get(message, "refused"));
	char reason[CHANNEL_REASON_CHARS];

	if (json_integer_value(json_object_get(message, "channel")) != CHANNEL_VERSION) {
		fail_try(client, -EPROTO, "the peer speaks another version of this protocol");
	} else if (refused) {
		snprintf(reason, sizeof(reason), "the peer refuses us: %s", refused);
		fail_try(client, -EACCES, reason);
	} else {
		pass_channel(client);
	}
}

static void on_closed(struct channel *channel, int result, const char *reason, void *userdata)
{
	fail_try(userdata, result ?: -ECONNRESET, reason);
}

static const struct channel_handler greeting_handler = {
	.on_message = on_greeting,
	.on_closed = on_closed,
};

static void on_handshake_done(int result, const char *reason, struct channel *channel,
			      void *userdata)
{
	struct channel_client *client = userdata;
	int r;

	if (result < 0) {
		fail_address(client, result, reason);
		return;
	}
	client->handshake = channel_handshake_free(client->handshake);
	client->channel = channel;
	channel_set_handler(channel, &greeting_handler, client);
	r = start_timer(client, CHANNEL_HANDSHAKE_USEC);
	if (r < 0)
		fail_try(client, r, strerror(-r));
}

static int start_handshake(struct channel_client *client)
{
	const struct channel_handshake_options options = {
		.role = CHANNEL_CONNECTS,
		.expected_peer = client->expected_peer,
		.timeout_usec = CHANNEL_HANDSHAKE_USEC,
	};

	client->io = sd_event_source_disable_unref(client->io);
	sd_event_source_set_enabled(client->timer, SD_EVENT_OFF);
	return channel_handshake_new(client->event, TAKE_FD(client->fd), client->identity, &options,
				     on_handshake_done, client, &client->handshake);
}

static int on_connected(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct channel_client *client = userdata;
	int error = 0, r;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	r = error ? -error : start_handshake(client);
	if (r < 0)
		fail_address(client, r, strerror(-r));
	return 0;
}

static int start_connecting(struct channel_client *client, const struct sockaddr_storage *address)
{
	int r;

	client->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return -errno;
	if (connect(client->fd, (const struct sockaddr *)address, channel_address_size(address)) <
		    0 &&
	    errno != EINPROGRESS)
		return -errno;
	r = sd_event_add_io(client->event, &client->io, client->fd, EPOLLOUT, on_connected, client);
	return r < 0 ? r : start_timer(client, CHANNEL_HANDSHAKE_USEC);
}

/* Nothing after this. */
static void try_next_address(struct channel_client *client)
{
	while (client->next_address < client->addresses.count) {
		int r = start_connecting(client, &client->addresses.list[client->next_address++]);

		if (r >= 0)
			return;
		clear_try(client);
		client->result = r;
		snprintf(client->reason, sizeof(client->reason), "%s", strerror(-r));
	}
	fail_try(client, client->result, client->reason);
}

static int on_resolved(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct channel_client *client = userdata;
	int r;

	r = channel_resolve_finish(fd, &client->addresses);
	clear_try(client);
	if (r < 0)
		fail_try(client, r, "the peer's host name cannot be resolved");
	else
		try_next_address(client);
	return 0;
}

/* Nothing after this. */
static void start_try(struct channel_client *client)
{
	int r;

	client->addresses.count = client->next_address = 0;
	client->result = -EHOSTUNREACH;
	snprintf(client->reason, sizeof(client->reason), "the peer's host has no address");
	r = channel_resolve_start(&client->address, &client->addresses, &client->fd);
	if (r == 0) {
		try_next_address(client);
		return;
	}
	if (r == -EINPROGRESS)
		r = sd_event_add_io(client->event, &client->io, client->fd, EPOLLIN, on_resolved,
				    client);
	if (r >= 0)
		r = start_timer(client, CHANNEL_HANDSHAKE_USEC);
	if (r < 0)
		fail_try(client, r, strerror(-r));
}

/* Either the back-off is over, or what was waited for did not come. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct channel_client *client = userdata;

	if (client->channel)
		fail_try(client, -ETIMEDOUT, "the peer did not greet us in time");
	else if (client->io)
		fail_address(client, -ETIMEDOUT, "the peer's host did not answer in time");
	else
		start_try(client);
	return 0;
}

int channel_client_new(sd_event *event, const char *address, const char *expected_peer,
		       struct channel_identity *identity,
		       const struct channel_client_handler *handler, void *userdata,
		       struct channel_client **ret)
{
	_cleanup_(channel_client_freep) struct channel_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	client->fd = -1;
	client->event = sd_event_ref(event);
	client->identity = channel_identity_ref(identity);
	client->handler = handler;
	client->userdata = userdata;
	client->backoff_usec = CHANNEL_BACKOFF_MIN_USEC;
	if (!site_name_is_valid(expected_peer))
		return -EINVAL;
	snprintf(client->expected_peer, sizeof(client->expected_peer), "%s", expected_peer);
	r = address_parse(address, false, &client->address);
	if (r < 0)
		return r;
	/* The first try comes from the loop, so that no callback comes from within this call. */
	r = sd_event_add_time_relative(event, &client->timer, CLOCK_MONOTONIC, 0,
				       BACKOFF_ACCURACY_USEC, on_timer, client);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(client);
	return 0;
}

int channel_client_reconnect(struct channel_client *client)
{
	uint64_t now_usec;
	int r;

	if (!client->has_passed_channel)
		return 0; /* it is trying already */
	r = sd_event_now(client->event, CLOCK_MONOTONIC, &now_usec);
	if (r < 0)
		return r;
	client->has_passed_channel = false;
	if (now_usec - client->passed_usec < CHANNEL_BACKOFF_MAX_USEC)
		return start_timer(client, next_delay(client));
	/* The connection held for a while: what ended it may be over at once. */
	client->backoff_usec = CHANNEL_BACKOFF_MIN_USEC;
	return start_timer(client, 0);
}

struct channel_client *channel_client_free(struct channel_client *client)
{
	if (!client)
		return NULL;
	if (client->timer)
		clear_try(client);
	sd_event_source_disable_unref(client->timer);
	channel_identity_unref(client->identity);
	sd_event_unref(client->event);
	free(client);
	return NULL;
}

void channel_client_set_identity(struct channel_client *client, struct channel_identity *identity)
{
	channel_identity_ref(identity);
	channel_identity_unref(client->identity);
	client->identity = identity;
}
