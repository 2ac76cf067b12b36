/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Several issuers in one process, with paths: each site on disks in memory, every two connected,
 * neighbours sharing the keys that the test gives them. Between two sites a test may change or drop
 * frames, or cut them off.
 */

#include "qkd-keyringd/multihop.h"
#include "qkd-keyringd/path-manager.h"
#include "qkd-keyringd/site-peer.h"
#include "tests/unit/support/memory-storage.h"

#define NET_MAX_SITES 8
#define NET_KEY_BYTES 32
#define NET_WAIT      (4 * USEC_PER_SEC)

struct issuer_net;

struct net_site {
	struct issuer_net *net;
	const char *name;
	struct memory_storage *state, *keys;
	struct issuer *issuer;
	struct multihop *multihop;
	struct path_manager *paths;
	char running[NET_MAX_SITES][NAME_MAX_CHARS + 1]; /* peers of links that run */
	const char *broken; /* the link with that peer cannot be started */
	struct uuid boot;
	unsigned up, down; /* told of paths */
};

struct net_end;

struct issuer_net {
	sd_event *event;
	size_t count;
	struct net_site sites[NET_MAX_SITES];
	struct net_end *ends[NET_MAX_SITES][NET_MAX_SITES]; /* [from][to] */
	uint64_t written[NET_MAX_SITES][NET_MAX_SITES];
	unsigned keys_seed;
	/* What arrives in place of a frame: NULL, nothing. Owns the answer, not the frame. */
	char *(*change)(const char *from, const char *to, const char *frame, void *userdata);
	void *userdata;
};

/* Whether the link with that peer runs, as its device is claimed. */
bool net_link_runs(struct issuer_net *net, const char *site, const char *peer);

/* What asking comes to. */
struct net_result {
	struct issue_operation *operation;
	bool done;
	int result;
	size_t count;
	struct uuid id;
	uint8_t key[NET_KEY_BYTES];
};

void net_init(struct issuer_net *net, size_t count, const char *const *names);
/* Keys that two sites share, of one link. */
void net_add_keys(struct issuer_net *net, const char *a, const char *b, uint64_t count);
/* One of them. */
void net_key(const char *a, const char *b, uint64_t sequence, uint8_t ret[static NET_KEY_BYTES]);
void net_start(struct issuer_net *net);
void net_done(struct issuer_net *net);
struct net_site *net_site(struct issuer_net *net, const char *name);
void net_stop_site(struct issuer_net *net, const char *name);
/* Starts it again on the disks as a crash left them, and connects it with all others. */
void net_restart_site(struct issuer_net *net, const char *name, enum memory_crash crash);
void net_cut(struct issuer_net *net, const char *a, const char *b);
void net_join(struct issuer_net *net, const char *a, const char *b);

/* Sites named one after the other, NULL at the end: all are told of the path, the ends use it. */
void net_path(struct issuer_net *net, uint32_t weight, ...);
void net_set(struct issuer_net *net, const char *site, const char *peer, const char *json);

void net_ask_label(struct issuer_net *net, const char *site, const char *peer, const char *label,
		   struct net_result *ret);
void net_ask_new(struct issuer_net *net, const char *site, const char *peer,
		 struct net_result *ret);
void net_ask_id(struct issuer_net *net, const char *site, const char *peer, const struct uuid *id,
		struct net_result *ret);
struct net_answer {
	bool done;
	int result;
	char site[NAME_MAX_CHARS + 1];
};
/* Starts or stops the path at its first site, and waits for the answer. */
struct net_answer net_start_path(struct issuer_net *net, uint32_t weight, ...);
struct net_answer net_stop_path(struct issuer_net *net, ...);

int net_finish(struct issuer_net *net, struct net_result *result);
void net_run_for(struct issuer_net *net, uint64_t usec);
struct store_status net_status(struct issuer_net *net, const char *site, const char *peer);
