/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The issue record's format and its reading. keyringd writes it (qkd-keyringd/issue-log.h) before a
 * key is handed out; linkd reads it when it recovers, so that it never writes a line again whose
 * key may have been issued.
 *
 * It is a wal of kind "QKDI" in STATE/keyringd/issue-record. This file knows only the records that
 * say "sequence number S of store U generation G counts as used"; the others (labels, requests) are
 * keyringd's own and are skipped here.
 */

#include "common/name.h"
#include "common/wal.h"

#define ISSUE_RECORD_KIND      "QKDI"
#define ISSUE_RECORD_DIRECTORY "keyringd"
#define ISSUE_RECORD_FILE      "issue-record"

enum issue_record_type {
	ISSUE_RECORD_AHEAD = 1, /* all of one parity below a sequence number may have been issued */
	ISSUE_RECORD_KEY = 2,   /* one key's state changed; see struct issue_record_key */
	ISSUE_RECORD_RETIRE = 3, /* a generation is over: everything in it counts as used */
	/* 16..255: keyringd's own */
	ISSUE_RECORD_PRIVATE = 16,
};

/* Little-endian on disk, packed, version byte first: see issue-record.c. */
struct issue_record_ahead {
	struct uuid store;
	uint32_t generation;
	uint8_t parity; /* 0: even sequence numbers, the leader's; 1: odd */
	uint64_t below;
};

enum issue_key_state {
	ISSUE_KEY_RESERVED = 1,
	ISSUE_KEY_DELIVERING = 2,
	ISSUE_KEY_ISSUED = 3,
	ISSUE_KEY_DESTROYED = 4,
	ISSUE_KEY_RELEASED = 5, /* available again: the peer's word that it was never marked */
};

struct issue_record_key {
	struct uuid store;
	uint32_t generation;
	uint64_t sequence;
	enum issue_key_state state;
};

struct issue_record_retire {
	struct uuid store;
	uint32_t generation;
};

/* -EBADMSG when it is not such a record. */
int issue_record_parse_ahead(const struct wal_record *record, struct issue_record_ahead *ret);
int issue_record_parse_key(const struct wal_record *record, struct issue_record_key *ret);
int issue_record_parse_retire(const struct wal_record *record, struct issue_record_retire *ret);

#define ISSUE_RECORD_AHEAD_BYTES  32
#define ISSUE_RECORD_KEY_BYTES    32 /* prefix; keyringd may append its own detail */
#define ISSUE_RECORD_RETIRE_BYTES 24
void issue_record_build_ahead(const struct issue_record_ahead *ahead,
			      uint8_t ret_bytes[static ISSUE_RECORD_AHEAD_BYTES]);
void issue_record_build_key(const struct issue_record_key *key,
			    uint8_t ret_bytes[static ISSUE_RECORD_KEY_BYTES]);
void issue_record_build_retire(const struct issue_record_retire *retire,
			       uint8_t ret_bytes[static ISSUE_RECORD_RETIRE_BYTES]);

/* Of one store and generation: which sequence numbers of first .. first + count - 1 are used.
 * An absent record means none; a released key is unused unless an AHEAD covers it. ret_used has
 * count entries. */
int issue_record_used(struct storage *state, const struct uuid *store, uint32_t generation,
		      uint64_t first, size_t count, bool *ret_used);
