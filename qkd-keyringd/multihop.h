/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Builds keys between two sites over nodes that both trust (design section 9, docs/multi-hop.md).
 *
 * At one end it is asked by the issuer for keys that are not there, and builds them over the paths
 * that were set for that peer; between, it combines the keys of two hops; at the other end it puts
 * the key together. No key is available at either end before both hold the same one.
 */

#include <systemd/sd-event.h>

#include "common/statistics.h"
#include "qkd-keyringd/issuer-path.h"
#include "qkd-keyringd/path.h"

#define MULTIHOP_MAX_BUILDS    64                /* under way at once, for one peer */
#define MULTIHOP_MAX_SERVED    4096              /* of others, at a relay or an end */
#define MULTIHOP_MAX_PATHS     1024              /* that this site was told of */
#define MULTIHOP_BATCH_KEYS    ISSUER_PATH_BATCH /* in one build, at most */
#define MULTIHOP_SPARE_KEYS    128 /* what a hop keeps for others before a stock is built of it */
#define MULTIHOP_BUILD_USEC    (3 * USEC_PER_SEC)
#define MULTIHOP_SERVE_USEC    (10 * USEC_PER_SEC) /* what a relay or an end remembers a build */
#define MULTIHOP_MAX_TRIES     3                   /* failures in a row, then the path rests */
#define MULTIHOP_REST_USEC     (1 * USEC_PER_SEC)  /* doubled each time ... */
#define MULTIHOP_REST_MAX_USEC (30 * USEC_PER_SEC)

enum multihop_statistic {
	MULTIHOP_STATISTIC_BUILT,
	MULTIHOP_STATISTIC_FAILED,
	MULTIHOP_STATISTIC_UNEQUAL,
	MULTIHOP_STATISTIC_RELAYED,
	MULTIHOP_STATISTIC_REFUSED,
	MULTIHOP_STATISTIC_LATENCY,
	MULTIHOP_STATISTIC_COUNT_,
};
extern const struct statistics_definition multihop_definitions[MULTIHOP_STATISTIC_COUNT_];

struct multihop;

struct multihop_options {
	sd_event *event;
	struct issuer *issuer;
	const char *site;
	/* A path works again, or has failed again and again and rests for a while; or NULL. */
	void (*on_path)(const struct path *path, bool up, void *userdata);
	void *userdata;
};

int multihop_new(const struct multihop_options *options, struct multihop **ret);
/* Before the issuer is freed. */
struct multihop *multihop_free(struct multihop *multihop);
DEFINE_CLEANUP(struct multihop *, multihop_free);
/* MULTIHOP_STATISTIC_COUNT_ of them. */
struct statistic *multihop_statistics(struct multihop *multihop);

/* This site takes its part in that path, in both directions. -ENOSPC */
int multihop_allow(struct multihop *multihop, const struct path *path);
void multihop_forbid(struct multihop *multihop, const struct path *path);

/* The paths for keys with a peer; NULL or an empty set: none are built. -ENOKEY: no such peer. */
int multihop_set(struct multihop *multihop, const char *peer, const struct path_set *set);
/* NULL when there is none; borrowed until the next call. */
const struct path_set *multihop_get(const struct multihop *multihop, const char *peer);

/* Who starts and stops paths when another site asks, and answers it; NULL: nobody. */
struct path_message;
void multihop_set_commands(struct multihop *multihop,
			   void (*receive)(const char *peer, const struct uuid *request,
					   const struct path_message *message, void *userdata),
			   void *userdata);

struct multihop_path_status {
	struct path path;
	bool up;
	uint64_t built;   /* keys, over this path, by this site */
	uint64_t relayed; /* pairs of keys that this site combined */
	uint64_t failures;
};
/* -ENOENT: we were not told of it. */
int multihop_path_status(const struct multihop *multihop, const struct path *path,
			 struct multihop_path_status *ret);
