/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The messages of the site protocol, pure: build one as JSON, verify one that came. See
 * docs/site-protocol.md for what each is for.
 *
 * Every request carries an id of its own, and every answer that of its request. A frame is an
 * object with an array "messages" of 1..SITE_FRAME_MAX_MESSAGES of them, so that many requests cost
 * one record on the wire.
 */

#include <jansson.h>

#include "common/name.h"

#define SITE_PROTOCOL_VERSION   1
#define SITE_MESSAGE_MAX_KEYS   1024
#define SITE_FRAME_MAX_MESSAGES 512
#define SITE_HOLD_MAX_SEC       (7 * 86400u)
#define SITE_WAIT_MAX_MSEC      60000u
#define SITE_TTL_MAX_SEC        (366 * 86400u)
#define SITE_BITS_MAX           4096u
#define SITE_MAX_PARTS          64u /* keys that make up one */

enum site_message_type {
	SITE_HELLO,      /* version, site, log; what is known of the receiver's log */
	SITE_MARK,       /* keys, bits, parts; hold_sec, wait_msec; or a label's: label, generation,
			    expires */
	SITE_MARKED,     /* verdicts; keys: the alternatives, in the order of their verdicts */
	SITE_WITHDRAW,   /* keys of a request whose outcome is unknown */
	SITE_WITHDRAWN,  /* verdicts: never marked, or destroyed */
	SITE_LABEL,      /* label, bits, ttl_sec: to its home */
	SITE_LABELLED,   /* error; without one: label generation, id, expires, bits */
	SITE_LABEL_END,  /* label, generation */
	SITE_QUERY,      /* id */
	SITE_STATES,     /* verdicts; of one that is reserved: keys, bits */
	SITE_WANT,       /* bits, count: keys of the peer's half, please */
	SITE_GRANTED,    /* count; the keys come in SITE_LEASE */
	SITE_LEASE,      /* sequences that are the receiver's from now on */
	SITE_DESTROYED,  /* sequences that the sender will never hand out */
	SITE_SUMMARY,    /* first, count, digest: the ids of a key file's first lines */
	SITE_COMPARED,   /* one verdict: ok, refused (they differ), destroyed (used up), unknown */
	SITE_DIFFER,     /* keys that may differ */
	SITE_DIFFERENCE, /* verdicts: ok, refused (not common), unknown */
	SITE_PATH,       /* body: keys over several nodes, see path-message.h */
	SITE_PATH_ANSWER,
	SITE_DONE, /* the answer to a label's end, a lease, what is destroyed */
	SITE_MESSAGE_TYPE_COUNT_,
};

/* One letter for each key of a request; of a mark, for each that is asked for. */
enum site_verdict {
	SITE_VERDICT_OK = 'o',
	SITE_VERDICT_REFUSED = 'r',     /* used, destroyed or unknown here */
	SITE_VERDICT_ALTERNATIVE = 'a', /* refused, but take this one instead */
	SITE_VERDICT_LABEL = 'l',       /* this label stands for another key here */
	SITE_VERDICT_NEVER = 'n',       /* was never marked, and is not now */
	SITE_VERDICT_DESTROYED = 'd',
	SITE_VERDICT_AVAILABLE = 'v',
	SITE_VERDICT_RESERVED = 's',
	SITE_VERDICT_ISSUED = 'i',
	SITE_VERDICT_UNKNOWN = 'u',
};

/* Keys of one directory; a message that speaks of keys has one of these. */
struct site_keys {
	struct uuid store;
	uint32_t generation;
	size_t count; /* at most SITE_MESSAGE_MAX_KEYS */
	struct uuid *ids;
	uint64_t *sequences;
};

struct site_message {
	enum site_message_type type;
	struct uuid request;

	struct site_keys keys;
	char *verdicts; /* enum site_verdict */

	/* of a label */
	char label[LABEL_MAX_CHARS + 1];
	uint64_t label_generation;
	uint64_t expires_usec; /* CLOCK_REALTIME of the label's home */
	struct uuid id;
	uint32_t bits, ttl_sec;
	uint32_t error; /* positive errno; 0: none */

	uint32_t hold_sec, wait_msec, count;
	uint32_t parts; /* so many of keys, one after the other, make up one that is asked for */

	/* of a hello */
	uint32_t version;
	char site[NAME_MAX_CHARS + 1];
	struct uuid log, known_log;
	uint64_t known_position;

	/* of a path's; verify() gives a reference, build() takes none */
	json_t *body;
	size_t body_bytes; /* at most, on the wire */

	/* of a summary */
	uint64_t first;
	struct uuid digest;
};

/* -EBADMSG for anything but a well-formed message of a known type; then nothing is owned. */
int site_message_verify(const json_t *json, struct site_message *ret);
void site_keys_done(struct site_keys *keys);
/* Frees what verify() allocated; a message that was filled by hand owns nothing. */
void site_message_done(struct site_message *message);
int site_message_build(const struct site_message *message, json_t **ret);

/* The answer that belongs to a request; SITE_MESSAGE_TYPE_COUNT_ for what is no request. */
enum site_message_type site_message_answer(enum site_message_type request) _pure_;
const char *site_message_name(enum site_message_type type);

/*
 * A frame also has "position": how many entries of the sender's issue record are on disk. A site
 * that later comes back with fewer has been restored from an old disk.
 */
int site_frame_build(json_t *messages, uint64_t position, json_t **ret);
/* A frame's array of messages, borrowed; NULL when it is not such a frame. */
json_t *site_frame_verify(const json_t *frame, uint64_t *ret_position);
/* An upper bound of a message's size on the wire. */
size_t site_message_size_bytes(const struct site_message *message) _pure_;
