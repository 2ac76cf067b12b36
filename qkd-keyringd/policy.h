/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who may have which keys, and how fast: /etc/qkd/policy.json, described in qkd-policy.json(5).
 *
 * A policy is a list of rules; the first one that matches requester, peer, label and size decides,
 * and what no rule matches is refused. Without a policy file root alone is served. Rates are token
 * buckets, one for each uid and rule.
 */

#include <stdio.h>
#include <sys/types.h>

#include "common/macros.h"

#define POLICY_MAX_RULES   1024
#define POLICY_MAX_LIST    256  /* users, groups, peers, labels or sizes in one rule */
#define POLICY_MAX_BUCKETS 4096 /* uids whose rate is remembered; the oldest is forgotten */
#define POLICY_MAX_RATE    1000000

struct policy;

/* Turns names into numbers, -ENOENT for a name that is not known; so that tests need no accounts.
 */
struct policy_names {
	int (*user)(const char *name, uid_t *ret);
	/* Members are uids whose supplementary groups hold this one, allocated. */
	int (*group)(const char *name, gid_t *ret, uid_t **ret_members, size_t *ret_count);
};
extern const struct policy_names policy_system_names; /* getpwnam(3), getgrnam(3) */

struct policy_request {
	uid_t uid;
	const gid_t *groups; /* primary and, where they are known, supplementary ones */
	size_t group_count;
	const char *peer;
	const char *label; /* NULL: a key by its id, or a new one */
	uint32_t bits;     /* 0: not known, any size matches */
	unsigned count;    /* keys; at least 1 */
};

enum policy_verdict {
	POLICY_ALLOW,
	POLICY_REFUSE,   /* -EACCES to the requester */
	POLICY_TOO_FAST, /* -EDQUOT */
};

/* Root alone. */
int policy_new_default(struct policy **ret);
/* -EINVAL with every error printed to errors as file:line:column; -ENOENT when there is no file. */
int policy_load(const char *file, const struct policy_names *names, FILE *errors,
		struct policy **ret);
struct policy *policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, policy_free);

/* Allowing takes tokens; now_usec is CLOCK_MONOTONIC. *ret_rule is the rule that decided, from 1,
 * or 0 when none did. */
enum policy_verdict policy_decide(struct policy *policy, const struct policy_request *request,
				  uint64_t now_usec, size_t *ret_rule);
size_t policy_rule_count(const struct policy *policy);
