/* SPDX-License-Identifier: MIT */
#pragma once

/* The daemon: owns its parts, from the issuer to the sockets, and the loop that they run on. */

#include "keyringd-config.h"
#include "policy.h"

struct keyringd;

/* What the command line said, to read the configuration again. Borrowed. */
struct keyringd_arguments {
	const char *file;   /* NULL: command line only */
	char *const *words; /* --name=value */
};

/* All that can be wrong before anything starts, certificates too; errors go to the stream. Without
 * a policy file the default policy. -EINVAL for bad configuration. */
int keyringd_load(const struct keyringd_arguments *arguments, FILE *errors,
		  struct keyringd_config **ret_config, struct policy **ret_policy);

/* Takes config and policy when it succeeds. Logs what goes wrong. */
int keyringd_new(const struct keyringd_arguments *arguments, struct keyringd_config *config,
		 struct policy *policy, struct keyringd **ret);
struct keyringd *keyringd_free(struct keyringd *keyringd);
DEFINE_CLEANUP(struct keyringd *, keyringd_free);
/* Until a signal or a failure ends it: 0 or negative errno. */
int keyringd_run(struct keyringd *keyringd);
