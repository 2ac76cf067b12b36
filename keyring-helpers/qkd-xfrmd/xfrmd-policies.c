/* SPDX-License-Identifier: MIT */
/* Rules become policies; those without a template get an index of ours that is free. */

#include "xfrmd-policies.h"

#include "xfrmd-rules.h"

int xfrmd_policies_protect(struct xfrm_kernel *kernel,
			   const struct xfrmd_connection_config *connection)
{
	struct xfrm_policy_rule rule;
	int r = 0;

	for (size_t i = 0; r >= 0 && xfrmd_rules_protecting(connection, i, &rule); i++)
		r = xfrm_kernel_set_policy(kernel, &rule);
	return r;
}

/* With an index that is taken the kernel would choose another, and nobody could tell whose it is.
 * One that stays from an earlier start keeps its own. */
static int set_clear(struct xfrm_kernel *kernel, struct xfrm_policy_rule *rule, uint32_t *number)
{
	int r;

	do {
		rule->index = xfrmd_rules_index(rule->direction, (*number)++);
		r = xfrm_kernel_has_policy(kernel, rule->direction, rule->index);
	} while (r > 0);
	return r < 0 ? r : xfrm_kernel_set_policy(kernel, rule);
}

int xfrmd_policies_open(struct xfrm_kernel *kernel, const struct xfrmd_config *config)
{
	struct xfrm_policy_rule rule;
	uint32_t number = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && xfrmd_rules_neighbour(config, i, &rule); i++)
		r = set_clear(kernel, &rule, &number);
	for (size_t i = 0; r >= 0 && i < config->connection_count; i++)
		for (size_t k = 0; r >= 0 && xfrmd_rules_clear(&config->connections[i], k, &rule);
		     k++)
			r = set_clear(kernel, &rule, &number);
	return r;
}
