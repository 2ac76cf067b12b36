// SPDX-License-Identifier: MIT
/*
 * The TLS handshake on a socket that is connected, at either end, within a time limit. What comes
 * out is a channel whose peer's certificate has been verified, or a reason.
 */

#include <sys/epoll.h>

#include "common/channel-internal.h"

struct channel_handshake {
	int fd;
	struct channel_tls tls;
	sd_event *event;
	sd_event_source *io, *timer;
	channel_handshake_done_t done;
	void *userdata;
};

static void finish(struct channel_handshake *handshake, int result, const char *reason)
{
	struct channel *channel = NULL;

	handshake->io = sd_event_source_disable_unref(handshake->io);
	handshake->timer = sd_event_source_disable_unref(handshake->timer);
	if (result == 0) {
		result = channel_new(handshake->event, handshake->fd, &handshake->tls, &channel);
		reason = result < 0 ? strerror(-result) : reason;
	}
	if (result == 0)
		handshake->fd = -1;
	/* The callee frees the handshake: nothing after this. */
	handshake->done(result, reason, channel, handshake->userdata);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct channel_handshake *handshake = userdata;
	char reason[CHANNEL_REASON_CHARS] = "";
	uint32_t events = 0;
	int r;

	r = channel_tls_handshake(&handshake->tls, &events, reason);
	if (r != -EAGAIN) {
		finish(handshake, r, reason);
		return 0;
	}
	r = sd_event_source_set_io_events(source, events);
	if (r < 0)
		finish(handshake, r, strerror(-r));
	return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	finish(userdata, -ETIMEDOUT, "the TLS handshake was not finished in time");
	return 0;
}

struct channel_handshake *channel_handshake_free(struct channel_handshake *handshake)
{
	if (!handshake)
		return NULL;
	sd_event_source_disable_unref(handshake->io);
	sd_event_source_disable_unref(handshake->timer);
	channel_tls_done(&handshake->tls);
	closep(&handshake->fd);
	sd_event_unref(handshake->event);
	free(handshake);
	return NULL;
}

int channel_handshake_new(sd_event *event, int fd, struct channel_identity *identity,
			  const struct channel_handshake_options *options,
			  channel_handshake_done_t done, void *userdata,
			  struct channel_handshake **ret)
{
	_cleanup_(closep) int owned_fd = fd;
	_cleanup_(channel_handshake_freep) struct channel_handshake *handshake = NULL;
	int r;

	handshake = calloc(1, sizeof(*handshake));
	if (!handshake)
		return -ENOMEM;
	handshake->fd = TAKE_FD(owned_fd);
	handshake->event = sd_event_ref(event);
	handshake->done = done;
	handshake->userdata = userdata;
	r = channel_tls_init(&handshake->tls, identity, options->role, fd, options->expected_peer);
	if (r < 0)
		return r;
	/* A fresh socket takes data, so the first step of either role comes at once. */
	r = sd_event_add_io(event, &handshake->io, fd, EPOLLOUT, on_io, handshake);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(event, &handshake->timer, CLOCK_MONOTONIC,
				       options->timeout_usec, 0, on_timeout, handshake);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(handshake);
	return 0;
}
