/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The manager of one link: ties device, peer, sync machine, pool and bus together on one event
 * loop, and is the one who logs.
 */

#include <systemd/sd-event.h>

#include "common/parameters-bus.h"
#include "qkd-linkd/link-config.h"

#define LINK_FLUSH_LATEST_USEC (20 * USEC_PER_MSEC) /* a flush waits for company no longer */
#define LINK_SIGNAL_USEC       (10 * USEC_PER_MSEC) /* between two KeysAgreed */
#define LINK_STATUS_USEC       (2 * USEC_PER_SEC)   /* between two STATUS lines */

struct link;

struct link_status {
	const char *link, *site, *peer;
	const char *state; /* of the device's session */
	const char *device, *driver, *directory;
	const char *last_error, *peer_error; /* "" */
	uint32_t key_bits, open_transactions;
	uint64_t next_sequence, keys_agreed, stock, in_pool;
	double keys_per_second, error_rate; /* of the last block; 0: none is measured */
	bool connected, alarm;
};

/* Takes config. Everything that keeps it from working is logged. file and arguments, borrowed, are
 * read again by link_reload(). */
int link_new(sd_event *event, struct link_config *config, const char *file, char *const *arguments,
	     struct link **ret);
struct link *link_free(struct link *link);
DEFINE_CLEANUP(struct link *, link_free);

/* The device's session; idempotent. */
int link_start(struct link *link);
void link_stop(struct link *link);
/* SIGHUP: what can change while it runs; what cannot is named in the journal. */
void link_reload(struct link *link);
const struct parameters *link_parameters(const struct link *link); /* borrowed */
void link_status(struct link *link, struct link_status *ret);
struct statistics_bus *link_statistics_bus(struct link *link); /* borrowed */
