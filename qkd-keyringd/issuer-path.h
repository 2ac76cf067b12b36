/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What keys over a path need of the issuer, and the issuer of them: hop keys are taken out of a
 * link's store and never seen again; end-to-end keys are put into a directory of the other end's
 * store, and issued from there like any other key. docs/multi-hop.md has the whole.
 *
 * A hop key is destroyed at both its sites. Its owner chooses it below the mark that runs ahead
 * (durable), and writes a record before anything leaves, so no crash makes it available again; the
 * other site destroys it by taking its bytes: it pads one answer of one relay.
 */

#include "qkd-keyringd/issuer-supply.h"
#include "qkd-keyringd/issuer.h"
#include "qkd-keyringd/site-peer.h"

#define ISSUER_PATH_OWNER    (UINT32_MAX - 1) /* of hop keys that the other site has not taken yet */
#define ISSUER_PATH_HOLD_SEC 30               /* after that, they are over at both sites */

#define ISSUER_PATH_BATCH 32 /* who waits for more goes on when so many are there */

struct site_message;
struct issue_log_waiter;

/* What does the building; all members are needed. */
struct issuer_paths {
	/* Somebody waits for a key with that peer: true when some are being built. */
	bool (*want)(const char *peer, uint32_t bits, void *userdata);
	void (*on_message)(const char *peer, const struct site_message *message, void *userdata);
	void (*on_connection)(const char *peer, bool connected, void *userdata);
	/* All that was appended is on disk. */
	void (*on_synced)(void *userdata);
	/* Somebody waits for a key that the peer has not said to be on its disk. */
	void (*on_unsettled)(const char *peer, void *userdata);
	/* More keys are here. */
	void (*on_arrived)(const char *peer, void *userdata);
	/* Keys have come or gone, some time ago. */
	void (*on_changed)(const char *peer, void *userdata);
};
/* NULL: nobody does. */
void issuer_set_paths(struct issuer *issuer, const struct issuer_paths *paths, void *userdata);

/* Chooses keys of our own half of one link, at least min and at most max. -EAGAIN when there are
 * fewer, -ENOKEY for no such peer. They have to be ended, and ret (site_keys_done()) freed. */
int issuer_hop_choose(struct issuer *issuer, const char *peer, uint32_t bits, size_t min,
		      size_t max, const struct uuid *request, struct site_keys *ret);
/* The bytes of chosen keys, one after the other. */
int issuer_hop_read(struct issuer *issuer, const char *peer, const struct site_keys *keys,
		    uint32_t bits, struct secret **ret);
/* The other site has taken them, or (taken false) is told that they are destroyed. */
void issuer_hop_end(struct issuer *issuer, const char *peer, const struct site_keys *keys,
		    bool taken);
/* Whether keys that the peer has chosen can be taken: errors as for issuer_hop_take(). */
int issuer_hop_look(struct issuer *issuer, const char *peer, const struct site_keys *keys);
/* Takes the bytes of keys that the peer has chosen. -EAGAIN while one has not arrived, -ENOKEY when
 * one is used or not the same. */
int issuer_hop_take(struct issuer *issuer, const char *peer, const struct site_keys *keys,
		    struct secret **ret);
/* Calls ready() when there may be keys of our half. */
int issuer_hop_wait(struct issuer *issuer, const char *peer, struct supply_waiter *waiter,
		    uint32_t bits);
/* The size of the keys of that peer's links; 0: none yet. */
uint32_t issuer_hop_bits(struct issuer *issuer, const char *peer);
/* The name of the newest link with that peer, NULL when none has ever given a key; borrowed. */
const char *issuer_hop_link(struct issuer *issuer, const char *peer);

/* Where end-to-end keys are. */
struct issuer_path_place {
	struct uuid store;
	uint32_t generation, bits;
	uint64_t first;
};

/* What we have built for that peer up to now; false when nothing goes on there. */
bool issuer_path_current(struct issuer *issuer, const char *peer, struct issuer_path_place *ret);
/* Where the keys that we build for that peer go on. */
int issuer_path_next(struct issuer *issuer, const char *peer, uint32_t bits,
		     struct issuer_path_place *ret);
/* Puts keys there: at the next place of our own, or where the peer has said. They are available at
 * once. -ESTALE when the place is not the next one, or of a generation that is over. */
int issuer_path_append(struct issuer *issuer, const char *peer,
		       const struct issuer_path_place *place, bool built_here,
		       const struct uuid *ids, const struct secret *bytes, size_t count);
/* Whether these keys of the peer's are here already. */
bool issuer_path_has(struct issuer *issuer, const char *peer, const struct issuer_path_place *place,
		     const struct uuid *ids, size_t count);
/* The peer has everything below place + count on its disk: it may be handed out here. */
void issuer_path_settled(struct issuer *issuer, const char *peer,
			 const struct issuer_path_place *place, size_t count);
/* The peer has not got them, or lost others: this generation is over. */
void issuer_path_stale(struct issuer *issuer, const char *peer,
		       const struct issuer_path_place *place);
/* Calls back when what was appended is on disk, as soon as can be. */
void issuer_path_on_disk(struct issuer *issuer, struct issue_log_waiter *waiter);
/* Makes on_synced() come, with the next sync for whatever reason, or soon. */
void issuer_path_sync_soon(struct issuer *issuer);

/* Keys for which requests wait, and keys of our own that are available, with that peer. */
size_t issuer_path_waiting(struct issuer *issuer, const char *peer);
uint64_t issuer_path_available(struct issuer *issuer, const char *peer);

int issuer_path_ask(struct issuer *issuer, const char *peer, struct site_request *request,
		    json_t *body, size_t size_bytes,
		    void (*answered)(struct site_request *request,
				     const struct site_message *answer));
void issuer_path_cancel(struct issuer *issuer, const char *peer, struct site_request *request);
/* Takes body. hurry false: nobody waits for it, so it may share a frame with what comes later. */
void issuer_path_answer(struct issuer *issuer, const char *peer, const struct uuid *request,
			json_t *body, bool hurry);
bool issuer_path_is_connected(struct issuer *issuer, const char *peer);
struct uuid issuer_path_new_id(struct issuer *issuer);
uint64_t issuer_path_now(const struct issuer *issuer);
