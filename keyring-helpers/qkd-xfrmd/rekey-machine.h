/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How the two ends of a connection go from one generation of keys to the next without losing a
 * packet, and without IKE. Pure: no clock, no socket, no kernel; what it wants done goes through
 * hooks, and a test runs two of them against each other (docs/ipsec.md has the reasons).
 *
 *   leader                                     follower
 *   takes key CONNECTION.GENERATION
 *   OFFER(spi, nonce)  ------------------->    takes the same key
 *                                              installs inbound
 *                      <-------------------    ACCEPT(spi, nonce)
 *   installs inbound and outbound
 *   CONFIRM            ------------------->    installs outbound
 *                      <-------------------    DONE
 *   both: the old outbound goes after a second, the old inbound after the drain time
 *
 * The leader repeats OFFER and CONFIRM until they are answered; the follower only answers, and asks
 * (WANT) when it needs a generation. A generation is a random number that is used once, so nothing
 * has to be remembered over a restart, and nothing can get out of step.
 */

#include "common/secret.h"
#include "rekey-message.h"

#define REKEY_MAX_SAS 80 /* of one connection, both directions */
#define REKEY_NEVER   UINT64_MAX

enum rekey_direction { REKEY_IN, REKEY_OUT };

enum rekey_event {
	REKEY_SECURED, /* traffic passes again, or for the first time */
	REKEY_RENEWED, /* a new generation carries it */
	REKEY_BLOCKED, /* no association left: traffic is dropped */
	REKEY_NO_KEY,  /* the key could not be had: error */
	REKEY_SILENT,  /* the other end does not answer */
	REKEY_FAILED,  /* the kernel, or memory, refused: error */
};

struct rekey_hooks {
	/* Starts taking the key; rekey_machine_fetched() has the outcome, always. */
	int (*fetch)(uint64_t generation, void *userdata);
	/* One association, key of SA_DERIVE_KEY_BYTES, which is installed this once. */
	int (*install)(enum rekey_direction direction, uint32_t spi, const struct secret *key,
		       void *userdata);
	void (*remove)(enum rekey_direction direction, uint32_t spi, void *userdata);
	void (*send)(const uint8_t bytes[static REKEY_MESSAGE_BYTES], void *userdata);
	int (*random)(void *bytes, size_t size_bytes, void *userdata);
	/* error: positive errno or 0. */
	void (*tell)(enum rekey_event event, int error, void *userdata);
};

struct rekey_options {
	const char *connection; /* shorter than REKEY_MESSAGE_NAME_BYTES */
	bool leader;
	uint64_t rekey_usec, hard_usec, drain_usec;
	const struct rekey_hooks *hooks;
	void *userdata;
};

struct rekey_machine;

int rekey_machine_new(const struct rekey_options *options, struct rekey_machine **ret);
struct rekey_machine *rekey_machine_free(struct rekey_machine *m);
DEFINE_CLEANUP(struct rekey_machine *, rekey_machine_free);

/* Before the start: an association that an earlier process installed, and how old it is. spent: it
 * has passed its soft limit of bytes, of which the kernel tells once and nobody may have heard. */
void rekey_machine_adopt(struct rekey_machine *m, uint64_t now_usec, enum rekey_direction direction,
			 uint32_t spi, uint64_t age_usec, bool spent);
void rekey_machine_start(struct rekey_machine *m, uint64_t now_usec);

/* result: 0 with a key, which passes to the machine, or negative errno. */
void rekey_machine_fetched(struct rekey_machine *m, uint64_t now_usec, uint64_t generation,
			   int result, struct secret *key);
void rekey_machine_received(struct rekey_machine *m, uint64_t now_usec,
			    const struct rekey_message *message);
/* The kernel had a packet and nothing to send it with. */
void rekey_machine_acquire(struct rekey_machine *m, uint64_t now_usec);
/* A lifetime is over; hard: the kernel has removed the association. */
void rekey_machine_expired(struct rekey_machine *m, uint64_t now_usec,
			   enum rekey_direction direction, uint32_t spi, bool hard);
/* What is due; rekey_machine_next_usec() says when to call it again. */
void rekey_machine_timer(struct rekey_machine *m, uint64_t now_usec);
uint64_t rekey_machine_next_usec(const struct rekey_machine *m) _pure_;

bool rekey_machine_is_secured(const struct rekey_machine *m) _pure_;
/* SPI that traffic leaves by, 0 without. */
uint32_t rekey_machine_outbound(const struct rekey_machine *m) _pure_;
