/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "qkd-linkd/link-bus.h"

static void expect_name(const char *link, const char *expected)
{
	char name[LINK_BUS_NAME_MAX];

	link_bus_name(link, name);
	cr_expect_str_eq(name, expected);
}

Test(link_bus, what_a_bus_name_cannot_hold_becomes_an_underscore)
{
	expect_name("alicebob", "org.qkd.Link1.alicebob");
	expect_name("alice-bob", "org.qkd.Link1.alice_bob");
	expect_name("a.b-c.d", "org.qkd.Link1.a_b_c_d");
	expect_name("2nd", "org.qkd.Link1._2nd");
}

Test(link_bus, the_longest_link_has_a_name)
{
	char link[NAME_MAX_CHARS + 1], name[LINK_BUS_NAME_MAX];

	memset(link, '1', NAME_MAX_CHARS);
	link[NAME_MAX_CHARS] = '\0';
	link_bus_name(link, name);
	cr_expect_eq(strlen(name), strlen("org.qkd.Link1._") + NAME_MAX_CHARS);
}
