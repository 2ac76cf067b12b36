/* SPDX-License-Identifier: MIT */
/* IP addresses and prefixes: reading them as an administrator writes them. */

#include "ip-prefix.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define BITS_PER_BYTE 8

size_t ip_address_size(const struct ip_address *address)
{
	return address->family == AF_INET6 ? 16 : 4;
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, ip_address_size(a)) == 0;
}

int ip_address_parse(const char *text, struct ip_address *ret)
{
	struct ip_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	if (inet_pton(address.family, text, address.bytes) != 1)
		return -EINVAL;
	*ret = address;
	return 0;
}

void ip_prefix_of_host(const struct ip_address *host, struct ip_prefix *ret)
{
	ret->address = *host;
	ret->length_bits = (uint8_t)(ip_address_size(host) * BITS_PER_BYTE);
}

/* Equal in the first bits. */
static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / BITS_PER_BYTE, rest = bits % BITS_PER_BYTE;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (BITS_PER_BYTE - rest) == 0;
}

static bool bits_clear_after(const struct ip_prefix *prefix)
{
	for (size_t bit = prefix->length_bits;
	     bit < ip_address_size(&prefix->address) * BITS_PER_BYTE; bit++)
		if (prefix->address.bytes[bit / BITS_PER_BYTE] & (0x80 >> bit % BITS_PER_BYTE))
			return false;
	return true;
}

static int parse_length(const char *text, unsigned max, uint8_t *ret)
{
	char *end;
	unsigned long value;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value > max)
		return -EINVAL;
	*ret = (uint8_t)value;
	return 0;
}

int ip_prefix_parse(const char *text, struct ip_prefix *ret)
{
	_cleanup_(freep) char *copy = strdup(text);
	char *slash = copy ? strchr(copy, '/') : NULL;
	struct ip_prefix prefix = {0};

	if (!copy)
		return -ENOMEM;
	if (slash)
		*slash = '\0';
	if (ip_address_parse(copy, &prefix.address) < 0)
		return -EINVAL;
	ip_prefix_of_host(&prefix.address, &prefix);
	if (slash && parse_length(slash + 1, prefix.length_bits, &prefix.length_bits) < 0)
		return -EINVAL;
	if (!bits_clear_after(&prefix))
		return -EINVAL;
	*ret = prefix;
	return 0;
}

bool ip_prefix_covers(const struct ip_prefix *outer, const struct ip_prefix *inner)
{
	return outer->address.family == inner->address.family &&
	       outer->length_bits <= inner->length_bits &&
	       bits_equal(outer->address.bytes, inner->address.bytes, outer->length_bits);
}

socklen_t ip_address_to_socket(const struct ip_address *address, uint16_t port,
			       struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)address->family};
	if (address->family == AF_INET) {
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, address->bytes, sizeof(v4->sin_addr));
		return sizeof(*v4);
	}
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, address->bytes, sizeof(v6->sin6_addr));
	return sizeof(*v6);
}
