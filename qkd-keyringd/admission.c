/* SPDX-License-Identifier: MIT */
/*
 * Asks the policy on behalf of D-Bus and the upcalls, so that both refuse alike and a refusal is
 * logged once, and no faster than a log can bear: any user can provoke one.
 */

#include "admission.h"

#include <time.h>

#include "common/events.h"

#define LOG_INTERVAL_USEC (10 * USEC_PER_SEC)
#define LOG_BURST         20

void admission_init(struct admission *admission, struct issuer *issuer, struct policy *policy)
{
	*admission = (struct admission){
		.policy = policy,
		.issuer = issuer,
		.log_limit = {.interval_usec = LOG_INTERVAL_USEC, .burst = LOG_BURST},
	};
}

void admission_done(struct admission *admission)
{
	admission->policy = policy_free(admission->policy);
}

void admission_set_policy(struct admission *admission, struct policy *policy)
{
	policy_free(admission->policy);
	admission->policy = policy;
}

static uint32_t key_bits_of(const struct issuer *issuer, const char *peer)
{
	struct store_status status;

	for (size_t i = 0; i < issuer_store_count(issuer); i++)
		if (issuer_store_status(issuer, i, &status) == 0 && str_equal(status.peer, peer))
			return status.key_bits;
	return 0;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

void admission_log_refusal(struct admission *admission, uid_t uid, const char *peer,
			   const char *what, const char *reason, int result)
{
	const struct log_fields fields = {.peer = peer, .reason = reason, .error = -result};
	unsigned suppressed;

	if (!log_ratelimit_pass(&admission->log_limit, &suppressed))
		return;
	log_event(LOG_NOTICE, EVENT_REQUEST_REFUSED, &fields,
		  "Refused uid %u the key %s: %s (%s)%s", (unsigned)uid, what, reason,
		  strerror(-result), suppressed > 0 ? "; others before were not logged" : "");
}

static const char *describe(const struct policy_request *request, char *buffer, size_t size)
{
	if (request->label)
		snprintf(buffer, size, "%s:%s", request->peer, request->label);
	else
		snprintf(buffer, size, "%s by id", request->peer);
	return buffer;
}

int admission_check(struct admission *admission, const struct policy_request *request)
{
	struct policy_request known = *request;
	enum policy_verdict verdict;
	char what[160], reason[48];
	size_t rule;

	if (known.bits == 0)
		known.bits = key_bits_of(admission->issuer, known.peer);
	verdict = policy_decide(admission->policy, &known, now_usec(), &rule);
	if (verdict == POLICY_ALLOW)
		return 0;
	if (rule > 0)
		snprintf(reason, sizeof(reason), "policy rule %zu", rule);
	else
		snprintf(reason, sizeof(reason), "no policy rule");
	if (verdict == POLICY_TOO_FAST)
		snprintf(reason, sizeof(reason), "rate of policy rule %zu", rule);
	describe(&known, what, sizeof(what));
	admission_log_refusal(admission, known.uid, known.peer, what, reason,
			      verdict == POLICY_REFUSE ? -EACCES : -EDQUOT);
	return verdict == POLICY_REFUSE ? -EACCES : -EDQUOT;
}
