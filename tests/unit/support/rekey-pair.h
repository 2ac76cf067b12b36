/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two rekeying machines with a network that loses, delays and swaps, a key service that serves a
 * label once at each end, a kernel each, and one clock that a test moves. Every millisecond a
 * packet goes each way, and every key that is ever installed is remembered.
 */

#include "keyring-helpers/qkd-xfrmd/rekey-machine.h"

#define PAIR_MAX_IN_FLIGHT 64
#define PAIR_MAX_KEYS      4096
#define PAIR_MAX_SAS       (REKEY_MAX_SAS + 8)

enum rekey_pair_end { PAIR_LEADER, PAIR_FOLLOWER };

struct rekey_pair;

struct rekey_pair_sa {
	enum rekey_direction direction;
	uint32_t spi;
	uint64_t added_usec;
	uint8_t key[SA_DERIVE_KEY_BYTES];
	bool spent;
};

struct rekey_pair_side {
	struct rekey_pair *pair;
	enum rekey_pair_end end;
	struct rekey_machine *machine;
	struct rekey_pair_sa sas[PAIR_MAX_SAS];
	size_t sa_count;
	uint64_t fetching, fetch_at_usec; /* 0: none */
	uint64_t fetches, secured, renewed, blocked, no_key, silent, failed;
	uint64_t sent, received, held; /* packets; held: there was nothing to send by */
	bool kernel_refuses;
};

struct rekey_pair_datagram {
	enum rekey_pair_end to;
	uint64_t at_usec;
	uint8_t bytes[REKEY_MESSAGE_BYTES];
};

struct rekey_pair {
	struct rekey_pair_side sides[2];
	struct rekey_options options;
	uint64_t now_usec, random;
	struct rekey_pair_datagram in_flight[PAIR_MAX_IN_FLIGHT];
	size_t in_flight_count;
	struct rekey_pair_datagram last[2]; /* sent by each end */
	unsigned loss_percent;
	enum rekey_message_type drop; /* all of these are lost; 0: none */
	uint64_t delay_max_usec, fetch_usec;
	bool no_keys, cut;
	uint8_t used_keys[PAIR_MAX_KEYS][SA_DERIVE_KEY_BYTES]; /* of outbound associations */
	size_t used_count;
	uint64_t served[2][PAIR_MAX_KEYS]; /* labels, each once */
	size_t served_count[2];
	bool key_repeated;
};

void rekey_pair_init(struct rekey_pair *pair, uint64_t rekey_sec, uint64_t hard_sec,
		     uint64_t drain_sec);
void rekey_pair_done(struct rekey_pair *pair);
void rekey_pair_start(struct rekey_pair *pair, enum rekey_pair_end end);
/* The process ends and comes back; reboot: the kernel forgets too. */
void rekey_pair_restart(struct rekey_pair *pair, enum rekey_pair_end end, bool reboot);
void rekey_pair_run(struct rekey_pair *pair, uint64_t usec);
void rekey_pair_put(struct rekey_pair *pair, enum rekey_pair_end to, const uint8_t *bytes);
uint64_t rekey_pair_lost(const struct rekey_pair *pair); /* packets that nobody could open */
bool rekey_pair_is_secured(const struct rekey_pair *pair);
