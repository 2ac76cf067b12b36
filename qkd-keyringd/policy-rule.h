/* SPDX-License-Identifier: MIT */
#pragma once

/* A policy's insides, between the file's reader (policy-parse.c) and the decision (policy.c). */

#include "policy.h"

struct policy_rule {
	bool refuse;
	bool names_requesters; /* users or groups given: else anybody */
	uid_t *users;          /* also the members of the groups */
	size_t user_count;
	gid_t *groups;
	size_t group_count;
	char **peers, **labels; /* globs, NULL-terminated; NULL: any */
	bool by_id;             /* covers keys that are asked for without a label */
	uint32_t *sizes;
	size_t size_count;     /* 0: any */
	uint32_t keys_per_sec; /* 0: unlimited */
	uint32_t burst;
};

struct policy_bucket {
	size_t rule; /* from 1; 0: unused */
	uid_t uid;
	double tokens;
	uint64_t filled_usec;
};

#define POLICY_BUCKET_WAYS 8

struct policy {
	struct policy_rule *rules;
	size_t rule_count;
	struct policy_bucket buckets[POLICY_MAX_BUCKETS];
};

void policy_rule_done(struct policy_rule *rule);
