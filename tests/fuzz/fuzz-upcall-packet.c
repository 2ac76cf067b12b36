/* SPDX-License-Identifier: MIT */
/* Packets of the upcall socket: what is accepted has printable text and a known type. */

#include <ctype.h>

#include "qkd-keyringd/upcall-packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct upcall_packet packet;

	if (upcall_packet_parse(data, size, &packet) < 0)
		return 0;
	if (packet.permission != UPCALL_PERMISSION_USER &&
	    packet.permission != UPCALL_PERMISSION_LOGON)
		abort();
	for (const char *p = packet.description; *p; p++)
		if (!isprint((unsigned char)*p))
			abort();
	return 0;
}
