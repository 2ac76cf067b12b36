/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Network addresses as an administrator writes them: HOST:PORT or [V6]:PORT. Syntax only; nothing
 * is looked up here, so that a configuration can be checked without a network.
 */

#include <sys/socket.h>

#include "common/macros.h"

#define ADDRESS_MAX_HOST_CHARS 253 /* a DNS name, RFC 1035 */
#define ADDRESS_MAX_CHARS      (ADDRESS_MAX_HOST_CHARS + sizeof("[]:65535"))

struct address {
	char host[ADDRESS_MAX_HOST_CHARS + 1]; /* without brackets */
	char port[sizeof("65535")];
};

/* -EINVAL when it is not such an address; port 0 only where zero_port says so. */
int address_parse(const char *text, bool zero_port, struct address *ret);
/* "192.0.2.1:4711" or "[2001:db8::1]:4711", for the log. */
void address_format(const struct sockaddr *address, socklen_t size_bytes,
		    char ret_text[static ADDRESS_MAX_CHARS]);
/* Of the same host, whatever the port; of IPv6 the same /64, since one host has all of it. */
bool address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
