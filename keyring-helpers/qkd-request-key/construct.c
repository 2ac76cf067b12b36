/* SPDX-License-Identifier: MIT */
/*
 * The helper's one job: ask keyringd for the key that the kernel is waiting for, and build it. It
 * decides nothing; whatever fails is a rejection with an errno, never silence, because the
 * requester sleeps uninterruptibly until we answer.
 */

#include "construct.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/time_types.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/upcall-wire.h"
#include "helper-text.h"
#include "raw.h"

/* The requester is to see an answer within wait + 1 seconds; starting us takes of that too. */
#define CONSTRUCT_GRACE_MSEC 900
/* Last resort: the kernel's own default action then ends us. */
#define CONSTRUCT_ALARM_SEC (UPCALL_WAIT_MAX_SEC + 2)

struct construction {
	int32_t serial;
	unsigned wait_msec;
	int socket;
	char path[HELPER_TEXT_PATH_MAX];
	char describe[UPCALL_DESCRIPTION_MAX + 64];
	struct upcall_request request;
	struct upcall_reply reply;
};

/* Static, so that the stack never holds a key; on pages of its own, so that locking is cheap. */
static struct construction construction __attribute__((aligned(4096)));

static void wipe(void *bytes, size_t size)
{
	volatile uint8_t *p = bytes;

	while (size--)
		*p++ = 0;
}

/* No core file, no swap. An alarm instead of setitimer(2) would not exist on every machine. */
static void protect(struct construction *c)
{
	const struct __kernel_old_itimerval limit = {.it_value = {.tv_sec = CONSTRUCT_ALARM_SEC}};

	raw_call(SYS_setitimer, 0 /* ITIMER_REAL */, (long)&limit, 0, 0, 0);
	raw_call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	raw_call(SYS_mlock, (long)c, sizeof(*c), 0, 0, 0);
}

/* Fills the request from what the kernel tells of the key and its requester. */
static int read_request(struct construction *c)
{
	struct upcall_request *r = &c->request;
	struct helper_key key;
	long size;

	size = raw_keyctl(KEYCTL_READ, KEY_SPEC_REQKEY_AUTH_KEY, (long)r->callout,
			  sizeof(r->callout) - 1, 0);
	if (size < 0)
		return (int)size;
	if (size >= (long)sizeof(r->callout))
		return -EINVAL;
	r->callout[size] = '\0';

	size = raw_keyctl(KEYCTL_DESCRIBE, c->serial, (long)c->describe, sizeof(c->describe), 0);
	if (size < 0)
		return (int)size;
	if (size > (long)sizeof(c->describe) || !helper_text_parse_key(c->describe, &key))
		return -EINVAL;

	r->magic = UPCALL_MAGIC;
	r->requester_uid = key.uid;
	r->requester_gid = key.gid;
	r->key_serial = c->serial;
	for (size_t i = 0; i < sizeof(r->type); i++)
		r->type[i] = key.type[i];
	for (size_t i = 0; (r->description[i] = key.description[i]); i++)
		if (i == sizeof(r->description) - 1)
			return -EINVAL;

	c->wait_msec = helper_text_wait(r->callout) * 1000 + CONSTRUCT_GRACE_MSEC;
	return helper_text_socket(r->description, c->path) ? 0 : -EINVAL;
}

/* Never blocks: a daemon whose queue is full is as good as none. */
static int connect_daemon(struct construction *c)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	long result;

	result = raw_call(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0,
			  0);
	if (result < 0)
		return (int)result;
	c->socket = (int)result;
	for (size_t i = 0; i < sizeof(c->path); i++)
		address.sun_path[i] = c->path[i];
	result = raw_call(SYS_connect, c->socket, (long)&address, sizeof(address), 0, 0);
	return result < 0 ? -ENOKEY : 0;
}

static long send_packet(struct construction *c, const void *packet, size_t size)
{
	const struct iovec part = {.iov_base = (void *)packet, .iov_len = size};
	const struct msghdr message = {.msg_iov = (struct iovec *)&part, .msg_iovlen = 1};

	return raw_call(SYS_sendmsg, c->socket, (long)&message, MSG_NOSIGNAL, 0, 0);
}

static int wait_for_reply(struct construction *c)
{
	const struct __kernel_timespec limit = {
		.tv_sec = c->wait_msec / 1000,
		.tv_nsec = (long)(c->wait_msec % 1000) * 1000000,
	};
	struct __kernel_timespec left = limit; /* the kernel writes what is left */
	struct pollfd poll = {.fd = c->socket, .events = POLLIN};
	long result = raw_call(SYS_ppoll, (long)&poll, 1, (long)&left, 0, 0);

	if (result < 0)
		return (int)result;
	return result == 0 ? -ETIMEDOUT : 0;
}

static int ask_daemon(struct construction *c)
{
	struct upcall_reply *reply = &c->reply;
	long result = connect_daemon(c);

	if (result < 0)
		return (int)result;
	result = send_packet(c, &c->request, sizeof(c->request));
	if (result < 0)
		return -ENOKEY;
	result = wait_for_reply(c);
	if (result < 0)
		return (int)result;
	result = raw_call(SYS_read, c->socket, (long)reply, sizeof(*reply), 0, 0);
	if (result != sizeof(*reply) || reply->magic != UPCALL_MAGIC)
		return -ENOKEY; /* it went away, or is no keyringd of ours */
	if (reply->error != 0)
		return -(int)reply->error;
	return reply->key_bytes > 0 && reply->key_bytes <= sizeof(reply->key) ? 0 : -EPROTO;
}

/* Time limit and permission first: once it is instantiated we no longer may. The owner is the
 * requester already, and the destination holds the key already, hence ring 0. */
static int instantiate(struct construction *c)
{
	const struct upcall_reply *reply = &c->reply;
	long result = 0;

	if (reply->timeout_sec != 0)
		result = raw_keyctl(KEYCTL_SET_TIMEOUT, c->serial, reply->timeout_sec, 0, 0);
	if (result == 0)
		result = raw_keyctl(KEYCTL_SETPERM, c->serial, reply->permission, 0, 0);
	if (result == 0)
		result = raw_keyctl(KEYCTL_INSTANTIATE, c->serial, (long)reply->key,
				    reply->key_bytes, 0);
	return (int)result;
}

static int obtain_and_build(struct construction *c)
{
	struct upcall_report report = {.magic = UPCALL_MAGIC};
	int result = ask_daemon(c);

	if (result < 0)
		return result;
	result = instantiate(c);
	report.delivered = result == 0;
	report.error = (uint32_t)-result;
	send_packet(c, &report, sizeof(report));
	return result;
}

int construct_key(int32_t serial)
{
	struct construction *c = &construction;
	int result;

	c->serial = serial;
	protect(c);
	if (raw_keyctl(KEYCTL_ASSUME_AUTHORITY, serial, 0, 0, 0) < 0)
		return 1;
	result = read_request(c);
	if (result == 0)
		result = obtain_and_build(c);
	wipe(&c->reply, sizeof(c->reply));
	if (result < 0)
		raw_keyctl(KEYCTL_REJECT, serial, UPCALL_NEGATIVE_SEC, -result, 0);
	return 0;
}
