/* SPDX-License-Identifier: MIT */
/* The policies that a configuration asks for, and which of the kernel's are ours and wanted. */

#include <criterion/criterion.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include "keyring-helpers/qkd-xfrmd/xfrmd-rules.h"

#define REQID 0x51000007

static struct xfrmd_selector selector_of(const char *local, const char *remote)
{
	struct xfrmd_selector s = {0};

	cr_assert_eq(ip_prefix_parse(local, &s.local), 0);
	cr_assert_eq(ip_prefix_parse(remote, &s.remote), 0);
	return s;
}

static struct xfrmd_connection_config connection_of(const char *local, const char *remote)
{
	struct xfrmd_connection_config c = {.reqid = REQID, .selector_count = 1, .tunnel = true};

	cr_assert_eq(ip_address_parse("192.0.2.1", &c.local), 0);
	cr_assert_eq(ip_address_parse("192.0.2.2", &c.remote), 0);
	c.selectors[0] = selector_of(local, remote);
	return c;
}

static struct xfrmd_config config_of(struct xfrmd_connection_config *connection)
{
	return (struct xfrmd_config){.connections = connection, .connection_count = 1};
}

Test(xfrmd_rules, protect_a_selector_in_three_directions)
{
	struct xfrmd_connection_config c = connection_of("10.1.0.0/16", "10.2.0.0/16");
	struct xfrm_policy_rule in, out, forward, last;

	c.selectors[0].protocol = 17;
	c.selectors[0].remote_port = 53;
	c.selectors[1] = selector_of("10.1.0.0/24", "192.0.2.2");
	c.selector_count = 2;
	cr_assert(xfrmd_rules_protecting(&c, 0, &in));
	cr_assert(xfrmd_rules_protecting(&c, 1, &out));
	cr_assert(xfrmd_rules_protecting(&c, 2, &forward));
	cr_assert(xfrmd_rules_protecting(&c, 5, &last));
	cr_assert_not(xfrmd_rules_protecting(&c, 6, &last));
	cr_assert_eq(out.direction, XFRM_DIRECTION_OUT);
	cr_assert_eq(out.destination_port, 53);
	cr_assert_eq(out.source_port, 0);
	cr_assert_not(out.clear);
	cr_assert_eq(out.reqid, REQID);
	cr_assert_eq(in.direction, XFRM_DIRECTION_IN);
	cr_assert_eq(in.source_port, 53);
	cr_assert(ip_address_equal(&in.outer_source, &c.remote));
	cr_assert_eq(forward.direction, XFRM_DIRECTION_FORWARD);
	cr_assert_lt(last.priority, out.priority, "the narrower one comes first");
}

Test(xfrmd_rules, ask_for_what_goes_in_clear_before_the_narrowest_that_protects)
{
	struct xfrmd_connection_config c = connection_of("2001:db8::1", "2001:db8::2");
	struct xfrm_policy_rule protecting, in, out, none;

	c.selectors[0].protocol = 6;
	c.selectors[0].local_port = c.selectors[0].remote_port = 1;
	cr_assert_not(xfrmd_rules_clear(&c, 0, &none), "nothing goes in clear unasked");
	c.clear[0] = selector_of("2001:db8::/32", "::/0");
	c.clear[0].protocol = 6;
	c.clear[0].local_port = 7700;
	c.clear_count = 1;
	cr_assert(xfrmd_rules_protecting(&c, 1, &protecting));
	cr_assert(xfrmd_rules_clear(&c, 0, &in));
	cr_assert(xfrmd_rules_clear(&c, 1, &out));
	cr_assert_not(xfrmd_rules_clear(&c, 3, &none));
	cr_assert(in.clear && out.clear);
	cr_assert_lt(out.priority, protecting.priority);
	cr_assert_eq(out.source_port, 7700);
	cr_assert_eq(in.destination_port, 7700);
	cr_assert_eq(in.source.length_bits, 0);
}

Test(xfrmd_rules, let_neighbours_be_found_where_a_selector_has_ipv6)
{
	struct xfrmd_connection_config v4 = connection_of("10.1.0.0/16", "10.2.0.0/16");
	struct xfrmd_connection_config v6 = connection_of("2001:db8::1", "2001:db8::2");
	struct xfrmd_config config = config_of(&v4);
	struct xfrm_policy_rule rule;
	unsigned seen = 0;

	cr_assert_not(xfrmd_rules_neighbour(&config, 0, &rule));
	config = config_of(&v6);
	for (size_t i = 0; xfrmd_rules_neighbour(&config, i, &rule); i++) {
		cr_assert(rule.clear);
		cr_assert_eq(rule.source.length_bits + rule.destination.length_bits, 0);
		cr_assert_eq(rule.source.address.family, AF_INET6);
		cr_assert_eq(rule.protocol, 58);
		cr_assert_eq(rule.destination_port, 0, "the message's code");
		cr_assert(rule.source_port == 135 || rule.source_port == 136);
		cr_assert_neq(rule.direction, XFRM_DIRECTION_FORWARD);
		seen |= 1u << (2 * (rule.source_port - 135) + rule.direction);
	}
	cr_assert_eq(seen, 0xf, "both types, in and out");
}

Test(xfrmd_rules, number_policies_as_the_kernel_wants_them)
{
	cr_assert_eq(xfrmd_rules_index(XFRM_DIRECTION_IN, 0), 0x51000000);
	cr_assert_eq(xfrmd_rules_index(XFRM_DIRECTION_OUT, 1), 0x51000009);
	cr_assert_eq(xfrmd_rules_index(XFRM_DIRECTION_FORWARD, 0x1fffff), 0x51fffffa);
}

/* As a dump has it. */
static struct xfrm_report policy_of(const struct xfrm_policy_rule *rule, uint32_t index)
{
	uint8_t bytes[XFRM_MESSAGE_MAX_BYTES] __attribute__((aligned(8)));
	struct nlmsghdr *header = (struct nlmsghdr *)bytes;
	struct xfrm_policy_rule numbered = *rule;
	struct xfrm_report report;

	numbered.index = index;
	cr_assert_gt(xfrm_message_set_policy(&numbered, 1, bytes, sizeof(bytes)), 0);
	header->nlmsg_type = XFRM_MSG_NEWPOLICY;
	cr_assert_eq(xfrm_message_parse(header, &report), 0);
	return report;
}

Test(xfrmd_rules, know_ours_by_the_connection_or_by_the_index)
{
	struct xfrmd_connection_config c = connection_of("10.1.0.0/16", "10.2.0.0/16");
	struct xfrm_policy_rule protecting, clear;
	struct xfrm_report report;

	c.clear[0] = selector_of("10.1.0.1", "10.2.0.1");
	c.clear_count = 1;
	cr_assert(xfrmd_rules_protecting(&c, 1, &protecting));
	cr_assert(xfrmd_rules_clear(&c, 1, &clear));
	report = policy_of(&protecting, 9);
	cr_assert(xfrmd_rules_is_ours(&report));
	report = policy_of(&clear, 0x51000011);
	cr_assert(xfrmd_rules_is_ours(&report));
	report = policy_of(&clear, 0x50000011);
	cr_assert_not(xfrmd_rules_is_ours(&report), "somebody else's hole");
	protecting.reqid = 7;
	report = policy_of(&protecting, 0x51000011);
	cr_assert_not(xfrmd_rules_is_ours(&report), "somebody else's connection");
	report = (struct xfrm_report){.type = XFRM_REPORT_SA, .reqid = REQID};
	cr_assert(xfrmd_rules_is_ours(&report));
	report.reqid = 0;
	cr_assert_not(xfrmd_rules_is_ours(&report));
}

Test(xfrmd_rules, want_what_the_configuration_still_has)
{
	struct xfrmd_connection_config c = connection_of("2001:db8::1", "2001:db8::2");
	struct xfrmd_config config = config_of(&c);
	struct xfrm_policy_rule protecting, clear, neighbour;
	struct xfrm_report report;

	c.clear[0] = selector_of("2001:db8::1", "2001:db8::/64");
	c.clear_count = 1;
	cr_assert(xfrmd_rules_protecting(&c, 0, &protecting));
	cr_assert(xfrmd_rules_clear(&c, 2, &clear));
	cr_assert(xfrmd_rules_neighbour(&config, 3, &neighbour));
	report = policy_of(&protecting, 8);
	cr_assert(xfrmd_rules_is_wanted(&config, &report));
	protecting.reqid++;
	report = policy_of(&protecting, 8);
	cr_assert_not(xfrmd_rules_is_wanted(&config, &report), "another connection's");
	report = policy_of(&clear, 0x5100000a);
	cr_assert(xfrmd_rules_is_wanted(&config, &report));
	report = policy_of(&neighbour, 0x51000001);
	cr_assert(xfrmd_rules_is_wanted(&config, &report));
	clear.source_port = 7;
	report = policy_of(&clear, 0x5100000a);
	cr_assert_not(xfrmd_rules_is_wanted(&config, &report), "another port");
	report = (struct xfrm_report){.type = XFRM_REPORT_SA, .reqid = REQID};
	cr_assert(xfrmd_rules_is_wanted(&config, &report));
	report.reqid++;
	cr_assert_not(xfrmd_rules_is_wanted(&config, &report));
	c.selectors[0] = selector_of("10.1.0.0/16", "10.2.0.0/16");
	report = policy_of(&neighbour, 0x51000001);
	cr_assert_not(xfrmd_rules_is_wanted(&config, &report), "no IPv6 any more");
}

/* Otherwise a selector that moved from one list to the other would keep its old policy: one that is
 * replaced keeps its index, and then nobody knows whose it is. */
Test(xfrmd_rules, do_not_take_a_protecting_policy_for_a_clear_one)
{
	struct xfrmd_connection_config c = connection_of("10.1.0.0/16", "10.2.0.0/16");
	struct xfrmd_config config = config_of(&c);
	struct xfrm_policy_rule protecting, clear;
	struct xfrm_report report;

	cr_assert(xfrmd_rules_protecting(&c, 0, &protecting));
	c.clear[0] = c.selectors[0];
	c.clear_count = 1;
	cr_assert(xfrmd_rules_clear(&c, 0, &clear));
	c.selectors[0] = selector_of("10.0.0.0/8", "10.0.0.0/8");
	report = policy_of(&protecting, 8);
	cr_assert_not(xfrmd_rules_is_wanted(&config, &report));
	report = policy_of(&clear, 0x51000008);
	cr_assert(xfrmd_rules_is_wanted(&config, &report));
}
