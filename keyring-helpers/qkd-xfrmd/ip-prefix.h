/* SPDX-License-Identifier: MIT */
#pragma once

/* IP addresses and prefixes as numbers: what the kernel's policies and associations are made of. */

#include <sys/socket.h>

#include "common/macros.h"

struct ip_address {
	int family; /* AF_INET or AF_INET6 */
	uint8_t bytes[16];
};

struct ip_prefix {
	struct ip_address address;
	uint8_t length_bits;
};

size_t ip_address_size(const struct ip_address *address) _pure_;
bool ip_address_equal(const struct ip_address *a, const struct ip_address *b) _pure_;
/* -EINVAL when it is no address. */
int ip_address_parse(const char *text, struct ip_address *ret);
/* ADDRESS/BITS; an address alone is that host. -EINVAL also for bits below the prefix. */
int ip_prefix_parse(const char *text, struct ip_prefix *ret);
void ip_prefix_of_host(const struct ip_address *host, struct ip_prefix *ret);
/* Every address of inner is one of outer. */
bool ip_prefix_covers(const struct ip_prefix *outer, const struct ip_prefix *inner) _pure_;
/* For sendto(2); the size of it. */
socklen_t ip_address_to_socket(const struct ip_address *address, uint16_t port,
			       struct sockaddr_storage *ret);
