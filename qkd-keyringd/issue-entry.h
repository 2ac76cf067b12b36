/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The entries of the issue record as keyringd knows them, pure: to bytes and back.
 * common/issue-record.h has the part that linkd reads as well; what follows it in a key's record,
 * and the records of types 16 and above, are defined here. All integers are little-endian; lengths
 * are checked; an entry of another version is -EBADMSG.
 */

#include "common/issue-record.h"
#include "common/name.h"

#define ISSUE_ENTRY_MAX_KEYS      1024
#define ISSUE_ENTRY_MAX_BYTES     (128 + 2 * 64 + 8 * ISSUE_ENTRY_MAX_KEYS)
#define ISSUE_ENTRY_MAX_PARTS     64 /* keys that make up one */
#define ISSUE_ENTRY_KEY_MAX_BYTES (ISSUE_RECORD_KEY_BYTES + 168 + 8 * ISSUE_ENTRY_MAX_PARTS)
#define ISSUE_NO_OWNER            UINT32_MAX /* nobody at this site has claimed it */

enum issue_entry_type {
	ISSUE_ENTRY_START = ISSUE_RECORD_PRIVATE, /* the daemon has opened the record */
	ISSUE_ENTRY_CLEAN,                        /* nothing was handed out without a record */
	ISSUE_ENTRY_LABEL,
	ISSUE_ENTRY_LIST,
	ISSUE_ENTRY_LIST_DONE,
	ISSUE_ENTRY_PEER,
};

struct issue_start {
	struct uuid log;   /* of this issue record, made with it */
	struct uuid boot;  /* of the machine: within one, nothing written is lost */
	uint64_t starts;   /* how often it was opened, this time included */
	uint64_t position; /* entries of this record up to here, compacted ones included */
};

/* A key's state with what is needed to go on with it. Only the first member for one that is issued,
 * destroyed or released. */
struct issue_key {
	struct issue_record_key key;
	struct uuid id;
	bool by_peer; /* marked because the peer asked */
	uint32_t owner;
	struct uuid request;
	uint64_t expires_usec; /* CLOCK_REALTIME */
	char label[LABEL_MAX_CHARS + 1];
	uint64_t label_generation;
	/* It belongs to another key, which has an entry of its own behind this one. */
	bool is_part;
	/* Of a key that is cut, or joined with others; 0: it is whole and alone. */
	uint32_t bits;
	size_t part_count; /* keys behind the first, of the same directory */
	uint64_t parts[ISSUE_ENTRY_MAX_PARTS - 1];
};

struct issue_label {
	char peer[NAME_MAX_CHARS + 1];
	char label[LABEL_MAX_CHARS + 1];
	uint64_t generation;
	uint64_t expires_usec;
	uint32_t bits;
	struct uuid id;
	bool served; /* here */
	bool ended;
};

enum issue_list_kind {
	ISSUE_LIST_GRANTED = 1, /* keys of ours that the peer may allocate */
	ISSUE_LIST_TAKEN = 2,   /* keys of the peer's that we may */
	ISSUE_LIST_TELL = 3,    /* destroyed here, the peer is to be told */
	ISSUE_LIST_DOOMED = 4,  /* destroyed at the peer, and has not come here yet */
};

struct issue_list {
	enum issue_list_kind kind;
	bool done; /* acknowledged */
	struct uuid request;
	char peer[NAME_MAX_CHARS + 1];
	struct uuid store;
	uint32_t generation;
	size_t count; /* 1..ISSUE_ENTRY_MAX_KEYS */
	uint64_t sequences[ISSUE_ENTRY_MAX_KEYS];
};

/* How far a peer's issue record was on its disk when it last spoke. */
struct issue_peer {
	char peer[NAME_MAX_CHARS + 1];
	struct uuid log;
	uint64_t position;
};

/* Each answers the number of bytes, at most ISSUE_ENTRY_MAX_BYTES, of a key's entry at most
 * ISSUE_ENTRY_KEY_MAX_BYTES. */
size_t issue_entry_build_start(const struct issue_start *start, uint8_t *ret_bytes);
size_t issue_entry_build_key(const struct issue_key *key, uint8_t *ret_bytes);
size_t issue_entry_build_label(const struct issue_label *label, uint8_t *ret_bytes);
size_t issue_entry_build_list(const struct issue_list *list, uint8_t *ret_bytes);
size_t issue_entry_build_peer(const struct issue_peer *peer, uint8_t *ret_bytes);
size_t issue_entry_build_list_done(const struct uuid *request, uint8_t *ret_bytes);

int issue_entry_parse_start(const struct wal_record *record, struct issue_start *ret);
int issue_entry_parse_key(const struct wal_record *record, struct issue_key *ret);
int issue_entry_parse_label(const struct wal_record *record, struct issue_label *ret);
int issue_entry_parse_list(const struct wal_record *record, struct issue_list *ret);
int issue_entry_parse_peer(const struct wal_record *record, struct issue_peer *ret);
int issue_entry_parse_list_done(const struct wal_record *record, struct uuid *ret);
