/* SPDX-License-Identifier: MIT */
#pragma once

/* What the two files of the path manager share: what is known, and what is under way. */

#include "qkd-keyringd/multihop-private.h"
#include "qkd-keyringd/path-manager.h"

/* A path that was started. */
struct started_path {
	struct list link;
	struct path_definition definition;
	bool began[2]; /* the links to the left and the right did not run before */
};

/* SetPath has its own way with this peer. */
struct path_override {
	struct list link;
	char peer[NAME_MAX_CHARS + 1];
	struct path_set set;
};

struct path_manager {
	sd_event *event;
	struct issuer *issuer;
	struct multihop *multihop;
	struct storage *state;
	char site[NAME_MAX_CHARS + 1];
	const struct path_hops *hops;
	void *userdata;
	struct list started, overrides, jobs;
	size_t started_count, job_count;
	sd_event_source *timer;
};

/* path-manager.c */
struct started_path *path_manager_find(const struct path_manager *manager, const struct path *path);
/* Knows it from now on, on disk and in use. */
int path_manager_add(struct path_manager *manager, const struct path_definition *definition,
		     const bool began[static 2]);
/* Forgets it, and stops the links that only it has begun. */
int path_manager_remove(struct path_manager *manager, const struct path *path);

/* path-job.c */
void path_job_receive(const char *peer, const struct uuid *request,
		      const struct path_message *message, void *manager);
int path_job_timer(sd_event_source *source, uint64_t usec, void *manager);
void path_job_free_all(struct path_manager *manager);
