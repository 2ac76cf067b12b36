/* SPDX-License-Identifier: MIT */
#pragma once

/* The policy as both doors of the daemon ask it, D-Bus and upcalls: decide, and log a refusal. */

#include "common/log.h"
#include "issuer.h"
#include "policy.h"

struct admission {
	struct policy *policy; /* owned; replaced on reload */
	struct issuer *issuer; /* borrowed: knows the size of a peer's keys */
	struct log_ratelimit log_limit;
};

void admission_init(struct admission *admission, struct issuer *issuer, struct policy *policy);
void admission_done(struct admission *admission);
/* Takes the policy. */
void admission_set_policy(struct admission *admission, struct policy *policy);

/* 0, -EACCES or -EDQUOT. bits 0 in the request stands for the peer's key size. */
int admission_check(struct admission *admission, const struct policy_request *request);
/* One entry for a request that got no key; reason is a word such as "malformed". */
void admission_log_refusal(struct admission *admission, uid_t uid, const char *peer,
			   const char *what, const char *reason, int result);
