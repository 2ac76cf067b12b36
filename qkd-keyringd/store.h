/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The one store of a peer site: which keys there are, whose half each belongs to, and in which
 * state it is. Pure: no files, no network, no key bytes.
 *
 * A key is at a place: a directory of the store (one link, one generation) and a sequence number
 * there. Even sequence numbers are owned by the leader of the two sites, odd ones by the other; a
 * lease turns a single key's owner round. 17 bytes for each line, in blocks as large as a key file,
 * and about 12 for finding it by its id.
 */

#include "common/keyfile.h"
#include "common/name.h"

#define STORE_MAX_DIRECTORIES 1024
#define STORE_MAX_SEQUENCE    (UINT64_C(1) << 44)

enum store_key_state {
	STORE_KEY_ABSENT,
	STORE_KEY_AVAILABLE,
	STORE_KEY_RESERVED, /* also while the peer has been asked to mark it */
	STORE_KEY_DELIVERING,
	STORE_KEY_ISSUED,
	STORE_KEY_DESTROYED,
	STORE_KEY_STATE_COUNT_,
};

struct store_place {
	uint32_t directory;
	uint64_t sequence;
};

/* Whose the keys of a directory are, leased ones apart. */
enum store_owner {
	STORE_OWNER_HALVES, /* a link's: by parity */
	STORE_OWNER_OURS,   /* a path's, built here */
	STORE_OWNER_PEER,   /* a path's, built there */
};

struct store_counts {
	uint64_t available_own, available_peer;
	uint64_t state[STORE_KEY_STATE_COUNT_]; /* all of the rest, by state */
};

struct store;

/* leads: we are the leader of the two sites. */
int store_new(bool leads, struct store **ret);
struct store *store_free(struct store *store);
DEFINE_CLEANUP(struct store *, store_free);

/* -ENOSPC above STORE_MAX_DIRECTORIES */
int store_add_directory(struct store *store, uint32_t key_bits, uint32_t *ret_directory);
/* Before it has keys. */
void store_set_owner(struct store *store, uint32_t directory, enum store_owner owner);
uint32_t store_key_bits(const struct store *store, uint32_t directory);
/* -EEXIST when the place or the id is taken, -ERANGE above STORE_MAX_SEQUENCE. */
int store_add_key(struct store *store, struct store_place place, const struct uuid *id,
		  enum store_key_state state);
bool store_find(const struct store *store, const struct uuid *id, struct store_place *ret);
/* STORE_KEY_ABSENT for a place that is not there. */
enum store_key_state store_state(const struct store *store, struct store_place place);
void store_set_state(struct store *store, struct store_place place, enum store_key_state state);
/* NULL for a place that is not there. */
const struct uuid *store_id(const struct store *store, struct store_place place);

/* Whether we may allocate it. */
bool store_is_own(const struct store *store, struct store_place place);
bool store_is_leased(const struct store *store, struct store_place place);
/* Turns its owner round. */
void store_lease(struct store *store, struct store_place place);
/* The sequence numbers' parity that is ours without a lease. */
unsigned store_own_parity(const struct store *store);

/*
 * The first available key of ours in a directory, in the order of sequence numbers. below bounds
 * our own half, not what we have leased. False when there is none.
 */
bool store_next_own(struct store *store, uint32_t directory, uint64_t below,
		    struct store_place *ret);
/* How many of ours are available in a directory; and of those below a sequence number at most. */
uint64_t store_available_own(const struct store *store, uint32_t directory);
uint64_t store_count_own_below(const struct store *store, uint32_t directory, uint64_t below,
			       uint64_t most);
/* One above the highest sequence number that was added. */
uint64_t store_next_sequence(const struct store *store, uint32_t directory);

/* It was once reserved by itself, as a whole key of its size. Nothing else proves, once it is
 * issued, that it was not part of a larger key. */
void store_set_plain(struct store *store, struct store_place place);
bool store_is_plain(const struct store *store, struct store_place place);

/* The line is erased on disk; true when every line of a whole key file now is. */
bool store_set_erased(struct store *store, struct store_place place);
/* Forgets all lines of such a file. */
void store_drop_file(struct store *store, uint32_t directory, uint32_t number);
bool store_file_is_known(const struct store *store, uint32_t directory, uint32_t number);

/* Every line of a directory that is known. A negative answer ends it. */
struct store_line {
	struct store_place place;
	enum store_key_state state;
	bool leased, erased;
};
int store_foreach(const struct store *store, uint32_t directory,
		  int (*each)(const struct store_line *line, void *userdata), void *userdata);

const struct store_counts *store_counts(const struct store *store);
