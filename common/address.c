// SPDX-License-Identifier: MIT
/*
 * HOST:PORT: takes it apart for configuration and connections, and writes it for the log. One
 * place, so that what --check-config accepts is what can be connected to.
 */

#include <netdb.h>
#include <netinet/in.h>

#include "common/address.h"

#define V6_HOST_BYTES 8 /* a /64 */

static bool copy_chars(char *to, size_t to_size, const char *from, size_t length)
{
	if (length == 0 || length >= to_size)
		return false;
	memcpy(to, from, length);
	to[length] = '\0';
	return true;
}

static bool port_is_valid(const char *port, bool zero_port)
{
	unsigned long number;

	if (strlen(port) > 5 || strspn(port, "0123456789") != strlen(port))
		return false;
	number = strtoul(port, NULL, 10);
	return number <= UINT16_MAX && (number > 0 || (zero_port && *port));
}

static bool host_is_valid(const char *host, bool is_v6)
{
	static const char v6[] = "0123456789abcdefABCDEF:.%";
	static const char name[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

	if (is_v6)
		return strchr(host, ':') && strspn(host, v6) >= strcspn(host, "%");
	return host[strspn(host, name)] == '\0' && *host != '-' && *host != '.';
}

int address_parse(const char *text, bool zero_port, struct address *ret)
{
	const char *colon = strrchr(text, ':');
	bool is_v6 = *text == '[';
	struct address address;
	size_t host_chars;

	if (!colon)
		return -EINVAL;
	host_chars = (size_t)(colon - text);
	if (is_v6) {
		if (host_chars < 2 || colon[-1] != ']')
			return -EINVAL;
		text++;
		host_chars -= 2;
	}
	if (!copy_chars(address.host, sizeof(address.host), text, host_chars) ||
	    !copy_chars(address.port, sizeof(address.port), colon + 1, strlen(colon + 1)) ||
	    !host_is_valid(address.host, is_v6) || !port_is_valid(address.port, zero_port))
		return -EINVAL;
	*ret = address;
	return 0;
}

void address_format(const struct sockaddr *address, socklen_t size_bytes,
		    char ret_text[static ADDRESS_MAX_CHARS])
{
	char host[ADDRESS_MAX_HOST_CHARS + 1], port[sizeof("65535")];
	int r;

	r = getnameinfo(address, size_bytes, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV);
	if (r != 0)
		snprintf(ret_text, ADDRESS_MAX_CHARS, "unknown address");
	else if (address->sa_family == AF_INET6)
		snprintf(ret_text, ADDRESS_MAX_CHARS, "[%s]:%s", host, port);
	else
		snprintf(ret_text, ADDRESS_MAX_CHARS, "%s:%s", host, port);
}

bool address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	size_t compared_bytes = V6_HOST_BYTES;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	if (IN6_IS_ADDR_V4MAPPED(&a6->sin6_addr)) /* the IPv4 address stands at the end */
		compared_bytes = sizeof(a6->sin6_addr);
	return memcmp(&a6->sin6_addr, &b6->sin6_addr, compared_bytes) == 0;
}
