/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The messages of the sync protocol (design section 5, qkd-sync(7)), pure: verify turns a JSON
 * object of a peer into a struct or refuses it, build turns a struct into JSON. No I/O, no state;
 * nothing here is secret.
 *
 * Key ids travel as one base64 string of 16 bytes each: a transaction of 1024 keys has one string
 * to parse instead of 1024.
 */

#include <jansson.h>

#include "common/name.h"

#define SYNC_MAX_KEYS         1024 /* in one transaction */
#define SYNC_MAX_OPEN         64   /* transactions that are open at the same time */
#define SYNC_MAX_NUMBER       (UINT64_C(1) << 53)
#define SYNC_PROTOCOL_VERSION 1
#define SYNC_TAG_BYTES        32

enum sync_kind {
	SYNC_SYN,
	SYNC_SYN_ACK,
	SYNC_NAK,
	SYNC_ACK,
	SYNC_DONE,
	SYNC_ABORT,
	SYNC_RESUME,
	SYNC_KIND_COUNT_,
};

/* Why a follower does not take a transaction. */
enum sync_reason {
	SYNC_REASON_NO_KEY, /* its device does not know an id */
	SYNC_REASON_DEVICE, /* its device failed or took too long */
	SYNC_REASON_FULL,   /* window, store limit or disk */
	SYNC_REASON_STALE,  /* this number was used */
	SYNC_REASON_COUNT_,
};

/* One transaction in RESUME. */
struct sync_open {
	uint64_t txn;
	uint64_t first; /* when committed */
	uint32_t count;
	bool committed;
};

struct sync_resume {
	uint64_t session;    /* the leader's random number for this connection, echoed */
	struct uuid store;   /* null: this side has none */
	uint32_t generation; /* without a store: the lowest that it can take */
	uint64_t next;       /* leader: next to be given; follower: next to be appended */
	uint64_t next_txn;   /* leader: next to be used; follower: above all it has seen */
	uint32_t key_bits;
	bool confirm;
	size_t open_count;
	struct sync_open open[SYNC_MAX_OPEN];
};

struct sync_message {
	enum sync_kind kind;
	uint64_t txn; /* 1 ... SYNC_MAX_NUMBER - 1; not in RESUME */
	union {
		struct {
			uint64_t alpha;
			size_t count;
			const struct uuid *ids; /* borrowed */
		} syn;
		struct {
			uint64_t alpha_plus_one, beta;
			bool has_tag;
			uint8_t tag[SYNC_TAG_BYTES];
		} syn_ack;
		struct {
			enum sync_reason reason;
		} nak;
		struct {
			uint64_t beta_plus_one, first;
			uint32_t count;
		} ack;
		struct sync_resume resume;
	};
};

/* -EBADMSG with a static sentence in *ret_what. The ids of a SYN are put into ids, whose first
 * count entries ret->syn.ids then borrows. */
int sync_message_verify(json_t *json, struct uuid ids[static SYNC_MAX_KEYS],
			struct sync_message *ret, const char **ret_what);
/* -ENOMEM; the struct has to be one that verify would accept. */
int sync_message_build(const struct sync_message *message, json_t **ret);

const char *sync_kind_name(enum sync_kind kind);
const char *sync_reason_name(enum sync_reason reason);
