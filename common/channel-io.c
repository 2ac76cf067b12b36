// SPDX-License-Identifier: MIT
/*
 * The bytes of a channel: TLS records into frames and callbacks, the queue into TLS records. Reads
 * as much as is there, within a bound that keeps one busy peer from starving the others; writes all
 * that has been queued in as few records as it takes.
 */

#include <sys/epoll.h>

#include "common/channel-internal.h"

#define READ_BUDGET_BYTES  (256u << 10) /* in one dispatch */
#define WRITE_BUDGET_BYTES (1u << 20)
#define READ_ROOM_BYTES    (4u << 10) /* at least, before each read */

bool channel_io_has_unread(const struct channel *channel)
{
	return channel_buffer_size(&channel->received) > 0 || SSL_has_pending(channel->tls.ssl);
}

static bool goes_on(const struct channel *channel)
{
	return !channel->is_closed && channel->handler;
}

static void deliver_json(struct channel *channel, const uint8_t *bytes, size_t size_bytes)
{
	_cleanup_(json_decrefp) json_t *message = NULL;
	int r;

	r = frame_parse_json(bytes, size_bytes, &message);
	if (r < 0) {
		channel_fail(channel, r, "the peer sent a frame that is no JSON object");
		return;
	}
	if (channel->handler->on_message)
		channel->handler->on_message(channel, message, channel->userdata);
}

static void deliver(struct channel *channel, enum frame_kind kind, const uint8_t *bytes,
		    size_t size_bytes)
{
	switch (kind) {
	case FRAME_JSON:
		deliver_json(channel, bytes, size_bytes);
		break;
	case FRAME_BINARY:
		if (channel->handler->on_binary)
			channel->handler->on_binary(channel, bytes, size_bytes, channel->userdata);
		else
			channel_fail(channel, -EPROTO,
				     "the peer sent a binary frame, which nothing here expects");
		break;
	}
}

/* Delivers every whole frame. Answers how many bytes the next one still lacks. */
static size_t deliver_frames(struct channel *channel, bool *ret_has_delivered)
{
	struct channel_buffer *received = &channel->received;
	struct frame_header header;

	while (goes_on(channel)) {
		size_t size_bytes = channel_buffer_size(received);

		if (size_bytes < FRAME_HEADER_BYTES)
			return FRAME_HEADER_BYTES - size_bytes;
		if (frame_parse_header(channel_buffer_bytes(received), &header) < 0) {
			channel_fail(channel, -EMSGSIZE,
				     "the peer announced a frame of a size that is not allowed");
			break;
		}
		if (size_bytes - FRAME_HEADER_BYTES < header.size_bytes)
			return header.size_bytes - (size_bytes - FRAME_HEADER_BYTES);
		deliver(channel, header.kind, channel_buffer_bytes(received) + FRAME_HEADER_BYTES,
			header.size_bytes);
		channel_buffer_consume(received, FRAME_HEADER_BYTES + header.size_bytes);
		*ret_has_delivered = true;
	}
	return 0;
}

/* > 0: bytes read; 0: nothing there; < 0: the channel has been closed. */
static int read_some(struct channel *channel, size_t missing_bytes)
{
	struct channel_buffer *received = &channel->received;
	char reason[CHANNEL_REASON_CHARS];
	uint32_t events = 0;
	int n, r;

	r = channel_buffer_reserve(received, MAX(MIN(missing_bytes, channel_buffer_size(received)),
						 (size_t)READ_ROOM_BYTES));
	if (r < 0) {
		channel_fail(channel, r, "no memory for what the peer sends");
		return r;
	}
	channel_tls_prepare(&channel->tls);
	n = SSL_read(channel->tls.ssl, channel_buffer_tail(received),
		     (int)channel_buffer_room(received));
	if (n > 0) {
		channel_buffer_grow(received, (size_t)n);
		return n;
	}
	r = channel_tls_result(&channel->tls, n, errno, &events, reason);
	if (r == -EAGAIN)
		return 0;
	channel_fail(channel, r, reason);
	return -ENOTCONN;
}

static void start_timer(struct channel *channel, uint64_t usec)
{
	int r;

	r = sd_event_source_set_time(channel->timer, usec);
	if (r >= 0)
		r = sd_event_source_set_enabled(channel->timer, SD_EVENT_ONESHOT);
	if (r < 0)
		channel_fail(channel, r, "cannot set the timer for a frame");
	else
		channel->timer_is_on = true;
}

/* A frame has to be whole in time, however little comes at once. The timer is left to run when it
 * is, and looks at the clock when it fires: setting it costs a system call. */
static void watch_frame(struct channel *channel, bool has_delivered)
{
	if (!channel_io_has_unread(channel)) {
		channel->frame_begun_usec = 0;
		return;
	}
	if (channel->frame_begun_usec && !has_delivered)
		return;
	sd_event_now(channel->event, CLOCK_MONOTONIC, &channel->frame_begun_usec);
	if (!channel->timer_is_on)
		start_timer(channel, channel->frame_begun_usec + channel->frame_usec);
}

void channel_io_check_frame(struct channel *channel, uint64_t now_usec)
{
	uint64_t end_usec = channel->frame_begun_usec + channel->frame_usec;

	channel->timer_is_on = false;
	if (!channel->frame_begun_usec)
		return;
	if (now_usec >= end_usec)
		channel_fail(channel, -ETIMEDOUT, "the peer did not finish a frame in time");
	else
		start_timer(channel, end_usec);
}

static void set_events(struct channel *channel)
{
	uint32_t events = channel->handler ? EPOLLIN : 0;
	int r = 0;

	if (channel->write_is_blocked)
		events |= EPOLLOUT;
	if (events == channel->events)
		return;
	/* Without a handler nobody could be told even of a hang-up, which epoll always reports. */
	if (events)
		r = sd_event_source_set_io_events(channel->io, events);
	if (r >= 0)
		r = sd_event_source_set_enabled(channel->io, events ? SD_EVENT_ON : SD_EVENT_OFF);
	if (r < 0)
		channel_fail(channel, r, "cannot wait for the socket");
	else
		channel->events = events;
}

void channel_io_receive(struct channel *channel)
{
	bool has_delivered = false, is_spent = false;
	size_t missing_bytes, read_bytes = 0;
	int n;

	if (channel->is_receiving || !goes_on(channel))
		return;
	channel->is_receiving = true;
	missing_bytes = deliver_frames(channel, &has_delivered);
	while (goes_on(channel) && !is_spent) {
		n = read_some(channel, missing_bytes);
		if (n <= 0)
			break;
		missing_bytes = deliver_frames(channel, &has_delivered);
		/* What is still in the socket makes it ready again: no read just to learn of its
		 * end. */
		if (channel->is_closed || !SSL_has_pending(channel->tls.ssl))
			break;
		read_bytes += (size_t)n;
		is_spent = read_bytes >= READ_BUDGET_BYTES;
	}
	channel->is_receiving = false;
	if (!goes_on(channel))
		return;
	watch_frame(channel, has_delivered);
	if (is_spent && goes_on(channel))
		sd_event_source_set_enabled(channel->kick, SD_EVENT_ONESHOT);
}

/* > 0: bytes written; 0: the socket takes no more; < 0: the channel has been closed. */
static int write_some(struct channel *channel)
{
	struct channel_buffer *queued = &channel->queued;
	char reason[CHANNEL_REASON_CHARS];
	uint32_t events = 0;
	int n, r;

	channel_tls_prepare(&channel->tls);
	n = SSL_write(channel->tls.ssl, channel_buffer_bytes(queued),
		      (int)channel_buffer_size(queued));
	if (n > 0) {
		channel_buffer_consume(queued, (size_t)n);
		return n;
	}
	r = channel_tls_result(&channel->tls, n, errno, &events, reason);
	if (r == -EAGAIN) {
		channel->write_is_blocked = true;
		return 0;
	}
	channel_fail(channel, r, reason);
	return -ENOTCONN;
}

void channel_io_flush(struct channel *channel)
{
	size_t written_bytes = 0;

	while (!channel->is_closed && !channel->write_is_blocked &&
	       channel_buffer_size(&channel->queued) > 0 && written_bytes < WRITE_BUDGET_BYTES) {
		int n = write_some(channel);

		written_bytes += n > 0 ? (size_t)n : 0;
	}
	if (channel->is_closed)
		return;
	if (channel_buffer_size(&channel->queued) > 0 && !channel->write_is_blocked)
		sd_event_source_set_enabled(channel->kick, SD_EVENT_ONESHOT);
	set_events(channel);
}
