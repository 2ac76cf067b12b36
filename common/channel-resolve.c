// SPDX-License-Identifier: MIT
/*
 * Host names to socket addresses. Numeric ones at once; others through getaddrinfo(3), which blocks
 * as long as the resolver likes, in a thread of its own that shares nothing with us but one end of
 * a socket pair: whoever loses interest closes the other end.
 */

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "common/channel-internal.h"

struct question {
	struct address address;
	int fd;
};

socklen_t channel_address_size(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					      : sizeof(struct sockaddr_in);
}

static int result_of(int code)
{
	switch (code) {
	case 0:
		return 0;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -EAGAIN;
	default: /* the resolver's, not an enum of ours */
		return -EHOSTUNREACH;
	}
}

static void look_up(const struct address *address, int flags, struct channel_addresses *ret)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
	struct addrinfo *found = NULL;

	*ret = (struct channel_addresses){0};
	ret->result = result_of(getaddrinfo(address->host, address->port, &hints, &found));
	if (ret->result < 0)
		return;
	for (struct addrinfo *i = found; i && ret->count < CHANNEL_RESOLVE_MAX; i = i->ai_next)
		if (i->ai_addrlen <= sizeof(ret->list[0]))
			memcpy(&ret->list[ret->count++], i->ai_addr, i->ai_addrlen);
	freeaddrinfo(found);
}

static void *thread_main(void *argument)
{
	struct question *question = argument;
	struct channel_addresses addresses;

	look_up(&question->address, AI_ADDRCONFIG, &addresses);
	send(question->fd, &addresses, sizeof(addresses), MSG_NOSIGNAL);
	close(question->fd);
	free(question);
	return NULL;
}

/* Signals stay with the thread that runs the loop. */
static int start_thread(struct question *question)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int error;

	error = pthread_attr_init(&attributes);
	if (error)
		return -error;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, thread_main, question);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -error;
}

static int ask(const struct address *address, int *ret_fd)
{
	_cleanup_(freep) struct question *question = malloc(sizeof(*question));
	int pair[2], r;

	if (!question)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*question = (struct question){.address = *address, .fd = pair[1]};
	r = start_thread(question);
	if (r < 0) {
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	question = NULL; /* the thread's */
	*ret_fd = pair[0];
	return -EINPROGRESS;
}

int channel_resolve_start(const struct address *address, struct channel_addresses *ret_addresses,
			  int *ret_fd)
{
	struct channel_addresses addresses;

	look_up(address, AI_NUMERICHOST | AI_NUMERICSERV, &addresses);
	if (addresses.result < 0)
		return ask(address, ret_fd);
	*ret_addresses = addresses;
	return 0;
}

int channel_resolve_finish(int fd, struct channel_addresses *ret_addresses)
{
	struct channel_addresses addresses;
	ssize_t n = recv(fd, &addresses, sizeof(addresses), MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	if (n != sizeof(addresses))
		return -EIO;
	if (addresses.result < 0)
		return addresses.result;
	*ret_addresses = addresses;
	return 0;
}
