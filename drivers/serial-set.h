/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which serial numbers were used, as ranges, because serial numbers come nearly in order. When
 * there are too many ranges, the two nearest are joined: the numbers between them then count as
 * used.
 */

#include "common/macros.h"

#define SERIAL_SET_MAX_RANGES 1024

struct serial_range {
	uint64_t first, last;
};

struct serial_set {
	struct serial_range *ranges; /* ascending, never touching */
	size_t count;
};

bool serial_set_contains(const struct serial_set *set, uint64_t serial);
/* -EEXIST when it is there, -ENOMEM. */
int serial_set_add(struct serial_set *set, uint64_t serial);
void serial_set_done(struct serial_set *set);
