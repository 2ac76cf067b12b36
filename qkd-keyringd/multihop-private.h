/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of multihop share. A build has a part at each site: struct build where it begins,
 * struct relay between, struct ending at the other end; all found by the build's id, all over at a
 * deadline.
 */

#include "common/log.h"
#include "qkd-keyringd/issue-log.h"
#include "qkd-keyringd/issuer-path.h"
#include "qkd-keyringd/multihop.h"
#include "qkd-keyringd/path-message.h"
#include "qkd-keyringd/path-tag.h"

#define MULTIHOP_TICK_USEC (100 * USEC_PER_MSEC)

/* A path that this site was told of. */
struct known_path {
	struct list link;
	struct path path;
	unsigned users; /* who has told of it */
	bool down;
	unsigned failures; /* in a row */
	uint64_t rest_usec, rests_until_usec;
	uint64_t built, relayed, failed;
};

/* The paths for keys with a peer. */
struct route {
	struct list link;
	struct multihop *multihop;
	char peer[NAME_MAX_CHARS + 1];
	struct path_set set;
	size_t building; /* keys under way */
	size_t builds;
	struct supply_waiter supply; /* for keys of a hop */
	struct site_request check;
	struct issuer_path_place checked;
};

struct multihop {
	sd_event *event;
	struct issuer *issuer;
	char site[NAME_MAX_CHARS + 1];
	void (*on_path)(const struct path *path, bool up, void *userdata);
	void *userdata;

	void (*receive)(const char *peer, const struct uuid *request,
			const struct path_message *message, void *userdata);
	void *receive_userdata;

	struct list known, routes;
	size_t known_count;
	struct id_table builds, relays, endings;
	struct list keeping;                    /* what the other end waits for our disk for */
	struct list building, relaying, ending; /* in the order of their deadlines */
	struct list reading, combining;         /* builds and relays with keys still to be read */
	sd_event_source *pump, *read, *tick;
	struct log_ratelimit failed_limit;
	struct statistic statistics[MULTIHOP_STATISTIC_COUNT_];
};

/* multihop.c */
void multihop_pump_soon(struct multihop *multihop);
void multihop_read_soon(struct multihop *multihop); /* once what can be sent before is sent */
void multihop_tick_soon(struct multihop *multihop);
void multihop_count(struct multihop *multihop, enum multihop_statistic which, uint64_t value);
struct known_path *multihop_find_known(const struct multihop *multihop, const struct path *path);
/* NULL but where the path is usable now. */
bool multihop_is_usable(const struct path *path, void *multihop);
void multihop_path_failed(struct multihop *multihop, struct known_path *known, bool rests);
void multihop_path_worked(struct multihop *multihop, struct known_path *known);
void multihop_answer(struct multihop *multihop, const char *peer, const struct uuid *request,
		     int error, const char *site, const struct secret *tag);
/* The same without content, and when there is no error, nobody waits for it. */
void multihop_acknowledge(struct multihop *multihop, const char *peer, const struct uuid *request,
			  int error);
int multihop_ask(struct multihop *multihop, const char *peer, struct site_request *request,
		 const struct path_message *message,
		 void (*answered)(struct site_request *request, const struct site_message *answer));
/* What an answer says: 0, or negative errno, and -EBADMSG for none of ours. */
int multihop_read_answer(const struct site_message *answer, struct path_message *ret);
/* a ^= b; both of the same size. */
void multihop_xor(struct secret *a, const struct secret *b);

/* multihop-build.c: where it begins */
void multihop_build_pump(struct route *route);
void multihop_build_check(struct route *route);
void multihop_build_read(struct multihop *multihop);
/*
 * The connection is lost. A binding that has no answer is not told again on the next one: in a
 * power cut its receiver may have forgotten that it had taken the keys, and answer once more with
 * them.
 */
void multihop_build_lost(struct multihop *multihop, const char *peer);
uint64_t multihop_build_time_out(struct multihop *multihop, uint64_t now_usec);
void multihop_build_free_all(struct multihop *multihop);
void multihop_build_free_route(struct route *route);

/* multihop-relay.c: between */
void multihop_relay_bind(struct multihop *multihop, const char *peer, const struct uuid *request,
			 struct path_message *message);
void multihop_relay_combine(struct multihop *multihop);
void multihop_relay_arrived(struct multihop *multihop);
void multihop_relay_lost(struct multihop *multihop, const char *peer); /* as for a build */
uint64_t multihop_relay_time_out(struct multihop *multihop, uint64_t now_usec);
void multihop_relay_free_all(struct multihop *multihop);

/* multihop-end.c: at the other end */
void multihop_end_build(struct multihop *multihop, const char *peer, const struct uuid *request,
			struct path_message *message);
void multihop_end_bind(struct multihop *multihop, const char *peer, const struct uuid *request,
		       struct path_message *message);
void multihop_end_combined(struct multihop *multihop, const char *peer, const struct uuid *request,
			   struct path_message *message);
void multihop_end_keep(struct multihop *multihop, const char *peer, const struct uuid *request,
		       struct path_message *message);
void multihop_end_synced(struct multihop *multihop);
void multihop_end_arrived(struct multihop *multihop);
uint64_t multihop_end_time_out(struct multihop *multihop, uint64_t now_usec);
void multihop_end_free_all(struct multihop *multihop);
