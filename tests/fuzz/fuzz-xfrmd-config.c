/* SPDX-License-Identifier: MIT */
/*
 * A configuration file of qkd-xfrmd's: what is right is within its bounds, and every policy made of
 * it is known as wanted when the kernel gives it back.
 */

#include <fcntl.h>
#include <netlink/msg.h>
#include <sys/mman.h>

#include "keyring-helpers/qkd-xfrmd/xfrmd-rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rule(const struct xfrmd_config *config, struct xfrm_policy_rule *rule)
{
	uint8_t bytes[XFRM_MESSAGE_MAX_BYTES] __attribute__((aligned(8)));
	struct nlmsghdr *header = (struct nlmsghdr *)bytes;
	struct xfrm_report report;

	rule->index = rule->clear ? xfrmd_rules_index(rule->direction, 7) : 0;
	if (xfrm_message_set_policy(rule, 1, bytes, sizeof(bytes)) < 0)
		abort();
	header->nlmsg_type = XFRM_MSG_NEWPOLICY; /* as a dump has it */
	if (xfrm_message_parse(header, &report) < 0 || report.clear != rule->clear ||
	    !xfrmd_rules_is_ours(&report) || !xfrmd_rules_is_wanted(config, &report))
		abort();
}

static void check(const struct xfrmd_config *config)
{
	struct xfrm_policy_rule rule;

	for (size_t i = 0; i < config->connection_count; i++) {
		const struct xfrmd_connection_config *c = &config->connections[i];

		if (c->selector_count < 1 || c->selector_count > XFRMD_MAX_SELECTORS ||
		    c->clear_count > XFRMD_MAX_SELECTORS || c->hard_sec <= c->rekey_sec ||
		    c->hard_bytes <= c->rekey_bytes)
			abort();
		for (size_t k = 0; xfrmd_rules_protecting(c, k, &rule); k++)
			check_rule(config, &rule);
		for (size_t k = 0; xfrmd_rules_clear(c, k, &rule); k++)
			check_rule(config, &rule);
	}
	for (size_t k = 0; xfrmd_rules_neighbour(config, k, &rule); k++)
		check_rule(config, &rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(xfrmd_config_freep) struct xfrmd_config *config = NULL;
	_cleanup_(closep) int fd = memfd_create("xfrmd.json", MFD_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	char path[64], *none[] = {NULL};
	size_t text_size;
	FILE *errors;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	errors = open_memstream(&text, &text_size);
	if (!errors)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (xfrmd_config_new(path, none, errors, &config) == 0)
		check(config);
	fclose(errors);
	return 0;
}
