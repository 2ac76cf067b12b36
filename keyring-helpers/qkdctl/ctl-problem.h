/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is wrong at a site, told from a snapshot: one object for each trouble, the one that others
 * may follow from first.
 */

#include "ctl-snapshot.h"

/* [{"subject": "link alice-bob", "problem": "...", "try": "..."}] */
int ctl_problem_list(const struct ctl_snapshot *snapshot, json_t **ret);
/* What to try about a keyringd that has not answered. */
const char *ctl_problem_advice(const struct ctl_snapshot *snapshot);
