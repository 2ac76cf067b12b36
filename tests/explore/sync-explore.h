/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The sync protocol as a subject of exploration: explore-sync, and a short run in the unit tests.
 */

#include "tests/explore/explore.h"

extern const struct explore_subject sync_explore_subject;
