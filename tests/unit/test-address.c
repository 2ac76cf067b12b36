// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>

#include "common/address.h"

Test(address, host_and_port_are_taken_apart)
{
	static const struct {
		const char *text, *host, *port;
	} cases[] = {
		{"192.0.2.1:4711", "192.0.2.1", "4711"},
		{"kms.example.org:1", "kms.example.org", "1"},
		{"[::1]:65535", "::1", "65535"},
		{"[fe80::1%eth0]:80", "fe80::1%eth0", "80"},
		{"bob:80", "bob", "80"},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct address address;

		cr_expect_eq(address_parse(cases[i].text, false, &address), 0, "%s", cases[i].text);
		cr_expect_str_eq(address.host, cases[i].host);
		cr_expect_str_eq(address.port, cases[i].port);
	}
}

Test(address, what_is_no_address_is_refused)
{
	static const char *const cases[] = {
		"",         ":",         "bob",        "bob:",      ":80",        "bob:0",
		"bob:x",    "bob:65536", "bob:-1",     "bob: 80",   "b ob:80",    "::1:80",
		"[::1]",    "[::1]80",   "[]:80",      "[bob]:80",  "-bob:80",    "http://bob:80",
		"bob:80/x", "[::1:80",   "bob:000080", "bob:80:80", "[::1 x]:80", "[%a]:80",
	};
	char endless[300];

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct address address = {"old", "1"};

		cr_expect_eq(address_parse(cases[i], false, &address), -EINVAL, "%s", cases[i]);
		cr_expect_str_eq(address.host, "old");
	}
	memset(endless, 'a', sizeof(endless));
	strcpy(endless + sizeof(endless) - 4, ":80");
	cr_expect_eq(address_parse(endless, false, &(struct address){0}), -EINVAL);
}

Test(address, port_zero_is_for_those_who_ask_for_it)
{
	struct address address;

	cr_expect_eq(address_parse("127.0.0.1:0", true, &address), 0);
	cr_expect_str_eq(address.port, "0");
	cr_expect_eq(address_parse("127.0.0.1:", true, &address), -EINVAL);
}

static struct sockaddr_storage v4(const char *text)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in *address = (struct sockaddr_in *)&storage;

	address->sin_family = AF_INET;
	address->sin_port = htons(4711);
	cr_assert_eq(inet_pton(AF_INET, text, &address->sin_addr), 1);
	return storage;
}

static struct sockaddr_storage v6(const char *text)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in6 *address = (struct sockaddr_in6 *)&storage;

	address->sin6_family = AF_INET6;
	address->sin6_port = htons(4711);
	cr_assert_eq(inet_pton(AF_INET6, text, &address->sin6_addr), 1);
	return storage;
}

static bool same(struct sockaddr_storage a, struct sockaddr_storage b)
{
	return address_same_host(&a, &b);
}

Test(address, a_host_is_an_ipv4_address_or_an_ipv6_network)
{
	cr_expect(same(v4("192.0.2.1"), v4("192.0.2.1")));
	cr_expect_not(same(v4("192.0.2.1"), v4("192.0.2.2")));
	cr_expect(same(v6("2001:db8::1"), v6("2001:db8::ffff:1")));
	cr_expect_not(same(v6("2001:db8::1"), v6("2001:db8:0:1::1")));
	cr_expect(same(v6("::ffff:192.0.2.1"), v6("::ffff:192.0.2.1")));
	cr_expect_not(same(v6("::ffff:192.0.2.1"), v6("::ffff:192.0.2.2")));
	cr_expect_not(same(v4("192.0.2.1"), v6("::ffff:192.0.2.1")));
}

Test(address, it_is_written_as_it_is_read)
{
	struct sockaddr_storage a = v4("192.0.2.1"), b = v6("2001:db8::1");
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	char text[ADDRESS_MAX_CHARS];

	address_format((struct sockaddr *)&a, sizeof(struct sockaddr_in), text);
	cr_expect_str_eq(text, "192.0.2.1:4711");
	address_format((struct sockaddr *)&b, sizeof(struct sockaddr_in6), text);
	cr_expect_str_eq(text, "[2001:db8::1]:4711");
	address_format(&none, sizeof(none), text);
	cr_expect_str_eq(text, "unknown address");
}
