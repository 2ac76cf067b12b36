/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the parts of the manager share: link.c (the parts and their events), link-effects.c (what
 * the sync machine wants done), link-report.c (status, signals, what is told outside),
 * link-parameters.c (what changes while it runs), link-statistics.c.
 */

#include "qkd-linkd/link.h"

#include "common/log.h"
#include "qkd-linkd/deposit.h"
#include "qkd-linkd/link-bus.h"
#include "qkd-linkd/link-device.h"
#include "qkd-linkd/link-peer.h"
#include "qkd-linkd/link-statistics.h"
#include "qkd-linkd/sync-machine.h"

struct link_sample {
	uint64_t at_usec, keys;
};

struct link {
	sd_event *event;
	struct link_config *config;
	const char *file;       /* borrowed, for reload */
	char *const *arguments; /* borrowed */
	int lock_fd;
	struct storage *journal, *keys, *state;
	struct sync_machine *machine;
	struct link_device *device;
	struct link_peer *peer;
	struct link_bus *bus;    /* or NULL */
	struct deposit *deposit; /* or NULL */
	sd_event_source *flush, *wake, *status_timer, *signal_timer;
	bool wants_flush, is_ending;
	enum device_state told_state; /* the last one in the journal; Inactive at first */
	uint64_t flush_wanted_usec;
	/* KeysAgreed that is still to be sent. */
	uint64_t agreed_first, agreed_count, signalled_usec;
	struct link_sample samples[2]; /* for the rate: older, newer */
	struct log_ratelimit violation_limit, disk_limit;
	struct link_statistics statistics;
	struct parameters parameters;
};

/* link.c */
void link_check(struct link *link, int r);
uint64_t link_now(const struct link *link);
void link_pump(struct link *link);
void link_flush_if_late(struct link *link);
/* Without the pool the files still have every key. */
void link_open_pool(struct link *link);

/* link-effects.c */
extern const struct sync_ops link_sync_ops;

/* link-parameters.c */
void link_parameters_init(struct link *link);

/* link-report.c */
void link_tell_agreed(struct link *link);
/* The state has changed: told at once. */
void link_status_changed(struct link *link);
