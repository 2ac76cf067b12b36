/* SPDX-License-Identifier: MIT */
/* Datagrams of NETLINK_XFRM: no bytes may make the parser read past their end. */

#include <netlink/msg.h>

#include "keyring-helpers/qkd-xfrmd/xfrm-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) void *copy = malloc(size + 1); /* aligned, and its end is its end */
	int rest = (int)size;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	for (struct nlmsghdr *header = copy; nlmsg_ok(header, rest);
	     header = nlmsg_next(header, &rest)) {
		struct xfrm_report report;

		(void)xfrm_message_parse(header, &report);
	}
	return 0;
}
