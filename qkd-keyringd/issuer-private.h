/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the issuer share: its objects, and which file does what to them. Nothing
 * outside qkd-keyringd/issuer*.c and reservation.c includes this.
 *
 * Who owns what: the issuer owns its stores; a store owns its directories, reservations and labels.
 * An operation belongs to its caller until done() has been called. Operations that cannot go on
 * wait in exactly one list and are stepped again, from the beginning, when that list is woken.
 */

#include "common/log.h"
#include "qkd-keyringd/issue-log.h"
#include "qkd-keyringd/issuer-path.h"
#include "qkd-keyringd/issuer-supply.h"
#include "qkd-keyringd/issuer.h"
#include "qkd-keyringd/keyfile-erase.h"
#include "qkd-keyringd/label.h"
#include "qkd-keyringd/site-network.h"
#include "qkd-keyringd/site-peer.h"
#include "qkd-keyringd/store-directory.h"
#include "qkd-keyringd/store.h"

#define ISSUER_MAX_TRIES       3    /* keys that the peer may refuse one request */
#define ISSUER_MAX_HELD        4096 /* marks and label questions of a peer that wait here */
#define ISSUER_MARK_MARGIN_SEC 60   /* the peer keeps a mark that much longer than we do */
#define ISSUER_RUN_AHEAD_MAX   4096
#define ISSUER_LEASE_KEYS      64
#define ISSUER_MAX_DOOMED      4096 /* keys that are destroyed on arrival */
#define ISSUER_TAKEN_LEASES    64   /* more are never under way: one is asked for after the other */
#define ISSUER_LAZY_SYNC_USEC  (20 * USEC_PER_MSEC)
#define ISSUER_LINES_USEC      (1 * USEC_PER_SEC)
#define ISSUER_CHORES_USEC     (100 * USEC_PER_MSEC)
#define ISSUER_MAX_NOTICES     64
#define ISSUER_FLUSH_BATCH     64 /* wishes to flush after which the flush goes first */

/* One directory of a store. */
struct issuer_directory {
	struct issuer_store *store;
	struct store_directory on_disk;
	uint32_t index;
	uint64_t scanned;     /* lines below are in the index */
	uint64_t ahead;       /* of our own half: durable */
	uint64_t ahead_asked; /* appended, not yet durable */
	uint32_t run_ahead_keys;
	bool retired; /* and on record */
	struct issue_log_waiter waiter;

	/* Of keys over a path (issuer-path.c). */
	struct path_keyfile *writer; /* NULL: nothing is appended */
	uint64_t settled;            /* what we have built below is on the peer's disk */
	bool stale;                  /* nothing is built here any more */
	bool over, removed;          /* all of it is erased; the record does without it */

	uint64_t *destroyed; /* sequence numbers of which the peer is still to be told */
	size_t destroyed_count;
};

/* A directory that the record names, and that was not here at start. Whatever is said of its keys
 * was not read, so it is not used before the next start. */
struct absent_directory {
	struct uuid store;
	uint32_t generation;
	bool told;
};

/* Everything about one peer. */
struct issuer_store {
	struct issuer *issuer;
	struct site_peer *peer;
	const char *peer_name;
	bool leads;
	struct store *store;
	struct issuer_directory **directories;
	size_t directory_count;

	struct id_table reservations; /* by key id */
	struct id_table parts;        /* struct reservation_part, by key id */
	struct label_table labels;

	struct list supply;  /* supply_waiters */
	struct list seeking; /* operations for ids that are not here, or not marked */
	struct list held;    /* the peer's marks of keys that have not come */
	size_t held_count;   /* with label questions */
	struct list late;    /* issuer-serve.c: acknowledgements that wait for the disk */
	struct list withdrawals;
	struct list told;   /* issuer-tell.c: lists that the peer has not acknowledged */
	struct list leases; /* issuer-lease.c: likewise */
	struct issue_log_waiter taking; /* what was leased to us is not on disk yet */
	struct site_request want;
	bool want_refused, lease_expected;
	struct uuid taken[ISSUER_TAKEN_LEASES]; /* the last leases that were taken, a ring */
	size_t taken_count;

	struct doomed_key *doomed; /* issuer-doom.c, oldest first */
	size_t doomed_count;

	uint64_t last_label_generation;
	uint64_t lost_ahead, alternatives;
	bool changed, low;
	/* What we know of the peer's issue record, and what of that is in ours. */
	struct uuid peer_log;
	uint64_t peer_position, peer_position_noted;
	bool met; /* in this process */
	struct list comparisons;
	struct log_ratelimit differ_limit;
};

/* A key behind the first of those that make up one. It has no life of its own. */
struct reservation_part {
	struct id_node node;
	struct reservation *whole;
	struct store_place place;
};

/* A key that is spoken for: one key, the beginning of one, or several of one directory joined. */
struct reservation {
	struct id_node node;
	struct issuer_store *store;
	struct store_place place; /* of the first */
	uint32_t bits;
	size_t part_count; /* keys behind the first */
	struct reservation_part *parts;
	bool recorded;
	enum store_key_state state; /* reserved or delivering */
	bool marking;               /* the peer has not answered: no record, nobody's yet */
	bool by_peer;
	bool durable;    /* its delivering record is on disk */
	bool handed_out; /* its bytes have left at least once */
	uint32_t owner;
	struct uuid request;
	uint64_t expires_usec; /* CLOCK_REALTIME */
	struct label *label;
	struct issue_operation *claimant; /* on its way to hand it out */
	struct delivery *delivery;
	struct issue_log_waiter waiter;
	struct list waiting; /* operations that want it when the delivery is over */
};

struct issue_operation {
	struct issuer *issuer;
	struct issuer_store *store;
	struct list link;      /* all operations, then the finished ones */
	struct list wait_link; /* the one list that it waits in */
	void (*step)(struct issue_operation *operation);
	/* Frees what the kind of operation holds; also when it ends at its deadline. */
	void (*undo)(struct issue_operation *operation);

	uint64_t deadline_usec;
	uint32_t owner;
	uint32_t bits, ttl_sec;
	struct uuid id;
	char label[LABEL_MAX_CHARS + 1];

	size_t wanted; /* fresh keys */
	size_t count;  /* of them being marked */
	struct reservation **keys;
	unsigned tries;
	bool asked;     /* the label's home, or a key's owner */
	bool confirmed; /* the label's home has answered */
	uint64_t label_generation;
	struct site_request request;
	struct supply_waiter supply;
	struct reservation *claim;

	bool finished;
	int result;
	struct uuid *ids;
	size_t id_count;
	struct delivery *delivery;
	issue_reserved_t reserved;
	issue_delivered_t delivered;
	void *userdata;
};

struct delivery {
	struct list link;
	struct issuer *issuer;
	struct reservation *reservation; /* NULL: the issuer is gone */
	struct secret *key;
};

struct uid_count {
	uint32_t uid;
	size_t reserved;
};

struct issuer {
	sd_event *event;
	char *site;
	struct storage *state, *keys;
	struct pool *pool;
	uint32_t label_ttl_sec, reservation_sec, run_ahead_keys;
	uint64_t low_water_keys;
	const struct issuer_handler *handler;
	void *userdata;

	struct issuer_store **stores;
	size_t store_count;
	struct issue_log *log;
	struct keyfile_erase *erase;
	struct site_network *network;
	bool foreign_entries; /* the record names directories that are not here: */
	struct absent_directory *absent;
	size_t absent_count;
	bool failed, starting;

	const struct issuer_paths *paths; /* NULL: nobody builds keys */
	void *paths_userdata;
	bool has_unhurried;      /* answers in outboxes that nobody waits for */
	uint64_t lines_due_usec; /* keys that we appended are to be on disk by then; 0: none */

	struct list operations, finished, deliveries;
	struct list notices; /* issuer-loop.c: labels that nobody here was told of yet */
	size_t notice_count;
	struct uid_count *uids;
	size_t uid_count;
	struct uuid next_request, boot;

	sd_event_source *flush, *sync, *idle, *sync_timer, *deadline_timer, *chores_timer,
		*expiry_timer;
	unsigned flush_wishes;
	uint64_t sync_pause_usec;
	uint64_t deadline_armed_usec, expiry_armed_usec; /* 0: not */
};

/* issuer.c */
struct issuer_store *issuer_find_store(const struct issuer *issuer, const char *peer);
uint64_t issuer_now(const struct issuer *issuer);   /* CLOCK_MONOTONIC, of this iteration */
uint64_t issuer_clock(const struct issuer *issuer); /* CLOCK_REALTIME */
struct uuid issuer_new_request(struct issuer *issuer);
void issuer_store_changed(struct issuer_store *store);

/* issuer-loop.c: when things are written, sent and called back */
int issuer_loop_start(struct issuer *issuer);
void issuer_loop_stop(struct issuer *issuer);
void issuer_loop_flush_soon(struct issuer *issuer);
int issuer_loop_flush(struct issuer *issuer); /* all but the callbacks */
void issuer_loop_deadline(struct issuer *issuer, uint64_t usec);
void issuer_loop_expiry(struct issuer *issuer, uint64_t clock_usec);
void issuer_loop_chores(struct issuer *issuer);
/* Tells of a label when nothing else is to be done: who asks for it already waits for the disk. */
void issuer_loop_notice(struct issuer *issuer, const char *peer, const char *label,
			const struct uuid *id);
/* The record cannot be kept any more: nothing is handed out from here on. */
void issuer_fail(struct issuer *issuer, int result, const char *what);
/* Passes a negative result of the issue log to issuer_fail(). */
void issuer_check_log(struct issuer *issuer, int result);

/* issuer-directory.c: what is in the key directories */
int issuer_directory_open(struct issuer *issuer, const char *name, struct issuer_directory **ret);
struct issuer_directory *issuer_directory_free(struct issuer_directory *directory);
int issuer_directory_scan(struct issuer_directory *directory);
int issuer_directory_scan_all(struct issuer *issuer);
struct issuer_directory *issuer_directory_find(struct issuer_store *store, const struct uuid *uuid,
					       uint32_t generation);
/* STORE_KEY_ABSENT and *ret_gone when it was here and is not any more. */
enum store_key_state issuer_directory_look_up(struct issuer_store *store, const struct uuid *uuid,
					      uint32_t generation, uint64_t sequence,
					      struct store_place *ret, bool *ret_gone);
struct issuer_directory *issuer_directory_of(const struct issuer_store *store,
					     struct store_place place);
/*
 * Reserves the key of this size that begins with keys->ids[first], all of whose parts are the
 * peer's and available here; -ENOKEY when they are not. *ret_parts are so many of keys.
 */
int issuer_directory_reserve(struct issuer_store *store, const struct site_keys *keys, size_t first,
			     uint32_t bits, struct reservation **ret, size_t *ret_parts);
int issuer_directory_read_key(struct issuer_store *store, struct store_place place,
			      struct secret **ret);
/* Sets the state and records it, for keys without a reservation; erases the line. */
void issuer_directory_end_key(struct issuer_store *store, struct store_place place,
			      enum store_key_state state);
void issuer_directory_erase_later(const struct issuer_directory *directory, uint64_t sequence);
int issuer_directory_erase(struct issuer *issuer); /* lines that wait for it */

/* Keys that keyringd itself has appended, from the next line on. */
int issuer_directory_add(struct issuer_directory *directory, uint64_t first, const struct uuid *ids,
			 size_t count);

/* issuer-path.c */
/* What was appended, before a record that may name it. */
int issuer_path_sync(struct issuer *issuer);
void issuer_path_synced(struct issuer *issuer);
/* The other end has it on disk, too; asks it to hurry if not. */
bool issuer_path_is_settled(const struct issuer_store *store, struct store_place place);

/* issuer-retire.c: drops what older generations of a link have left, at start and when a new one
 * has been opened */
void issuer_retire_older(struct issuer_store *store);
void issuer_retire(struct issuer_directory *directory);
/* Of keys over paths: finds what is over, so that a record written now says nothing of it; then its
 * directory is removed. True: there is something. */
bool issuer_retire_find_over(struct issuer *issuer);
void issuer_retire_remove_over(struct issuer *issuer);

/* issuer-replay.c: the record read at start, and compacted */
int issuer_replay(struct issuer *issuer);
void issuer_replay_compact(struct issuer *issuer);

/* reservation.c */
/* places: count of one directory, 1..SITE_MAX_PARTS, all known. bits 0: the size of one key. */
int reservation_new(struct issuer_store *store, const struct store_place *places, size_t count,
		    uint32_t bits, struct reservation **ret);
/* By the id that it goes by, the first key's. */
struct reservation *reservation_find(const struct issuer_store *store, const struct uuid *id);
/* Which has this key, first or not. */
struct reservation *reservation_at(const struct issuer_store *store, struct store_place place);
/* In the index, without a record. */
void reservation_set_states(struct reservation *reservation, enum store_key_state state);
size_t reservation_key_count(const struct reservation *reservation);
struct store_place reservation_place(const struct reservation *reservation, size_t i);
/* Its bytes, cut or joined; as issuer_directory_read_key(). */
int reservation_read(const struct reservation *reservation, struct secret **ret);
/* All their keys as the site protocol names them, for site_message_done(); all of one directory. */
int reservation_list(struct reservation *const *reservations, size_t count, struct site_keys *ret);
/* Its entry, and before it those of its parts; so that it stands for all of them. */
int reservation_log(const struct reservation *reservation, bool with_parts, struct issue_log *log);
/* Sets its state and appends its record. */
void reservation_record(struct reservation *reservation, enum store_key_state state);
/* For an owner at this site, whose quota is charged; -EDQUOT. */
int reservation_check_quota(struct issuer *issuer, uint32_t owner, size_t count);
int reservation_set_owner(struct reservation *reservation, uint32_t owner);
/* The peer is told that they are destroyed, or will be. */
void reservation_tell_destroyed(struct reservation *reservation);
/* That, and reservation_end(). */
void reservation_destroy(struct reservation *reservation);
/* Issued or destroyed: all of it recorded, erased, freed; wakes who waited for it. */
void reservation_end(struct reservation *reservation, enum store_key_state state);
/* Available again, without a record: it never had one. Freed. */
void reservation_release(struct reservation *reservation);
void reservation_free(struct reservation *reservation);
bool reservation_is_busy(const struct reservation *reservation);
void reservation_expire(struct issuer_store *store, uint64_t clock_usec);
uint64_t reservation_next_expiry(struct issuer_store *store);

/* issuer-operation.c */
int issuer_operation_new(struct issuer *issuer, const char *peer, uint32_t owner,
			 uint64_t deadline_usec, void (*step)(struct issue_operation *operation),
			 struct issue_operation **ret);
/* To be called back with it at the end of the iteration. */
void issuer_operation_finish(struct issue_operation *operation, int result);
void issuer_operation_wait(struct issue_operation *operation, struct list *list);
void issuer_operation_wake(struct list *list);
void issuer_operation_call_finished(struct issuer *issuer);
/* Ends those whose deadline has passed, answers the next deadline or 0. */
uint64_t issuer_operation_time_out(struct issuer *issuer, uint64_t now_usec);
void issuer_operation_free_all(struct issuer *issuer);

/* issuer-delivery.c */
/* Makes operation the one to hand the key out: 0 when its record is on disk, 1 when it has to wait
 * (and will be stepped), negative when it may not have it. */
int issuer_delivery_claim(struct issue_operation *operation, struct reservation *reservation);
void issuer_delivery_unclaim(struct issue_operation *operation);
/* Reads the bytes and finishes the operation. */
void issuer_delivery_hand_out(struct issue_operation *operation);
void issuer_delivery_fill(const struct delivery *delivery, struct issued_key *ret);

/* issuer-label-home.c, issuer-label-guest.c */
void issuer_label_home_step(struct label *label);
void issuer_label_home_ask(struct issuer_store *store, const struct site_message *message);
void issuer_label_home_operation(struct issue_operation *operation);
void issuer_label_home_lost(struct issuer_store *store);
uint64_t issuer_label_home_time_out(struct issuer_store *store, uint64_t now_usec);
void issuer_label_home_expire(struct issuer_store *store, uint64_t clock_usec);
uint64_t issuer_label_home_next_expiry(struct issuer_store *store);
void issuer_label_guest_operation(struct issue_operation *operation);
/* The home's mark names a label; answers a verdict. */
enum site_verdict issuer_label_guest_mark(struct issuer_store *store,
					  const struct site_message *message,
					  const struct store_place *places);
void issuer_label_guest_end(struct issuer_store *store, const struct site_message *message);
/* The home has destroyed its key. */
void issuer_label_guest_forgotten(struct label *label);
/* Both ends: its record, as it stands. */
void issuer_label_entry(const struct label *label, bool ended, struct issue_label *ret);
void issuer_label_record(struct label *label, bool ended);
/* Frees it if nothing depends on it. */
void issuer_label_drop_idle(struct label *label);
/* The key of this label has ended here. */
void issuer_label_key_ended(struct label *label);

/* issuer-serve.c: the peer's requests */
void issuer_serve_request(struct issuer_store *store, const struct site_message *message);
void issuer_serve_arrived(struct issuer_store *store);
uint64_t issuer_serve_time_out(struct issuer_store *store, uint64_t now_usec);
void issuer_serve_drop_held(struct issuer_store *store);
void issuer_serve_done(struct issuer_store *store, const struct uuid *request);
/* Once all of the record is on disk, because the peer does not tell again what is done; then it
 * wakes who waits for supply, too. Without memory not at all: the peer tells again. */
void issuer_serve_done_synced(struct issuer_store *store, const struct uuid *request);
void issuer_serve_drop_late(struct issuer_store *store);

/* issuer-reconcile.c: two stores that disagree */
void issuer_reconcile_begin(struct issuer_store *store, const struct site_message *hello);
void issuer_reconcile_stop(struct issuer_store *store);
void issuer_reconcile_summary(struct issuer_store *store, const struct site_message *message);
void issuer_reconcile_differ(struct issuer_store *store, const struct site_message *message);
/* Notes how far the peer's record is. */
void issuer_reconcile_note(struct issuer_store *store);

/* issuer-withdraw.c: keys whose mark has no known outcome */
void issuer_withdraw(struct issuer_store *store, struct reservation **keys, size_t count);
/* At an orderly end: what has no answer yet is destroyed. */
void issuer_withdraw_give_up(struct issuer_store *store);

/* issuer-tell.c: what was destroyed here, told to the peer until it acknowledges */
void issuer_tell_destroyed(struct issuer_store *store, struct store_place place);
void issuer_tell_flush(struct issuer_store *store);
int issuer_tell_replay(struct issuer_store *store, const struct issue_list *list);
bool issuer_tell_replay_done(struct issuer_store *store, const struct uuid *request);
int issuer_tell_snapshot(struct issuer_store *store, struct issue_log *log);
/* Destroys what the peer may speak for: its own keys, and those that are marked between us. */
void issuer_tell_obey(struct issuer_store *store, struct store_place place);
void issuer_tell_heard(struct issuer_store *store, const struct site_message *message);
void issuer_tell_free_all(struct issuer_store *store);

/* issuer-doom.c: what the peer has destroyed and has not arrived here */
/* Notes those of keys that may still come; -ENOMEM. */
int issuer_doom_absent(struct issuer_store *store, const struct site_keys *keys);
/* Destroys those that have come. */
void issuer_doom_settle(struct issuer_store *store);
int issuer_doom_replay(struct issuer_store *store, const struct issue_list *list);
int issuer_doom_snapshot(struct issuer_store *store, struct issue_log *log);

/* issuer-lease.c */
void issuer_lease_init(struct issuer_store *store);
/* Leased to us, and a power cut would have it leased to us again. */
bool issuer_lease_is_fresh(const struct issuer_store *store, struct store_place place);
void issuer_lease_want(struct issuer_store *store, uint32_t bits);
void issuer_lease_wanted(struct issuer_store *store, const struct site_message *message);
void issuer_lease_came(struct issuer_store *store, const struct site_message *message);
int issuer_lease_replay(struct issuer_store *store, const struct issue_list *list);
bool issuer_lease_replay_done(struct issuer_store *store, const struct uuid *request);
int issuer_lease_snapshot(struct issuer_store *store, struct issue_log *log);
void issuer_lease_free_all(struct issuer_store *store);
