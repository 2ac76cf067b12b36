/* SPDX-License-Identifier: MIT */
/*
 * Checks a packet of the upcall socket. The helper is ours and root's, but what it carries comes
 * from whoever called request_key(2).
 */

#include "upcall-packet.h"

#include <ctype.h>

static bool is_terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static int permission_of_type(const char *type, uint32_t *ret)
{
	if (str_equal(type, "user"))
		*ret = UPCALL_PERMISSION_USER;
	else if (str_equal(type, "logon"))
		*ret = UPCALL_PERMISSION_LOGON;
	else
		return -EBADMSG;
	return 0;
}

static void copy_printable(const char *from, char *ret)
{
	size_t i;

	for (i = 0; from[i]; i++)
		ret[i] = isascii(from[i]) && isprint(from[i]) ? from[i] : '?';
	ret[i] = '\0';
}

int upcall_packet_parse(const void *bytes, size_t size_bytes, struct upcall_packet *ret)
{
	struct upcall_packet packet = {0};
	struct upcall_request request;

	if (size_bytes != sizeof(request))
		return -EBADMSG;
	memcpy(&request, bytes, sizeof(request));
	if (request.magic != UPCALL_MAGIC || !is_terminated(request.type, sizeof(request.type)) ||
	    !is_terminated(request.description, sizeof(request.description)) ||
	    !is_terminated(request.callout, sizeof(request.callout)) ||
	    permission_of_type(request.type, &packet.permission) < 0)
		return -EBADMSG;
	packet.uid = request.requester_uid;
	packet.gid = request.requester_gid;
	copy_printable(request.description, packet.description);
	packet.well_formed =
		request_text_parse(request.description, request.callout, &packet.text) == 0;
	*ret = packet;
	return 0;
}
