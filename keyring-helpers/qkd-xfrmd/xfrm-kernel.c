/* SPDX-License-Identifier: MIT */
/* Talks NETLINK_XFRM. Every buffer is secret memory: a dump of associations has their keys. */

#include "xfrm-kernel.h"

#include <linux/netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER_MAX_BYTES    32768 /* what the kernel puts into one datagram of a dump */
#define ANSWER_TIMEOUT_SEC  10    /* modules may have to be loaded */
#define EVENTS_BUFFER_BYTES (1 << 20)
#define EVENTS_AT_ONCE      64

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free);

struct xfrm_kernel {
	struct nl_sock *requests, *events;
	sd_event_source *source;
	xfrm_kernel_handler_t handler;
	void *userdata;
	struct secret *request, *answer;
	uint32_t sequence;
};

static int open_socket(struct nl_sock **ret)
{
	_cleanup_(nl_socket_freep) struct nl_sock *socket = nl_socket_alloc();
	int r;

	if (!socket)
		return -ENOMEM;
	r = nl_connect(socket, NETLINK_XFRM);
	if (r < 0)
		return r == -NLE_PERM ? -EPERM : -EPROTONOSUPPORT;
	*ret = TAKE_PTR(socket);
	return 0;
}

static int open_requests(struct xfrm_kernel *k)
{
	const struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_SEC};
	int r = open_socket(&k->requests);

	if (r < 0)
		return r;
	return setsockopt(nl_socket_get_fd(k->requests), SOL_SOCKET, SO_RCVTIMEO, &limit,
			  sizeof(limit)) < 0
		       ? -errno
		       : 0;
}

/* Every message of a datagram, from the kernel only. Positive: the handler has seen enough. */
static int receive(struct nl_sock *socket, struct secret *buffer,
		   int (*each)(struct nlmsghdr *header, void *userdata), void *userdata)
{
	struct sockaddr_nl from;
	struct iovec iovec = {.iov_base = buffer->bytes, .iov_len = buffer->size_bytes};
	struct msghdr datagram = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iovec, .msg_iovlen = 1};
	ssize_t size = recvmsg(nl_socket_get_fd(socket), &datagram, 0);
	int rest = (int)size, r = 0;

	if (size < 0)
		return -errno;
	for (struct nlmsghdr *header = (struct nlmsghdr *)buffer->bytes;
	     from.nl_pid == 0 && r == 0 && nlmsg_ok(header, rest);
	     header = nlmsg_next(header, &rest))
		r = each(header, userdata);
	secret_wipe(buffer->bytes, (size_t)size);
	return r;
}

static int on_event(struct nlmsghdr *header, void *userdata)
{
	struct xfrm_kernel *k = userdata;
	struct xfrm_report report;

	if (xfrm_message_parse(header, &report) == 0 &&
	    (report.type == XFRM_REPORT_ACQUIRE || report.type == XFRM_REPORT_EXPIRE))
		k->handler(&report, k->userdata);
	return 0;
}

/* -ENOBUFS: some were lost; timers of the daemon's own make up for them. */
static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct xfrm_kernel *k = userdata;

	for (int i = 0; i < EVENTS_AT_ONCE; i++) {
		int r = receive(k->events, k->answer, on_event, k);

		if (r < 0 && r != -EINTR && r != -ENOBUFS)
			break;
	}
	return 0;
}

static int open_events(struct xfrm_kernel *k, sd_event *event)
{
	int r = open_socket(&k->events);

	if (r < 0)
		return r;
	if (nl_socket_add_memberships(k->events, XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE, 0) < 0)
		return -EPERM;
	(void)nl_socket_set_buffer_size(k->events, EVENTS_BUFFER_BYTES, 0);
	if (nl_socket_set_nonblocking(k->events) < 0)
		return -EIO;
	return sd_event_add_io(event, &k->source, nl_socket_get_fd(k->events), EPOLLIN, on_readable,
			       k);
}

int xfrm_kernel_new(sd_event *event, xfrm_kernel_handler_t handler, void *userdata,
		    struct xfrm_kernel **ret)
{
	_cleanup_(xfrm_kernel_freep) struct xfrm_kernel *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->handler = handler;
	k->userdata = userdata;
	r = secret_new(XFRM_MESSAGE_MAX_BYTES, &k->request);
	if (r >= 0)
		r = secret_new(ANSWER_MAX_BYTES, &k->answer);
	if (r >= 0)
		r = open_requests(k);
	if (r >= 0 && event)
		r = open_events(k, event);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

struct xfrm_kernel *xfrm_kernel_free(struct xfrm_kernel *k)
{
	if (!k)
		return NULL;
	sd_event_source_disable_unref(k->source);
	nl_socket_free(k->requests);
	nl_socket_free(k->events);
	secret_free(k->request);
	secret_free(k->answer);
	free(k);
	return NULL;
}

struct answer {
	uint32_t sequence;
	int result;
	xfrm_kernel_handler_t handler;
	void *userdata;
};

static int on_answer(struct nlmsghdr *header, void *userdata)
{
	struct answer *answer = userdata;
	struct xfrm_report report;

	if (header->nlmsg_seq != answer->sequence || xfrm_message_parse(header, &report) < 0)
		return 0;
	if (report.type == XFRM_REPORT_RESULT) {
		answer->result = report.result;
		return 1;
	}
	if (answer->handler)
		answer->handler(&report, answer->userdata);
	return 0;
}

/* Sends the request that has been built and waits for its result. */
static int transact(struct xfrm_kernel *k, int size, struct answer *answer)
{
	int r;

	if (size < 0)
		return size;
	answer->sequence = k->sequence;
	r = nl_sendto(k->requests, k->request->bytes, (size_t)size);
	secret_wipe(k->request->bytes, (size_t)size);
	if (r < 0)
		return -EIO;
	do {
		r = receive(k->requests, k->answer, on_answer, answer);
	} while (r == 0 || r == -EINTR);
	if (r < 0)
		return r == -EAGAIN ? -ETIMEDOUT : r;
	return answer->result;
}

int xfrm_kernel_add_sa(struct xfrm_kernel *k, const struct xfrm_sa *sa, const struct secret *key)
{
	struct answer answer = {0};

	return transact(k,
			xfrm_message_new_sa(sa, key, ++k->sequence, k->request->bytes,
					    k->request->size_bytes),
			&answer);
}

int xfrm_kernel_delete_sa(struct xfrm_kernel *k, const struct xfrm_sa *sa)
{
	struct answer answer = {0};

	return transact(k,
			xfrm_message_delete_sa(sa, ++k->sequence, k->request->bytes,
					       k->request->size_bytes),
			&answer);
}

int xfrm_kernel_set_policy(struct xfrm_kernel *k, const struct xfrm_policy_rule *rule)
{
	struct answer answer = {0};

	return transact(k,
			xfrm_message_set_policy(rule, ++k->sequence, k->request->bytes,
						k->request->size_bytes),
			&answer);
}

int xfrm_kernel_has_policy(struct xfrm_kernel *k, enum xfrm_direction direction, uint32_t index)
{
	const struct xfrm_userpolicy_id id = {.dir = (uint8_t)direction, .index = index};
	struct answer answer = {0};
	int r = transact(k,
			 xfrm_message_get_policy(&id, ++k->sequence, k->request->bytes,
						 k->request->size_bytes),
			 &answer);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int xfrm_kernel_delete_policy(struct xfrm_kernel *k, const struct xfrm_userpolicy_id *id)
{
	struct answer answer = {0};

	return transact(k,
			xfrm_message_delete_policy(id, ++k->sequence, k->request->bytes,
						   k->request->size_bytes),
			&answer);
}

int xfrm_kernel_foreach(struct xfrm_kernel *k, bool policies, xfrm_kernel_handler_t handler,
			void *userdata)
{
	struct answer answer = {.handler = handler, .userdata = userdata};

	return transact(k,
			xfrm_message_dump(policies, ++k->sequence, k->request->bytes,
					  k->request->size_bytes),
			&answer);
}
