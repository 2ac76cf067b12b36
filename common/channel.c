// SPDX-License-Identifier: MIT
/*
 * One established connection: its life, its event sources, its queue. Bytes in and out are
 * channel-io.c's. A channel is counted, so that a callback can free it: memory goes when the last
 * dispatch under way has returned.
 */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include "common/channel-internal.h"

#define BUFFER_BASE_BYTES (16u << 10) /* one TLS record */

#define KEEPALIVE_PROBES       3
#define KEEPALIVE_INTERVAL_SEC 3

/* A peer that vanished is found by the kernel, without a timer of ours that wakes an idle daemon.
 */
static int set_socket_options(int fd)
{
	const struct {
		int level, name, value;
	} options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, CHANNEL_KEEPALIVE_SEC},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC},
		{IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, CHANNEL_KEEPALIVE_SEC * 1000},
	};

	for (size_t i = 0; i < ELEMENTSOF(options); i++)
		if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			       sizeof(options[i].value)) < 0)
			return -errno;
	return 0;
}

struct channel *channel_ref(struct channel *channel)
{
	channel->references++;
	return channel;
}

/* What needs the socket; buffers stay, since a callback may still be looking at its frame. */
static void disconnect(struct channel *channel)
{
	channel->io = sd_event_source_disable_unref(channel->io);
	channel->timer = sd_event_source_disable_unref(channel->timer);
	channel_tls_done(&channel->tls);
	if (channel->fd >= 0)
		close(TAKE_FD(channel->fd));
}

struct channel *channel_unref(struct channel *channel)
{
	if (!channel || --channel->references > 0)
		return NULL;
	disconnect(channel);
	sd_event_source_disable_unref(channel->kick);
	channel_buffer_done(&channel->received);
	channel_buffer_done(&channel->queued);
	sd_event_unref(channel->event);
	free(channel);
	return NULL;
}

static void tell_end(struct channel *channel)
{
	if (!channel->handler || channel->is_end_told)
		return;
	channel->is_end_told = true;
	if (channel->handler->on_closed)
		channel->handler->on_closed(channel, channel->result, channel->reason,
					    channel->userdata);
}

void channel_fail(struct channel *channel, int result, const char *reason)
{
	if (channel->is_closed)
		return;
	channel->is_closed = true;
	channel->result = result;
	snprintf(channel->reason, sizeof(channel->reason), "%s", reason);
	disconnect(channel);
	tell_end(channel);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_(channel_unrefp) struct channel *channel = channel_ref(userdata);

	if (revents & EPOLLOUT)
		channel->write_is_blocked = false;
	if (revents & ~(uint32_t)EPOLLOUT)
		channel_io_receive(channel);
	channel_io_flush(channel);
	return 0;
}

static int on_kick(sd_event_source *source, void *userdata)
{
	_cleanup_(channel_unrefp) struct channel *channel = channel_ref(userdata);

	if (channel->is_closed) {
		tell_end(channel);
		return 0;
	}
	if (channel->handler && channel_io_has_unread(channel))
		channel_io_receive(channel);
	channel_io_flush(channel);
	return 0;
}

static int on_frame_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	_cleanup_(channel_unrefp) struct channel *channel = channel_ref(userdata);

	channel_io_check_frame(channel, usec);
	return 0;
}

static int add_sources(struct channel *channel)
{
	int r;

	r = sd_event_add_io(channel->event, &channel->io, channel->fd, 0, on_io, channel);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(channel->io, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(channel->event, &channel->timer, CLOCK_MONOTONIC,
				       channel->frame_usec, 0, on_frame_timeout, channel);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(channel->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_defer(channel->event, &channel->kick, on_kick, channel);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(channel->kick, SD_EVENT_OFF);
}

static void set_address(struct channel *channel)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof(address);

	getpeername(channel->fd, (struct sockaddr *)&address, &size);
	address_format((struct sockaddr *)&address, size, channel->address);
}

int channel_new(sd_event *event, int fd, struct channel_tls *tls, struct channel **ret)
{
	_cleanup_(channel_unrefp) struct channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel)
		return -ENOMEM;
	channel->references = 1;
	channel->fd = -1;
	channel->event = sd_event_ref(event);
	channel->frame_usec = CHANNEL_FRAME_USEC;
	channel_buffer_init(&channel->received, BUFFER_BASE_BYTES);
	channel_buffer_init(&channel->queued, BUFFER_BASE_BYTES);
	r = set_socket_options(fd);
	if (r < 0)
		return r;
	channel->fd = fd;
	r = add_sources(channel);
	if (r < 0) {
		channel->fd = -1; /* it is still the caller's */
		return r;
	}
	set_address(channel);
	channel->tls = *tls;
	channel->tls.expected_peer = NULL; /* was the handshake's, and is verified */
	tls->ssl = NULL;
	SSL_set_app_data(channel->tls.ssl, &channel->tls);
	*ret = TAKE_PTR(channel);
	return 0;
}

static void kick(struct channel *channel)
{
	sd_event_source_set_enabled(channel->kick, SD_EVENT_ONESHOT);
}

void channel_set_handler(struct channel *channel, const struct channel_handler *handler,
			 void *userdata)
{
	channel->handler = handler;
	channel->userdata = userdata;
	channel->frame_begun_usec = 0; /* while nobody reads, the peer is not late */
	kick(channel);                 /* what has been read already, or the end, or a pause */
}

/* A frame of our own was queued: it goes out when the current dispatch or iteration ends, together
 * with whatever else is queued until then. */
static void flush_later(struct channel *channel)
{
	if (!channel->is_receiving && !channel->write_is_blocked)
		kick(channel);
}

static int reserve(struct channel *channel, size_t size_bytes)
{
	if (channel->is_closed)
		return -ENOTCONN;
	if (channel_buffer_size(&channel->queued) + size_bytes > CHANNEL_MAX_QUEUED_BYTES)
		return -ENOBUFS;
	return channel_buffer_reserve(&channel->queued, size_bytes);
}

int channel_send(struct channel *channel, const json_t *message)
{
	const size_t flags = JSON_COMPACT;
	struct channel_buffer *queued = &channel->queued;
	size_t size_bytes, room;
	int r;

	r = reserve(channel, FRAME_HEADER_BYTES);
	if (r < 0)
		return r;
	room = channel_buffer_room(queued) - FRAME_HEADER_BYTES;
	size_bytes = json_dumpb(message, (char *)channel_buffer_tail(queued) + FRAME_HEADER_BYTES,
				room, flags);
	if (size_bytes == 0)
		return -EINVAL;
	if (size_bytes > FRAME_MAX_JSON_BYTES)
		return -EMSGSIZE;
	r = reserve(channel, FRAME_HEADER_BYTES + size_bytes);
	if (r < 0)
		return r;
	if (size_bytes > room)
		json_dumpb(message, (char *)channel_buffer_tail(queued) + FRAME_HEADER_BYTES,
			   size_bytes, flags);
	frame_build_header(FRAME_JSON, size_bytes, channel_buffer_tail(queued));
	channel_buffer_grow(queued, FRAME_HEADER_BYTES + size_bytes);
	flush_later(channel);
	return 0;
}

int channel_send_binary(struct channel *channel, const void *bytes, size_t size_bytes)
{
	struct channel_buffer *queued = &channel->queued;
	int r;

	if (size_bytes == 0 || size_bytes > FRAME_MAX_BINARY_BYTES)
		return -EMSGSIZE;
	r = reserve(channel, FRAME_HEADER_BYTES + size_bytes);
	if (r < 0)
		return r;
	frame_build_header(FRAME_BINARY, size_bytes, channel_buffer_tail(queued));
	memcpy(channel_buffer_tail(queued) + FRAME_HEADER_BYTES, bytes, size_bytes);
	channel_buffer_grow(queued, FRAME_HEADER_BYTES + size_bytes);
	flush_later(channel);
	return 0;
}

size_t channel_queued_bytes(const struct channel *channel)
{
	return channel_buffer_size(&channel->queued);
}

const char *channel_peer(const struct channel *channel)
{
	return channel->tls.peer;
}

const char *channel_address(const struct channel *channel)
{
	return channel->address;
}

int channel_export_key(struct channel *channel, const char *label, uint8_t *ret_bytes,
		       size_t size_bytes)
{
	if (channel->is_closed)
		return -ENOTCONN;
	if (SSL_export_keying_material(channel->tls.ssl, ret_bytes, size_bytes, label,
				       strlen(label), NULL, 0, 0) != 1)
		return -EPROTO;
	return 0;
}

struct channel *channel_free(struct channel *channel)
{
	if (!channel)
		return NULL;
	channel->handler = NULL;
	sd_event_source_set_enabled(channel->kick, SD_EVENT_OFF);
	if (!channel->is_closed) {
		/* As much as the socket takes at once: a last word, and the notice of the end. */
		channel_io_flush(channel);
		if (!channel->is_closed && !channel->write_is_blocked)
			SSL_shutdown(channel->tls.ssl);
		channel->is_closed = true;
		disconnect(channel);
	}
	return channel_unref(channel);
}
