// SPDX-License-Identifier: MIT
/*
 * Accepts connections: bounds how many strangers may be in their handshake, in all and from one
 * host, asks the owner whether the certified site may come in, greets it and passes the channel on.
 *
 * Callbacks may free the server, so each is the last thing that a dispatch does.
 */

#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/channel-internal.h"

#define LISTEN_BACKLOG    128
#define ACCEPT_PAUSE_USEC (1 * USEC_PER_SEC) /* when descriptors have run out */

/* A connection in its handshake. */
struct pending {
	struct channel_server *server;
	struct channel_handshake *handshake;
	struct sockaddr_storage address;
};

struct channel_server {
	sd_event *event;
	struct channel_identity *identity;
	const struct channel_server_handler *handler;
	void *userdata;
	int fd;
	sd_event_source *io, *pause;
	struct pending *pending[CHANNEL_MAX_PENDING]; /* the oldest first */
	size_t pending_count;
};

static struct pending *pending_free(struct pending *pending)
{
	if (!pending)
		return NULL;
	channel_handshake_free(pending->handshake);
	free(pending);
	return NULL;
}
DEFINE_CLEANUP(struct pending *, pending_free);

static struct pending *take_pending(struct channel_server *server, size_t i)
{
	struct pending *pending = server->pending[i];

	server->pending_count--;
	memmove(&server->pending[i], &server->pending[i + 1],
		(server->pending_count - i) * sizeof(server->pending[0]));
	return pending;
}

static size_t find_pending(const struct channel_server *server, const struct pending *pending)
{
	size_t i = 0;

	while (server->pending[i] != pending)
		i++;
	return i;
}

static size_t count_from_host(const struct channel_server *server,
			      const struct sockaddr_storage *address)
{
	size_t count = 0;

	for (size_t i = 0; i < server->pending_count; i++)
		count += address_same_host(&server->pending[i]->address, address);
	return count;
}

/* Nothing after this. */
static void tell_refused(struct channel_server *server, const struct sockaddr_storage *address,
			 const char *reason)
{
	char text[ADDRESS_MAX_CHARS];

	if (!server->handler->refused)
		return;
	address_format((const struct sockaddr *)address, channel_address_size(address), text);
	server->handler->refused(text, reason, server->userdata);
}

static int greet(struct channel *channel, const char *refusal)
{
	_cleanup_(json_decrefp) json_t *greeting =
		json_pack("{s:i,s:s*}", "channel", CHANNEL_VERSION, "refused", refusal);

	return greeting ? channel_send(channel, greeting) : -ENOMEM;
}

/* Nothing after this. */
static void welcome(struct channel_server *server, const struct sockaddr_storage *address,
		    struct channel *channel)
{
	_cleanup_(channel_freep) struct channel *owned = channel;
	bool is_allowed = server->handler->allow(channel_peer(channel), server->userdata);
	char refusal[CHANNEL_REASON_CHARS] = "";
	int r;

	if (!is_allowed)
		snprintf(refusal, sizeof(refusal), "site %s is not expected here",
			 channel_peer(channel));
	r = greet(channel, is_allowed ? NULL : refusal);
	if (r < 0)
		snprintf(refusal, sizeof(refusal), "the greeting failed: %s", strerror(-r));
	if (*refusal) {
		owned = channel_free(owned);
		tell_refused(server, address, refusal);
	} else {
		server->handler->on_channel(TAKE_PTR(owned), server->userdata);
	}
}

static void on_handshake_done(int result, const char *reason, struct channel *channel,
			      void *userdata)
{
	struct pending *done = userdata;
	struct channel_server *server = done->server;
	_cleanup_(pending_freep) struct pending *pending =
		take_pending(server, find_pending(server, done));

	if (result < 0)
		tell_refused(server, &pending->address, reason);
	else
		welcome(server, &pending->address, channel);
}

static int start_handshake(struct channel_server *server, int fd,
			   const struct sockaddr_storage *address)
{
	static const struct channel_handshake_options options = {
		.role = CHANNEL_ACCEPTS,
		.timeout_usec = CHANNEL_HANDSHAKE_USEC,
	};
	_cleanup_(pending_freep) struct pending *pending = calloc(1, sizeof(*pending));
	int r;

	if (!pending) {
		close(fd);
		return -ENOMEM;
	}
	pending->server = server;
	pending->address = *address;
	r = channel_handshake_new(server->event, fd, server->identity, &options, on_handshake_done,
				  pending, &pending->handshake);
	if (r < 0)
		return r;
	server->pending[server->pending_count++] = TAKE_PTR(pending);
	return 0;
}

/* Takes the descriptor. Nothing after this. */
static void admit(struct channel_server *server, int fd, const struct sockaddr_storage *address)
{
	_cleanup_(pending_freep) struct pending *displaced = NULL;
	int r;

	if (count_from_host(server, address) >= CHANNEL_MAX_PENDING_PER_HOST) {
		close(fd);
		tell_refused(server, address, "too many unfinished handshakes from this host");
		return;
	}
	/* When all places are taken, the one that has had most time gives way to the newcomer, so
	 * that no crowd of silent connections keeps an honest one out. */
	if (server->pending_count == CHANNEL_MAX_PENDING)
		displaced = take_pending(server, 0);
	r = start_handshake(server, fd, address);
	if (displaced)
		tell_refused(server, &displaced->address, "too slow for the crowd of handshakes");
	else if (r < 0)
		tell_refused(server, address, strerror(-r));
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct channel_server *server = userdata;

	return sd_event_source_set_enabled(server->io, SD_EVENT_ON);
}

/* Without descriptors the listening socket stays ready, and the loop would spin on it. */
static void pause_accepting(struct channel_server *server)
{
	sd_event_source_set_enabled(server->io, SD_EVENT_OFF);
	sd_event_source_set_time_relative(server->pause, ACCEPT_PAUSE_USEC);
	sd_event_source_set_enabled(server->pause, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int listening_fd, uint32_t revents, void *userdata)
{
	struct channel_server *server = userdata;
	struct sockaddr_storage address = {.ss_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd;

	fd = accept4(listening_fd, (struct sockaddr *)&address, &size,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		admit(server, fd, &address);
		return 0;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		pause_accepting(server);
	return 0; /* what else can fail concerns that one connection, accept(2) */
}

static int listen_on(const struct sockaddr_storage *address, int *ret_fd)
{
	_cleanup_(closep) int fd = -1;
	const int yes = 1;

	fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(fd, (const struct sockaddr *)address, channel_address_size(address)) < 0 ||
	    listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Only at start may a name be waited for. */
static int resolve_and_wait(const struct address *address, struct channel_addresses *ret)
{
	_cleanup_(closep) int fd = -1;
	struct pollfd waiting;
	int r;

	r = channel_resolve_start(address, ret, &fd);
	if (r != -EINPROGRESS)
		return r;
	waiting = (struct pollfd){.fd = fd, .events = POLLIN};
	if (poll(&waiting, 1, (int)(CHANNEL_HANDSHAKE_USEC / USEC_PER_MSEC)) <= 0)
		return -ETIMEDOUT;
	return channel_resolve_finish(fd, ret);
}

static int open_listener(const char *listen_address, int *ret_fd)
{
	struct channel_addresses addresses;
	struct address address;
	int r;

	r = address_parse(listen_address, true, &address);
	if (r < 0)
		return r;
	r = resolve_and_wait(&address, &addresses);
	if (r < 0)
		return r;
	r = -EADDRNOTAVAIL;
	for (unsigned i = 0; i < addresses.count && r < 0; i++)
		r = listen_on(&addresses.list[i], ret_fd);
	return r;
}

int channel_server_new(sd_event *event, const char *listen_address,
		       struct channel_identity *identity,
		       const struct channel_server_handler *handler, void *userdata,
		       struct channel_server **ret)
{
	_cleanup_(channel_server_freep) struct channel_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->fd = -1;
	server->event = sd_event_ref(event);
	server->identity = channel_identity_ref(identity);
	server->handler = handler;
	server->userdata = userdata;
	r = open_listener(listen_address, &server->fd);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &server->io, server->fd, EPOLLIN, on_io, server);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(event, &server->pause, CLOCK_MONOTONIC, 0, 0, on_pause_end,
				       server);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(server);
	return 0;
}

uint16_t channel_server_port(const struct channel_server *server)
{
	struct sockaddr_in6 address = {.sin6_port = 0}; /* the port lies where IPv4 has it */
	socklen_t size = sizeof(address);

	getsockname(server->fd, (struct sockaddr *)&address, &size);
	return ntohs(address.sin6_port);
}

struct channel_server *channel_server_free(struct channel_server *server)
{
	if (!server)
		return NULL;
	while (server->pending_count > 0)
		pending_free(take_pending(server, 0));
	sd_event_source_disable_unref(server->io);
	sd_event_source_disable_unref(server->pause);
	closep(&server->fd);
	channel_identity_unref(server->identity);
	sd_event_unref(server->event);
	free(server);
	return NULL;
}

void channel_server_set_identity(struct channel_server *server, struct channel_identity *identity)
{
	channel_identity_ref(identity);
	channel_identity_unref(server->identity);
	server->identity = identity;
}
