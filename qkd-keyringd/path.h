/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Paths over several nodes, pure: a row of sites, and which rows lead to a peer (SetPath). As JSON:
 *
 *   {"sites": ["alice", "bob", "carol"], "weight": 1}
 *   {"paths": [PATH...], "stock": 0, "disjoint": 1}
 */

#include <jansson.h>

#include "common/name.h"

#define PATH_MAX_SITES    16
#define PATH_SET_MAX      8 /* paths to one peer */
#define PATH_MAX_WEIGHT   1000
#define PATH_MAX_STOCK    4096
#define PATH_MAX_DISJOINT 2

struct path {
	size_t count;
	char sites[PATH_MAX_SITES][NAME_MAX_CHARS + 1];
};

/* -EBADMSG: not an array of 2..PATH_MAX_SITES different sites' names. */
int path_parse(const json_t *json, struct path *ret);
json_t *path_to_json(const struct path *path);
bool path_equal(const struct path *a, const struct path *b) _pure_;
/* The same sites the other way round. */
void path_reverse(const struct path *path, struct path *ret);
/* Where a site stands, or -1. */
int path_find(const struct path *path, const char *site) _pure_;
/* No relay of one is a relay of the other. */
bool path_is_disjoint(const struct path *a, const struct path *b) _pure_;
/* "alice, bob, carol" */
#define PATH_TEXT_MAX (PATH_MAX_SITES * (NAME_MAX_CHARS + 2) + 1)
void path_format(const struct path *path, char ret_text[static PATH_TEXT_MAX]);

struct path_choice {
	struct path path;
	uint32_t weight;
	int64_t credit; /* what it is short of its share, in keys times weights */
};

struct path_set {
	size_t count;
	struct path_choice choices[PATH_SET_MAX];
	uint32_t stock;    /* keys to keep ready; 0: none is built before it is wanted */
	uint32_t disjoint; /* how many disjoint paths one key takes, 1 or 2 */
};

/* All paths begin at site and end at peer. -EBADMSG, -EINVAL: as many disjoint ones are not there.
 */
int path_set_parse(const json_t *json, const char *site, const char *peer, struct path_set *ret);
json_t *path_set_to_json(const struct path_set *set);
/* The ends agree: 0; -EINVAL: paths of that many disjoint relays are not there. */
int path_set_check(const struct path_set *set);

typedef bool (*path_usable_t)(const struct path *path, void *userdata);

/* Picks as many disjoint paths as the set wants of those that are to be taken now: those that are
 * most short of their share. False when there are not enough. */
bool path_set_pick(struct path_set *set, path_usable_t usable, void *userdata,
		   struct path_choice *ret[static PATH_MAX_DISJOINT]);
/* They have been taken for so many keys: in the long run each gets its share by weight. */
void path_set_charge(struct path_set *set, struct path_choice *const *picked, size_t keys,
		     path_usable_t usable, void *userdata);
