/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The layout of key files (design section 6), which both daemons and foreign readers share.
 *
 * Below the keys directory each store has a directory: PEER for a link's first generation when no
 * other link of this site has taken that name, else PEER+LINK; "~G" is appended for generation
 * G > 0. Keys over a path of several nodes are in PEER@BUILDER~G, written by keyringd alone:
 * BUILDER is the end that built them, the store's link is "@BUILDER". In it file PEER_N holds lines
 * N*4096 .. N*4096+4095, each a key in lower-case hexadecimal and '\n' (stride 2 * key bytes + 1),
 * PEER_N.ids the same lines' key ids (stride 37), and "store" says whose it is. An erased line is
 * all '-' in PEER_N; its id stays.
 *
 * linkd appends (qkd-linkd/keyfile-append.h), keyringd erases (qkd-keyringd/keyfile-erase.h).
 */

#include "common/name.h"
#include "common/secret.h"
#include "common/storage.h"

#define KEYFILE_LINES        4096u
#define KEYFILE_ERASED       '-'
#define KEYFILE_PATH_MARK    '@'
#define KEYFILE_ID_STRIDE    (UUID_CHARS + 1u)
#define KEYFILE_HOME_SUBPATH ".qkd/qnl/qll/keys"
#define KEYFILE_STORE_FILE   "store"
#define KEYFILE_NAME_MAX     (4 * NAME_MAX_CHARS)
#define KEYFILE_STORE_MAX    4096 /* bytes of the "store" file */
#define KEYFILE_BITS_MIN     64
#define KEYFILE_BITS_MAX     4096

/* What the "store" file says, JSON. */
struct keyfile_store {
	struct uuid uuid; /* of the store: one link, all generations */
	uint32_t generation;
	char link[NAME_MAX_CHARS + 2]; /* "@BUILDER": keys over a path */
	char peer[NAME_MAX_CHARS + 1];
	uint32_t key_bits;
	bool foreign_consumer; /* consumer: files; keyringd keeps away */
};

/* The site that built the keys of a path's store; NULL for a link's. */
const char *keyfile_store_builder(const struct keyfile_store *store) _pure_;
/* -ENOENT; -EBADMSG when it is not such a file. */
int keyfile_store_read(struct storage *keys, const char *directory, struct keyfile_store *ret);
/* Writes it whole: new file, sync, rename, sync of the directory. */
int keyfile_store_write(struct storage *keys, const char *directory,
			const struct keyfile_store *store);
int keyfile_store_parse(const char *text, size_t size_bytes, struct keyfile_store *ret);

static inline uint32_t keyfile_number(uint64_t sequence)
{
	return (uint32_t)(sequence / KEYFILE_LINES);
}

static inline uint64_t keyfile_offset(uint64_t sequence, size_t stride)
{
	return (sequence % KEYFILE_LINES) * stride;
}

static inline size_t keyfile_stride(uint32_t key_bits)
{
	return key_bits / 4 + 1;
}

/* "DIRECTORY/PEER_N" and "DIRECTORY/PEER_N.ids"; -ENAMETOOLONG. */
int keyfile_path(const char *directory, const char *peer, uint32_t number,
		 char ret_path[static KEYFILE_NAME_MAX]);
int keyfile_ids_path(const char *directory, const char *peer, uint32_t number,
		     char ret_path[static KEYFILE_NAME_MAX]);

enum keyfile_line {
	KEYFILE_LINE_KEY,
	KEYFILE_LINE_ERASED,
	KEYFILE_LINE_DAMAGED, /* neither: partly erased, foreign characters, no newline */
};

/* What one line of the given stride is; key bytes decoded into ret_key when it is a key and
 * ret_key is not NULL. Constant time in the digits. */
enum keyfile_line keyfile_parse_line(const char *line, size_t stride, uint8_t *ret_key);
void keyfile_build_line(const uint8_t *key, size_t key_bytes, char *ret_line);
