/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a simulated pair has in common: from one seed, both sides derive which ids are theirs and
 * which key an id names. No I/O. The keys are as secret as the seed is, so: for tests only.
 */

#include "common/name.h"
#include "common/secret.h"
#include "drivers/device-url.h"

#define SIM_SEED_MIN_BYTES 8
#define SIM_SEED_MAX_BYTES 64

struct sim_source;

/* seed: hexadecimal, -EINVAL when it is not, or too short or long. */
int sim_source_new(const char *seed, enum device_side side, size_t key_bytes,
		   struct sim_source **ret);
struct sim_source *sim_source_free(struct sim_source *source);
DEFINE_CLEANUP(struct sim_source *, sim_source_free);

/* Fresh ids of this side: version 4 UUIDs of a serial number and a keyed tag. The serial numbers
 * begin at a random number, so that a restart does not repeat them. */
int sim_source_make_ids(struct sim_source *source, struct uuid *ret_ids, size_t count);
/* -ENOKEY when the other side of this pair has not made it; else its serial number. */
int sim_source_check_id(struct sim_source *source, const struct uuid *id, uint64_t *ret_serial);
/* The key that an id names. */
int sim_source_derive(struct sim_source *source, const struct uuid *id, uint8_t *ret_key);
/* The next number of [0, 1) of a sequence that seed and side determine, for faults. */
double sim_source_draw(struct sim_source *source);
