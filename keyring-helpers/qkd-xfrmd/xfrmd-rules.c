/* SPDX-License-Identifier: MIT */
/* Selectors to policies, with their priorities; and back, which policies are ours and wanted. */

#include "xfrmd-rules.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>

/* Smaller numbers are asked first: what is to go in clear before all that protects. */
#define PRIORITY_CLEAR       500
#define PRIORITY_BASE        1000
#define PREFIX_BITS_MAX      128
#define DIRECTIONS           3
#define INDEX_OURS           UINT32_C(0x51000000)
#define INDEX_OURS_MASK      UINT32_C(0xff000000)
#define INDEX_DIRECTION_BITS 3 /* the kernel's: the direction is part of an index */

/* The narrower the selector, the smaller the number. */
static uint32_t priority(const struct xfrmd_selector *s)
{
	uint32_t bits = (uint32_t)s->local.length_bits + s->remote.length_bits;
	uint32_t more = (s->protocol ? 1 : 0) + (s->local_port ? 1 : 0) + (s->remote_port ? 1 : 0);

	return PRIORITY_BASE + (2 * PREFIX_BITS_MAX - bits) * 4 + (3 - more);
}

static void swap_ends(struct xfrm_policy_rule *rule)
{
	struct xfrm_policy_rule out = *rule;

	rule->source = out.destination;
	rule->destination = out.source;
	rule->source_port = out.destination_port;
	rule->destination_port = out.source_port;
	rule->outer_source = out.outer_destination;
	rule->outer_destination = out.outer_source;
}

static struct xfrm_policy_rule rule_of(const struct xfrmd_connection_config *connection,
				       const struct xfrmd_selector *s,
				       enum xfrm_direction direction)
{
	struct xfrm_policy_rule rule = {
		.direction = direction,
		.source = s->local,
		.destination = s->remote,
		.protocol = s->protocol,
		.source_port = s->local_port,
		.destination_port = s->remote_port,
		.priority = priority(s),
		.outer_source = connection->local,
		.outer_destination = connection->remote,
		.reqid = connection->reqid,
		.tunnel = connection->tunnel,
	};

	if (direction != XFRM_DIRECTION_OUT)
		swap_ends(&rule);
	return rule;
}

bool xfrmd_rules_protecting(const struct xfrmd_connection_config *connection, size_t at,
			    struct xfrm_policy_rule *ret)
{
	if (at / DIRECTIONS >= connection->selector_count)
		return false;
	*ret = rule_of(connection, &connection->selectors[at / DIRECTIONS],
		       (enum xfrm_direction)(at % DIRECTIONS));
	return true;
}

bool xfrmd_rules_clear(const struct xfrmd_connection_config *connection, size_t at,
		       struct xfrm_policy_rule *ret)
{
	if (at / DIRECTIONS >= connection->clear_count)
		return false;
	*ret = rule_of(connection, &connection->clear[at / DIRECTIONS],
		       (enum xfrm_direction)(at % DIRECTIONS));
	ret->clear = true;
	ret->priority = PRIORITY_CLEAR;
	return true;
}

static bool covers_ipv6(const struct xfrmd_config *config)
{
	for (size_t i = 0; i < config->connection_count; i++)
		for (size_t k = 0; k < config->connections[i].selector_count; k++)
			if (config->connections[i].selectors[k].local.address.family == AF_INET6)
				return true;
	return false;
}

/* Nobody forwards these: their hop limit tells that they have not been. */
bool xfrmd_rules_neighbour(const struct xfrmd_config *config, size_t at,
			   struct xfrm_policy_rule *ret)
{
	static const struct {
		enum xfrm_direction direction;
		uint16_t type;
	} rules[] = {{XFRM_DIRECTION_IN, ND_NEIGHBOR_SOLICIT},
		     {XFRM_DIRECTION_IN, ND_NEIGHBOR_ADVERT},
		     {XFRM_DIRECTION_OUT, ND_NEIGHBOR_SOLICIT},
		     {XFRM_DIRECTION_OUT, ND_NEIGHBOR_ADVERT}};
	const struct ip_prefix any = {.address.family = AF_INET6};

	if (at >= ELEMENTSOF(rules) || !covers_ipv6(config))
		return false;
	*ret = (struct xfrm_policy_rule){
		.direction = rules[at].direction,
		.source = any,
		.destination = any,
		.protocol = IPPROTO_ICMPV6,
		.source_port = rules[at].type,
		.priority = PRIORITY_CLEAR,
		.clear = true,
	};
	return true;
}

uint32_t xfrmd_rules_index(enum xfrm_direction direction, uint32_t number)
{
	return INDEX_OURS | number << INDEX_DIRECTION_BITS | (uint32_t)direction;
}

bool xfrmd_rules_is_ours(const struct xfrm_report *report)
{
	if (report->type == XFRM_REPORT_POLICY && report->clear)
		return (report->policy.index & INDEX_OURS_MASK) == INDEX_OURS;
	return xfrmd_reqid_is_ours(report->reqid);
}

static bool connection_wants(const struct xfrmd_connection_config *connection,
			     const struct xfrm_report *report)
{
	struct xfrm_policy_rule rule;

	if (report->type == XFRM_REPORT_SA)
		return connection->reqid == report->reqid;
	if (report->clear) {
		for (size_t i = 0; xfrmd_rules_clear(connection, i, &rule); i++)
			if (xfrm_message_names_policy(&report->policy, &rule))
				return true;
		return false;
	}
	for (size_t i = 0;
	     connection->reqid == report->reqid && xfrmd_rules_protecting(connection, i, &rule);
	     i++)
		if (xfrm_message_names_policy(&report->policy, &rule))
			return true;
	return false;
}

bool xfrmd_rules_is_wanted(const struct xfrmd_config *config, const struct xfrm_report *report)
{
	struct xfrm_policy_rule rule;

	for (size_t i = 0; i < config->connection_count; i++)
		if (connection_wants(&config->connections[i], report))
			return true;
	for (size_t i = 0; report->clear && xfrmd_rules_neighbour(config, i, &rule); i++)
		if (xfrm_message_names_policy(&report->policy, &rule))
			return true;
	return false;
}
