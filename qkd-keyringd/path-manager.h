/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * StartNode and EndKeyExchange: which paths there are. Starting a path begins at one end, goes from
 * site to site, starts the links of each hop at both its sites, and is answered backwards; what a
 * failed start has begun, it ends. Paths that were started are on disk, and are there again after a
 * restart. docs/multi-hop.md.
 */

#include "qkd-keyringd/multihop.h"

#define PATH_MANAGER_USEC     (20 * USEC_PER_SEC) /* a whole start or stop */
#define PATH_MANAGER_MAX_JOBS 64

struct path_definition {
	struct path path;
	uint32_t weight, stock, disjoint; /* as of its path set */
};

/* Links of this site. */
struct path_hops {
	/* Starts the link with that peer; done() comes once, later or from within. began: it did
	 * not run before. */
	void (*start)(const char *peer, void (*done)(int result, bool began, void *context),
		      void *context, void *userdata);
	/* Nobody waits for that start any more: done() does not come. */
	void (*forget)(void *context, void *userdata);
	void (*stop)(const char *peer, void *userdata);
};

struct path_manager;

struct path_manager_options {
	sd_event *event;
	struct issuer *issuer;
	struct multihop *multihop;
	struct storage *state;
	const char *site;
	const struct path_hops *hops;
	void *userdata;
};

/* Reads what was started before. -EBADMSG: the file of paths is damaged. */
int path_manager_new(const struct path_manager_options *options, struct path_manager **ret);
/* Before the multihop is freed. */
struct path_manager *path_manager_free(struct path_manager *manager);
DEFINE_CLEANUP(struct path_manager *, path_manager_free);

/* result: 0, or negative errno at site. Comes once, later or from within. */
typedef void (*path_manager_done_t)(int result, const char *site, void *userdata);
/* This site is an end of the path; -EINVAL: it is not, or a neighbour or the other end is no peer
 * of ours. Again with the same path: changes its weight and so on. */
int path_manager_start(struct path_manager *manager, const struct path_definition *definition,
		       path_manager_done_t done, void *userdata);
int path_manager_stop(struct path_manager *manager, const struct path *path,
		      path_manager_done_t done, void *userdata);
/* SetPath: of the paths that were started, these; NULL: all, as they were started. -ENOENT: one was
 * not, -ENOKEY no such peer. */
int path_manager_set(struct path_manager *manager, const char *peer, const struct path_set *set);
/* Nobody waits for done() with that userdata any more. */
void path_manager_forget(struct path_manager *manager, void *userdata);

/* NULL above the last; borrowed. */
const struct path_definition *path_manager_get(const struct path_manager *manager, size_t i);
