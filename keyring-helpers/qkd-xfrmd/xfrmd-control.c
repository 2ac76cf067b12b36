/* SPDX-License-Identifier: MIT */
/* UDP sockets for the rekeying datagrams. */

#include "xfrmd-control.h"

#include <linux/xfrm.h>
#include <netinet/in.h>

#include "common/log.h"

#define DATAGRAMS_AT_ONCE 32

struct xfrmd_control {
	int v4, v6;
	sd_event_source *v4_source, *v6_source;
	xfrmd_control_handler_t handler;
	void *userdata;
};

/* A socket's own policy comes before those of the kernel: in and out in clear. */
static int bypass(int fd, int family, uint8_t direction)
{
	const struct xfrm_userpolicy_info policy = {
		.sel.family = (uint16_t)family,
		.dir = direction,
		.action = XFRM_POLICY_ALLOW,
	};
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	int option = family == AF_INET ? IP_XFRM_POLICY : IPV6_XFRM_POLICY;

	return setsockopt(fd, level, option, &policy, sizeof(policy)) < 0 ? -errno : 0;
}

static int bind_to_port(int fd, int family, uint16_t port)
{
	const struct ip_address any = {.family = family};
	struct sockaddr_storage address;
	socklen_t size = ip_address_to_socket(&any, port, &address);
	int yes = 1;

	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) < 0)
		return -errno;
	return bind(fd, (const struct sockaddr *)&address, size) < 0 ? -errno : 0;
}

static int open_socket(int family, uint16_t port, int *ret)
{
	_cleanup_(closep) int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = bypass(fd, family, XFRM_POLICY_IN);
	if (r >= 0)
		r = bypass(fd, family, XFRM_POLICY_OUT);
	if (r >= 0)
		r = bind_to_port(fd, family, port);
	if (r >= 0)
		*ret = TAKE_FD(fd);
	return r;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct xfrmd_control *control = userdata;
	uint8_t bytes[REKEY_MESSAGE_BYTES + 1]; /* one more: a longer datagram is seen as such */
	struct rekey_message message;

	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		ssize_t size = recv(fd, bytes, sizeof(bytes), 0);

		if (size < 0 && errno == EAGAIN)
			break;
		if (size >= 0 && rekey_message_decode(bytes, (size_t)size, &message) == 0)
			control->handler(&message, control->userdata);
	}
	return 0;
}

int xfrmd_control_new(sd_event *event, uint16_t port, bool v4, bool v6,
		      xfrmd_control_handler_t handler, void *userdata, struct xfrmd_control **ret)
{
	_cleanup_(xfrmd_control_freep) struct xfrmd_control *control = calloc(1, sizeof(*control));
	int r = 0;

	if (!control)
		return -ENOMEM;
	control->v4 = control->v6 = -1;
	control->handler = handler;
	control->userdata = userdata;
	if (v4)
		r = open_socket(AF_INET, port, &control->v4);
	if (r >= 0 && v6)
		r = open_socket(AF_INET6, port, &control->v6);
	if (r >= 0 && v4)
		r = sd_event_add_io(event, &control->v4_source, control->v4, EPOLLIN, on_readable,
				    control);
	if (r >= 0 && v6)
		r = sd_event_add_io(event, &control->v6_source, control->v6, EPOLLIN, on_readable,
				    control);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(control);
	return 0;
}

struct xfrmd_control *xfrmd_control_free(struct xfrmd_control *control)
{
	if (!control)
		return NULL;
	sd_event_source_disable_unref(control->v4_source);
	sd_event_source_disable_unref(control->v6_source);
	closep(&control->v4);
	closep(&control->v6);
	free(control);
	return NULL;
}

void xfrmd_control_send(struct xfrmd_control *control, const struct ip_address *to, uint16_t port,
			const uint8_t bytes[static REKEY_MESSAGE_BYTES])
{
	struct sockaddr_storage address;
	socklen_t size = ip_address_to_socket(to, port, &address);
	int fd = to->family == AF_INET ? control->v4 : control->v6;

	if (sendto(fd, bytes, REKEY_MESSAGE_BYTES, 0, (const struct sockaddr *)&address, size) < 0)
		log_debug("cannot send to the other end: %s", strerror(errno));
}
