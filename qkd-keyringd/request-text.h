/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a key's description and callout ask for. Both are bytes that any user of this machine may
 * choose freely; what comes out is within the grammar of common/name.h. Pure.
 *
 *	qkd:PEER:LABEL			the key that both sites share by this label
 *	qkd:PEER:id=UUID		the key with this id
 *	qkd@SITE:PEER:...		the same, at this site (several sites share a kernel)
 *
 *	size=BITS ttl=SECONDS wait=SECONDS	the callout: all optional, any order
 */

#include "common/name.h"

#define REQUEST_TEXT_MIN_BITS     64u
#define REQUEST_TEXT_MAX_BITS     4096u
#define REQUEST_TEXT_MAX_TTL_SEC  (366u * 86400u)
#define REQUEST_TEXT_MAX_WAIT_SEC 5u

struct request_text {
	char site[NAME_MAX_CHARS + 1]; /* empty: the description names none */
	char peer[NAME_MAX_CHARS + 1];
	bool by_id;
	struct uuid id;                  /* by_id */
	char label[LABEL_MAX_CHARS + 1]; /* else */
	uint32_t bits;                   /* 0: the store's key size */
	uint32_t ttl_sec;                /* 0: the default */
	uint32_t wait_sec;
};

/* -EINVAL when either text is outside the grammar. */
int request_text_parse(const char *description, const char *callout, struct request_text *ret);
/* Whether keys of this size can be asked for: whole bytes, at most the limit. */
bool request_text_bits_are_valid(uint64_t bits);
