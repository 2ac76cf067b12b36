/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What sites tell each other about paths, pure: the bodies of the site protocol's "path" and
 * "path-answer". docs/multi-hop.md tells what each is for.
 */

#include "common/secret.h"
#include "qkd-keyringd/path.h"
#include "qkd-keyringd/site-message.h"

#define PATH_MESSAGE_MAX_KEYS      256 /* of a build, with those that its tag takes */
#define PATH_MESSAGE_BITS_MAX      KEYFILE_BITS_MAX
#define PATH_MESSAGE_TAG_BYTES     16
#define PATH_MESSAGE_MAX_WAIT_MSEC 60000

enum path_step {
	PATH_BUILD,    /* to the end: build keys with me: build, legs, bits, count, wait_msec */
	PATH_BIND,     /* along a path: my keys of our link are for this: leg, keys */
	PATH_COMBINED, /* a relay to the end: error, or the XOR of its two hops' keys: leg, bytes */
	PATH_KEEP,   /* to the end: tags agree, keep them there: place, ids; no ids: is it yours? */
	PATH_START,  /* StartNode: path; definition: weight, stock, disjoint */
	PATH_STOP,   /* EndKeyExchange: path */
	PATH_ANSWER, /* error and where, or 0; the end's tag */
	PATH_STEP_COUNT_,
};

struct path_message {
	enum path_step step;
	struct uuid build;
	uint32_t leg, bits, count, wait_msec;
	bool push; /* for the stock: refused where keys are short */
	size_t leg_count;
	struct path legs[PATH_MAX_DISJOINT]; /* a step about one path has one */
	struct site_keys keys;               /* a place has first in `first`, and ids */
	uint64_t first;
	struct secret *bytes;
	uint32_t error; /* positive errno */
	char site[NAME_MAX_CHARS + 1];
	uint32_t weight, stock, disjoint;
};

/* -EBADMSG, -ENOMEM; then nothing is owned. */
int path_message_verify(const json_t *body, struct path_message *ret);
void path_message_done(struct path_message *message);
/* NULL: out of memory. Borrows all that the message holds. */
json_t *path_message_build(const struct path_message *message);
/* An upper bound of the body's size on the wire. */
size_t path_message_size_bytes(const struct path_message *message) _pure_;
