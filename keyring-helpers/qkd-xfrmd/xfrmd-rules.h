/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which policies a configuration asks for, and which of the kernel's are ours: pure. Those that
 * protect have a template with the connection's number; those that let traffic through as it is
 * have no template, so the policy's index is what marks them.
 */

#include "xfrm-message.h"
#include "xfrmd-config.h"

/* One rule each, counted from 0; false: there are no more. */
bool xfrmd_rules_protecting(const struct xfrmd_connection_config *connection, size_t at,
			    struct xfrm_policy_rule *ret);
/* The member "clear". */
bool xfrmd_rules_clear(const struct xfrmd_connection_config *connection, size_t at,
		       struct xfrm_policy_rule *ret);
/* IPv6 neighbour discovery, for the whole host, where any selector has that family: the ends have
 * to find each other before there are keys. */
bool xfrmd_rules_neighbour(const struct xfrmd_config *config, size_t at,
			   struct xfrm_policy_rule *ret);

/* An index that marks a policy without a template. */
uint32_t xfrmd_rules_index(enum xfrm_direction direction, uint32_t number) _pure_;
/* Of SA and POLICY reports. */
bool xfrmd_rules_is_ours(const struct xfrm_report *report) _pure_;
bool xfrmd_rules_is_wanted(const struct xfrmd_config *config, const struct xfrm_report *report);
