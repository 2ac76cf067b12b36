/* SPDX-License-Identifier: MIT */
/* Addresses and prefixes: what an administrator may write, and what it covers. */

#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "keyring-helpers/qkd-xfrmd/ip-prefix.h"

static struct ip_prefix prefix_of(const char *text)
{
	struct ip_prefix prefix;

	cr_assert_eq(ip_prefix_parse(text, &prefix), 0, "%s", text);
	return prefix;
}

Test(ip_prefix, is_read_of_both_families)
{
	cr_assert_eq(prefix_of("10.1.0.0/16").length_bits, 16);
	cr_assert_eq(prefix_of("10.1.0.7").length_bits, 32);
	cr_assert_eq(prefix_of("0.0.0.0/0").length_bits, 0);
	cr_assert_eq(prefix_of("2001:db8::/32").length_bits, 32);
	cr_assert_eq(prefix_of("::1").length_bits, 128);
	cr_assert_eq(prefix_of("2001:db8::/32").address.family, AF_INET6);
}

Test(ip_prefix, with_anything_wrong_is_refused)
{
	static const char *const wrong[] = {"",
					    "10.1.0.0/33",
					    "10.1.0.1/16",
					    "10.1.0.0/",
					    "10.1.0.0/-1",
					    "10.1.0.0/ 8",
					    "10.1.0.0/8x",
					    "10.1/16",
					    "::1/64",
					    "::/129",
					    "bob",
					    "10.0.0.0/16/2"};
	struct ip_prefix prefix;

	for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
		cr_assert_eq(ip_prefix_parse(wrong[i], &prefix), -EINVAL, "%s", wrong[i]);
}

Test(ip_prefix, covers_what_is_inside_it)
{
	struct ip_prefix net = prefix_of("10.1.128.0/17"), inside = prefix_of("10.1.129.0/24");
	struct ip_prefix outside = prefix_of("10.1.0.0/24"), wider = prefix_of("10.0.0.0/8");
	struct ip_prefix all = prefix_of("0.0.0.0/0"), other = prefix_of("::/0");

	cr_assert(ip_prefix_covers(&net, &inside));
	cr_assert(ip_prefix_covers(&net, &net));
	cr_assert(ip_prefix_covers(&all, &net));
	cr_assert_not(ip_prefix_covers(&net, &outside));
	cr_assert_not(ip_prefix_covers(&net, &wider));
	cr_assert_not(ip_prefix_covers(&other, &net));
}

Test(ip_prefix, becomes_a_socket_address)
{
	struct ip_address v4, v6;
	struct sockaddr_storage address;

	cr_assert_eq(ip_address_parse("192.0.2.1", &v4), 0);
	cr_assert_eq(ip_address_parse("2001:db8::1", &v6), 0);
	cr_assert_not(ip_address_equal(&v4, &v6));
	cr_assert_eq(ip_address_to_socket(&v4, 7900, &address), sizeof(struct sockaddr_in));
	cr_assert_eq(((struct sockaddr_in *)&address)->sin_addr.s_addr, htonl(0xc0000201));
	cr_assert_eq(((struct sockaddr_in *)&address)->sin_port, htons(7900));
	cr_assert_eq(ip_address_to_socket(&v6, 7900, &address), sizeof(struct sockaddr_in6));
	cr_assert_eq(((struct sockaddr_in6 *)&address)->sin6_port, htons(7900));
}
