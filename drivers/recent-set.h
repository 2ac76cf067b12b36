/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which byte strings came lately, as keyed 64-bit fingerprints, so that neither keys nor what they
 * are compared with is kept. Remembers at least the last RECENT_SET_MIN; a stranger is taken for
 * known with a probability below 2^-47.
 */

#include "common/macros.h"

#define RECENT_SET_MIN   32768
#define RECENT_SET_SLOTS (2 * RECENT_SET_MIN)

struct recent_set;

int recent_set_new(struct recent_set **ret);
struct recent_set *recent_set_free(struct recent_set *set);
DEFINE_CLEANUP(struct recent_set *, recent_set_free);

bool recent_set_contains(const struct recent_set *set, const void *bytes, size_t size_bytes);
/* -EEXIST when it is there already, -ENOMEM. */
int recent_set_add(struct recent_set *set, const void *bytes, size_t size_bytes);
