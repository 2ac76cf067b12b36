/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of the rekeying machine share: its state, and the table of its associations. */

#include "rekey-machine.h"

#define REKEY_RESEND_MIN_USEC  (250 * USEC_PER_MSEC)
#define REKEY_RESEND_MAX_USEC  (1 * USEC_PER_SEC)
#define REKEY_BACKOFF_MIN_USEC (500 * USEC_PER_MSEC)
#define REKEY_BACKOFF_MAX_USEC (2 * USEC_PER_SEC)
#define REKEY_WANT_USEC        (2 * USEC_PER_SEC) /* between two that are not answered */
/* After this an offer, or a key without a proven offer, is given up. */
#define REKEY_GIVE_UP_USEC (8 * USEC_PER_SEC)
/* The kernel prefers the newest association by whole seconds. */
#define REKEY_SPACING_USEC (1200 * USEC_PER_MSEC)
/* The old outbound stays that long, for packets that are on their way through the kernel. */
#define REKEY_LINGER_USEC (1 * USEC_PER_SEC)
/* What nobody can prove is heard that often. */
#define REKEY_UNPROVEN_OFFER_USEC (2 * USEC_PER_SEC)
#define REKEY_UNPROVEN_WANT_USEC  (5 * USEC_PER_SEC)
#define REKEY_RECENT              32 /* generations that are not taken again */

enum rekey_state {
	REKEY_IDLE,      /* no such generation */
	REKEY_FETCHING,  /* until fetched() */
	REKEY_FETCHED,   /* follower: until a proven offer, or given up */
	REKEY_OFFERED,   /* leader: until ACCEPT, or given up */
	REKEY_ACCEPTED,  /* follower: until CONFIRM or another offer */
	REKEY_CONFIRMED, /* leader: until DONE or the next generation */
	REKEY_SETTLED,   /* both: until the next generation */
};

struct rekey_generation {
	uint64_t id;
	enum rekey_state state;
	struct secret *key, *control; /* key: until the associations' keys are derived */
	struct secret *out_key;       /* follower: until CONFIRM */
	uint32_t spi_in, spi_out;
	uint8_t nonce_leader[SA_DERIVE_NONCE_BYTES], nonce_follower[SA_DERIVE_NONCE_BYTES];
};

struct rekey_sa {
	enum rekey_direction direction;
	uint32_t spi;
	uint64_t added_usec, remove_usec;
	bool spent; /* adopted beyond its soft limit of bytes */
};

struct rekey_machine {
	char connection[REKEY_MESSAGE_NAME_BYTES];
	struct rekey_options options;
	const struct rekey_hooks *hooks;
	struct rekey_generation next, current;
	struct rekey_message offer; /* follower: what came while the key was fetched */
	struct rekey_sa sas[REKEY_MAX_SAS];
	size_t sa_count;
	uint64_t begin_usec; /* leader: next generation; follower: next WANT */
	uint64_t began_usec; /* the generation in hand */
	uint64_t resend_usec, resend_step_usec, give_up_usec;
	uint64_t unproven_usec; /* before it nothing unproven is heard */
	uint64_t recent[REKEY_RECENT];
	size_t recent_at;
	unsigned failures;
};

/* rekey-table.c */
void rekey_table_add(struct rekey_machine *m, enum rekey_direction direction, uint32_t spi,
		     uint64_t added_usec);
struct rekey_sa *rekey_table_find(struct rekey_machine *m, enum rekey_direction direction,
				  uint32_t spi);
void rekey_table_drop(struct rekey_machine *m, struct rekey_sa *sa);
/* All of that direction but one go, no later than after delay. */
void rekey_table_retire(struct rekey_machine *m, uint64_t now_usec, enum rekey_direction direction,
			uint32_t keep_spi, uint64_t delay_usec);
uint64_t rekey_table_next_usec(const struct rekey_machine *m) _pure_;
/* The newest of that direction, or NULL. */
const struct rekey_sa *rekey_table_newest(const struct rekey_machine *m,
					  enum rekey_direction direction) _pure_;

/* rekey-generation.c */
void rekey_generation_done(struct rekey_generation *g);
/* Outbound and inbound keys of a generation whose SPIs and nonces are there. */
int rekey_generation_derive(const struct rekey_machine *m, const struct rekey_generation *g,
			    enum rekey_direction direction, struct secret **ret);
int rekey_generation_install(struct rekey_machine *m, uint64_t now_usec,
			     enum rekey_direction direction, uint32_t spi,
			     const struct secret *key);
/* next is what traffic leaves by from now on. */
void rekey_generation_promote(struct rekey_machine *m, uint64_t now_usec, enum rekey_state state);
void rekey_generation_give_up(struct rekey_machine *m, uint64_t now_usec, enum rekey_event event,
			      int error);
/* Random, not 0, not one that ESP reserves. */
int rekey_generation_choose_spi(struct rekey_machine *m, uint32_t *ret);
void rekey_generation_send(struct rekey_machine *m, enum rekey_message_type type,
			   const struct rekey_generation *g);

/* rekey-leader.c */
void rekey_leader_begin(struct rekey_machine *m, uint64_t now_usec);
void rekey_leader_fetched(struct rekey_machine *m, uint64_t now_usec);
void rekey_leader_received(struct rekey_machine *m, uint64_t now_usec,
			   const struct rekey_message *message);
void rekey_leader_resend(struct rekey_machine *m, uint64_t now_usec);

/* rekey-follower.c */
void rekey_follower_want(struct rekey_machine *m, uint64_t now_usec);
void rekey_follower_fetched(struct rekey_machine *m, uint64_t now_usec);
void rekey_follower_received(struct rekey_machine *m, uint64_t now_usec,
			     const struct rekey_message *message);
