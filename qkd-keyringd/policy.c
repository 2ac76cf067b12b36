/* SPDX-License-Identifier: MIT */
/*
 * Decides who may have a key. It stands apart from D-Bus and the upcalls because both ask it, and
 * apart from the policy file's reader because a decision has to be obvious.
 */

#include "policy.h"

#include <fnmatch.h>

#include "policy-rule.h"

static void strings_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

void policy_rule_done(struct policy_rule *rule)
{
	free(rule->users);
	free(rule->groups);
	strings_free(rule->peers);
	strings_free(rule->labels);
	free(rule->sizes);
}

struct policy *policy_free(struct policy *policy)
{
	if (!policy)
		return NULL;
	for (size_t i = 0; i < policy->rule_count; i++)
		policy_rule_done(&policy->rules[i]);
	free(policy->rules);
	free(policy);
	return NULL;
}

int policy_new_default(struct policy **ret)
{
	_cleanup_(policy_freep) struct policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		return -ENOMEM;
	policy->rules = calloc(1, sizeof(*policy->rules));
	if (!policy->rules)
		return -ENOMEM;
	policy->rule_count = 1;
	policy->rules->users = calloc(1, sizeof(uid_t)); /* root */
	if (!policy->rules->users)
		return -ENOMEM;
	policy->rules->user_count = 1;
	policy->rules->names_requesters = true;
	policy->rules->by_id = true;
	*ret = TAKE_PTR(policy);
	return 0;
}

size_t policy_rule_count(const struct policy *policy)
{
	return policy->rule_count;
}

static bool contains(const uint32_t *ids, size_t count, uint32_t id)
{
	for (size_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool requester_matches(const struct policy_rule *rule, const struct policy_request *request)
{
	if (!rule->names_requesters || contains(rule->users, rule->user_count, request->uid))
		return true;
	for (size_t i = 0; i < request->group_count; i++)
		if (contains(rule->groups, rule->group_count, request->groups[i]))
			return true;
	return false;
}

static bool text_matches(char *const *globs, const char *text)
{
	for (size_t i = 0; globs && globs[i]; i++)
		if (fnmatch(globs[i], text, FNM_NOESCAPE) == 0)
			return true;
	return globs == NULL;
}

static bool size_matches(const struct policy_rule *rule, uint32_t bits)
{
	return rule->size_count == 0 || bits == 0 || contains(rule->sizes, rule->size_count, bits);
}

static bool rule_matches(const struct policy_rule *rule, const struct policy_request *request)
{
	if (!requester_matches(rule, request) || !text_matches(rule->peers, request->peer))
		return false;
	if (request->label ? !text_matches(rule->labels, request->label) : !rule->by_id)
		return false;
	return size_matches(rule, request->bits);
}

/* The uid's bucket for this rule; a new one, full, in place of the oldest of its set. */
static struct policy_bucket *find_bucket(struct policy *policy, size_t rule, uid_t uid,
					 uint64_t now_usec)
{
	size_t sets = POLICY_MAX_BUCKETS / POLICY_BUCKET_WAYS;
	size_t set = (uid * UINT32_C(2654435761) + rule * UINT32_C(40503)) % sets;
	struct policy_bucket *first = &policy->buckets[set * POLICY_BUCKET_WAYS], *oldest = first;

	for (size_t i = 0; i < POLICY_BUCKET_WAYS; i++) {
		if (first[i].rule == rule && first[i].uid == uid)
			return &first[i];
		if (first[i].filled_usec < oldest->filled_usec)
			oldest = &first[i];
	}
	*oldest = (struct policy_bucket){
		.rule = rule,
		.uid = uid,
		.tokens = policy->rules[rule - 1].burst,
		.filled_usec = now_usec,
	};
	return oldest;
}

static bool take_tokens(struct policy *policy, size_t rule, const struct policy_request *request,
			uint64_t now_usec)
{
	const struct policy_rule *r = &policy->rules[rule - 1];
	struct policy_bucket *bucket;

	if (r->keys_per_sec == 0)
		return true;
	bucket = find_bucket(policy, rule, request->uid, now_usec);
	bucket->tokens += (double)(now_usec - bucket->filled_usec) * r->keys_per_sec / USEC_PER_SEC;
	bucket->tokens = MIN(bucket->tokens, (double)r->burst);
	bucket->filled_usec = now_usec;
	if (bucket->tokens < request->count)
		return false;
	bucket->tokens -= request->count;
	return true;
}

enum policy_verdict policy_decide(struct policy *policy, const struct policy_request *request,
				  uint64_t now_usec, size_t *ret_rule)
{
	size_t i = 0;

	while (i < policy->rule_count && !rule_matches(&policy->rules[i], request))
		i++;
	if (i == policy->rule_count) {
		*ret_rule = 0;
		return POLICY_REFUSE;
	}
	*ret_rule = i + 1;
	if (policy->rules[i].refuse)
		return POLICY_REFUSE;
	return take_tokens(policy, i + 1, request, now_usec) ? POLICY_ALLOW : POLICY_TOO_FAST;
}
