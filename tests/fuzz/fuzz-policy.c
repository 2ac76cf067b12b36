/* SPDX-License-Identifier: MIT */
/* Policy files: no text may crash the reader, and what is accepted can be asked. */

#include <sys/mman.h>

#include "qkd-keyringd/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int any_user(const char *name, uid_t *ret)
{
	*ret = (uid_t)name[0];
	return 0;
}

static int any_group(const char *name, gid_t *ret, uid_t **ret_members, size_t *ret_count)
{
	*ret = (gid_t)name[0];
	*ret_members = NULL;
	*ret_count = 0;
	return 0;
}

static void ask(struct policy *policy)
{
	static const gid_t group = 'g';
	const struct policy_request request = {
		.uid = 'u',
		.groups = &group,
		.group_count = 1,
		.peer = "bob",
		.label = "vpn-1",
		.bits = 256,
		.count = 1,
	};
	size_t rule;

	policy_decide(policy, &request, 1, &rule);
	if (rule > policy_rule_count(policy))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy_names names = {.user = any_user, .group = any_group};
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_(closep) int fd = memfd_create("policy", MFD_CLOEXEC);
	FILE *errors = fopen("/dev/null", "w");
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd >= 0 && errors && write(fd, data, size) == (ssize_t)size &&
	    policy_load(path, &names, errors, &policy) == 0)
		ask(policy);
	if (errors)
		fclose(errors);
	return 0;
}
