/* SPDX-License-Identifier: MIT */
/*
 * Accounts of this machine for the policy: looked up once, when the file is read, because a name
 * service may block and a decision must not.
 */

#include <grp.h>
#include <pwd.h>

#include "policy.h"

static int system_user(const char *name, uid_t *ret)
{
	const struct passwd *entry = getpwnam(name);

	if (!entry)
		return -ENOENT;
	*ret = entry->pw_uid;
	return 0;
}

static int system_group(const char *name, gid_t *ret, uid_t **ret_members, size_t *ret_count)
{
	_cleanup_(freep) uid_t *members = NULL;
	const struct group *entry = getgrnam(name);
	size_t listed = 0, known = 0;

	if (!entry)
		return -ENOENT;
	while (entry->gr_mem[listed])
		listed++;
	members = calloc(listed + 1, sizeof(*members));
	if (!members)
		return -ENOMEM;
	for (size_t i = 0; i < listed; i++)
		if (system_user(entry->gr_mem[i], &members[known]) == 0)
			known++;
	*ret = entry->gr_gid;
	*ret_members = TAKE_PTR(members);
	*ret_count = known;
	return 0;
}

const struct policy_names policy_system_names = {
	.user = system_user,
	.group = system_group,
};
