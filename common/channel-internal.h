/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the channel share among themselves: TLS sessions, the handshake, the making of
 * an established channel, and the greeting. Users include channel.h alone.
 *
 * Greeting: the server's first frame is {"channel": 1}, or {"channel": 1, "refused": SENTENCE}.
 * With TLS 1.3 a client is done before the server has looked at its certificate; only the greeting
 * tells it that it was accepted.
 */

#include <openssl/ssl.h>
#include <sys/socket.h>

#include "common/address.h"
#include "common/channel-buffer.h"
#include "common/channel.h"
#include "common/name.h"

#define CHANNEL_VERSION        1
#define CHANNEL_SERVER_BACKLOG 128

/* channel-bio.c: a socket BIO that never raises SIGPIPE; does not own the descriptor. */
BIO *channel_bio_new(int fd);

/* channel-tls.c */
enum channel_role {
	CHANNEL_CONNECTS,
	CHANNEL_ACCEPTS,
};

struct channel_tls {
	SSL *ssl;
	const char *expected_peer;         /* borrowed; NULL: any valid site name */
	char peer[NAME_MAX_CHARS + 1];     /* certified once the handshake is done */
	char reason[CHANNEL_REASON_CHARS]; /* why a certificate was refused, or "" */
};

int channel_tls_init(struct channel_tls *tls, struct channel_identity *identity,
		     enum channel_role role, int fd, const char *expected_peer);
void channel_tls_done(struct channel_tls *tls);
/* 0: done; -EAGAIN with *ret_events to wait for; else an error with its sentence. */
int channel_tls_handshake(struct channel_tls *tls, uint32_t *ret_events,
			  char ret_reason[static CHANNEL_REASON_CHARS]);
/* Before an OpenSSL call whose answer channel_tls_result() is to explain. */
void channel_tls_prepare(const struct channel_tls *tls);
/* What an OpenSSL call that answered less than 1 means: -EAGAIN with *ret_events, 0 for the peer's
 * orderly end, else an error; the last two with a sentence. */
int channel_tls_result(const struct channel_tls *tls, int answer, int saved_errno,
		       uint32_t *ret_events, char ret_reason[static CHANNEL_REASON_CHARS]);

/* channel-handshake.c: TLS on a connected socket, within CHANNEL_HANDSHAKE_USEC. */
struct channel_handshake;
/* channel is NULL unless result is 0, else its ownership passes, paused and without a handler. The
 * handshake is over, and the callee frees it. */
typedef void (*channel_handshake_done_t)(int result, const char *reason, struct channel *channel,
					 void *userdata);
struct channel_handshake_options {
	enum channel_role role;
	const char *expected_peer; /* outlives the handshake; NULL: any valid site name */
	uint64_t timeout_usec;
};
/* Takes the descriptor, also on failure. done() is never called from within. */
int channel_handshake_new(sd_event *event, int fd, struct channel_identity *identity,
			  const struct channel_handshake_options *options,
			  channel_handshake_done_t done, void *userdata,
			  struct channel_handshake **ret);
struct channel_handshake *channel_handshake_free(struct channel_handshake *handshake);
DEFINE_CLEANUP(struct channel_handshake *, channel_handshake_free);

/* channel.c */
struct channel {
	unsigned references; /* its owner's, and one of each dispatch under way */
	sd_event *event;
	sd_event_source *io;    /* the socket */
	sd_event_source *kick;  /* deferred: flush, go on reading, tell of an end */
	sd_event_source *timer; /* runs while a frame is incomplete */
	int fd;
	struct channel_tls tls;
	char address[ADDRESS_MAX_CHARS];

	const struct channel_handler *handler; /* NULL: paused, or freed by its owner */
	void *userdata;

	struct channel_buffer received, queued;
	uint64_t frame_usec; /* for a frame that has begun */
	uint32_t events;     /* that io waits for; 0: disabled */
	bool is_receiving;   /* in channel_receive(): what is sent goes out at its end */
	bool is_closed, is_end_told;
	bool write_is_blocked; /* until the socket takes more */
	bool timer_is_on;
	uint64_t frame_begun_usec; /* of the frame that is incomplete; 0: none */
	int result;
	char reason[CHANNEL_REASON_CHARS];
};

/* Takes fd and tls (moved) on success. */
int channel_new(sd_event *event, int fd, struct channel_tls *tls, struct channel **ret);
/* Ends it and tells the handler, now or as soon as there is one. */
void channel_fail(struct channel *channel, int result, const char *reason);
struct channel *channel_ref(struct channel *channel);
struct channel *channel_unref(struct channel *channel);
DEFINE_CLEANUP(struct channel *, channel_unref);

/* channel-io.c: the bytes of a channel. The channel may be closed when they return. */
void channel_io_receive(struct channel *channel);
void channel_io_flush(struct channel *channel);
/* The timer fired: ends the channel if the incomplete frame is too old. */
void channel_io_check_frame(struct channel *channel, uint64_t now_usec);
/* Bytes have been read that no readiness of the socket will tell of. */
bool channel_io_has_unread(const struct channel *channel);

/* channel-resolve.c: a name's addresses without blocking the loop. */
#define CHANNEL_RESOLVE_MAX 8
struct channel_addresses {
	int result; /* 0, or negative errno */
	unsigned count;
	struct sockaddr_storage list[CHANNEL_RESOLVE_MAX];
};
/* At once for numeric addresses, else -EINPROGRESS and a descriptor that becomes readable. */
int channel_resolve_start(const struct address *address, struct channel_addresses *ret_addresses,
			  int *ret_fd);
int channel_resolve_finish(int fd, struct channel_addresses *ret_addresses);
socklen_t channel_address_size(const struct sockaddr_storage *address);
