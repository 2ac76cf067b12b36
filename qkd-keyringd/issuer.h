/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The only issuer of keys at this site: what D-Bus and the upcalls ask, what the stores and the
 * site protocol answer (design section 8).
 *
 * Every call is asynchronous: done() comes exactly once, from the loop, never from within the call,
 * at the latest at the deadline (CLOCK_MONOTONIC) with -ETIMEDOUT; cancelling an operation
 * (issue_operation_cancel) keeps done() from coming and leaves the key in the state that its
 * durable record says. The issuer knows nothing of policy: the caller has decided that the
 * requester may ask.
 *
 * Results: -ENOKEY no such peer; -ETIMEDOUT no key in time; -EKEYEXPIRED label spent, or the id was
 * issued or destroyed; -EACCES reserved for another uid; -EINVAL another size was agreed;
 * -EDQUOT too many reservations of this uid.
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "common/name.h"
#include "common/secret.h"

#define ISSUE_MAX_COUNT             1024 /* keys in one reservation call */
#define ISSUE_MAX_RESERVED_PER_UID  4096
#define ISSUE_RESERVATION_SEC       600 /* default time to collect a reserved key */
#define ISSUE_LABEL_TTL_DEFAULT_SEC 86400

struct issuer;
struct issue_operation;
struct delivery;
struct storage;
struct pool;
struct channel_identity;
struct site_transport;
struct site_peer;
struct statistic;

/* A key on its way to a requester; stays `delivering` until delivery_report(). */
struct issued_key {
	struct uuid id;
	const struct secret *key; /* borrowed */
	uint32_t key_bits;
	uint32_t expires_sec; /* how long the requester's key is to live: the rest of its label's
			       * time, the site's label_ttl_sec where there is no label; 0: for ever
			       */
	struct delivery *delivery;
};

typedef void (*issue_reserved_t)(int result, const struct uuid *ids, size_t count, void *userdata);
typedef void (*issue_delivered_t)(int result, const struct issued_key *key, void *userdata);

/* GetNewKey: count fresh keys of our own half, marked at the peer, reserved for owner. bits 0: the
 * store's key size. Fewer than count is an answer too (at least one). */
int issuer_reserve_new(struct issuer *issuer, const char *peer, uint32_t bits, size_t count,
		       uid_t owner, uint64_t deadline_usec, issue_reserved_t done, void *userdata,
		       struct issue_operation **ret);
/* GetExistingKey: the key that the peer made new, reserved for owner here. An id that has not
 * arrived is waited for until the deadline. */
int issuer_reserve_existing(struct issuer *issuer, const char *peer, const struct uuid *id,
			    uid_t owner, uint64_t deadline_usec, issue_reserved_t done,
			    void *userdata, struct issue_operation **ret);
/* Upcall for id=UUID: bytes of a key that is reserved for owner, or that the peer marked and nobody
 * here has claimed. bits 0: whatever it has. */
int issuer_deliver_id(struct issuer *issuer, const char *peer, const struct uuid *id, uint32_t bits,
		      uid_t owner, uint64_t deadline_usec, issue_delivered_t done, void *userdata,
		      struct issue_operation **ret);
/* Upcall for a label: the same key at both sites, once each. ttl_sec 0: the default. */
int issuer_deliver_label(struct issuer *issuer, const char *peer, const char *label, uint32_t bits,
			 uint32_t ttl_sec, uid_t owner, uint64_t deadline_usec,
			 issue_delivered_t done, void *userdata, struct issue_operation **ret);
void issue_operation_cancel(struct issue_operation *operation);

/* The helper's word. Delivered: the key is erased here. Not delivered, or never reported (NULL-safe
 * delivery_abandon): it can be served again, to the same owner for the same label or id. */
void delivery_report(struct delivery *delivery, bool delivered);
void delivery_abandon(struct delivery *delivery);

/* DestroyKey: by its owner or root; erased here, the peer is told. */
int issuer_destroy(struct issuer *issuer, const char *peer, const struct uuid *id, uid_t owner);

/* For status and D-Bus properties. */
struct store_status {
	const char *peer;
	const char *peer_error; /* why it is not connected, as far as is known here; "" */
	bool connected;         /* site protocol */
	uint32_t key_bits;
	uint64_t available_own, available_peer, reserved, delivering, issued, destroyed;
	uint64_t labels;
	uint64_t lost_ahead;   /* burnt by the record that runs ahead, after crashes */
	uint64_t alternatives; /* keys that stood in for refused ones, given and taken */
	unsigned directories;
};
size_t issuer_store_count(const struct issuer *issuer);
int issuer_store_status(const struct issuer *issuer, size_t i, struct store_status *ret);
/* Of the issue record, as in issue-log.h; borrowed. */
struct statistic *issuer_record_statistics(struct issuer *issuer);

/* What others are told of. */
struct issuer_handler {
	void (*on_store_changed)(const char *peer, void *userdata);
	/* The peer asked for this label first: helpers here may come. */
	void (*on_label)(const char *peer, const char *label, const struct uuid *id,
			 void *userdata);
	void (*on_low_water)(const char *peer, uint64_t available, void *userdata);
	/* A sync failed: the daemon has to stop. */
	void (*on_fatal)(int result, const char *what, void *userdata);
};

/* linkd's signal: lines first .. first + count - 1 of this directory may be indexed. Earlier lines
 * that were missed are indexed too. -ENOENT for a directory that is not there. */
int issuer_keys_agreed(struct issuer *issuer, const char *directory, uint64_t first,
		       uint64_t count);

/* Everything is borrowed and must outlive the issuer, strings are copied. */
struct issuer_peer {
	const char *site;
	const char *address; /* HOST:PORT; NULL where the peer leads, and so dials us */
};
struct issuer_options {
	sd_event *event;
	const char *site;
	struct storage *state; /* the service's home: keyringd/issue-record lies below it */
	struct storage *keys;  /* HOME/.qkd/qnl/qll/keys */
	struct pool *pool;     /* NULL: key bytes come from the files alone */

	const struct issuer_peer *peers;
	size_t peer_count;
	const char *listen;                /* HOST:PORT; NULL: no peer dials us */
	struct channel_identity *identity; /* NULL: no network, see issuer_attach() */

	const struct uuid *boot; /* NULL: the kernel's boot id; tests play power cuts with it */

	/* 0 stands for the default of each. */
	uint32_t label_ttl_sec, reservation_sec, run_ahead_keys;
	uint64_t low_water_keys; /* 0: never signalled */

	const struct issuer_handler *handler; /* members may be NULL */
	void *userdata;
};
#define ISSUE_RUN_AHEAD_DEFAULT 64
#define ISSUE_MAX_PEERS         256

/*
 * Reads the key files and the issue record, listens and starts to connect. Negative errno with a
 * sentence in *ret_what (free() it): -EBADMSG for a damaged record, -EADDRINUSE, ...
 * The caller goes on to call issuer_keys_agreed() for what linkd signals; one such call for every
 * directory after each (re)appearance of a linkd on the bus makes up for signals that were missed.
 */
int issuer_new(const struct issuer_options *options, char **ret_what, struct issuer **ret);
/* Orderly end: every operation ends without a callback, the record is synced and marked clean. */
struct issuer *issuer_free(struct issuer *issuer);
DEFINE_CLEANUP(struct issuer *, issuer_free);

/* These may change while it runs; keys that are reserved and labels that are in use keep theirs. */
struct issuer_changes {
	uint32_t label_ttl_sec, reservation_sec, run_ahead_keys;
	uint64_t low_water_keys;
};
void issuer_reconfigure(struct issuer *issuer, const struct issuer_changes *changes);
/* After SIGHUP: certificates that were read anew. Connections that stand are kept. */
void issuer_set_identity(struct issuer *issuer, struct channel_identity *identity);
/* Looks through all key directories for lines not yet indexed, and for new directories. */
int issuer_rescan(struct issuer *issuer);
/* Gives a connection to a peer by other means than the network (tests); see site-peer.h. */
int issuer_attach(struct issuer *issuer, const char *peer, struct site_transport *transport);
/* Where what such a connection receives goes; NULL for no such peer. */
struct site_peer *issuer_site_peer(struct issuer *issuer, const char *peer);
