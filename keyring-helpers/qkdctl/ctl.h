/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the commands of qkdctl share: the words of the command line, the connection to keyringd, and
 * how results and errors are told.
 */

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "common/macros.h"
#include "common/statistics-filter.h"
#include "ctl-snapshot.h"

#define CTL_CALL_USEC (10 * USEC_PER_SEC)
#define CTL_LINK_USEC (25 * USEC_PER_SEC) /* starting a link may start its unit */

#define CTL_EXIT_USAGE 2

#define CTL_KEYRING_NAME      "org.qkd.Keyring1"
#define CTL_KEYRING_PATH      "/org/qkd/Keyring1"
#define CTL_KEYRING_INTERFACE "org.qkd.Keyring1"
#define CTL_STORE_INTERFACE   "org.qkd.Keyring1.Store"
#define CTL_LINK_PATH         "/org/qkd/Link1"
#define CTL_LINK_INTERFACE    "org.qkd.Link1"

#define CTL_INTERVAL_USEC (1 * USEC_PER_SEC) /* between two reports, unless told */

struct ctl_stats {
	char *included[STATISTICS_FILTER_MAX_NAMES + 1]; /* NULL-terminated, and borrowed */
	char *excluded[STATISTICS_FILTER_MAX_NAMES + 1];
};

struct ctl {
	const char *what; /* the command, for errors */
	bool json, reveal, follow, explain, svg;
	const char *site; /* --site; NULL: whichever keyringd is on the bus */
	const char *key_id;
	uint32_t bits;                    /* 0: the store's size */
	uint32_t weight, stock, disjoint; /* of a path; 0: not given */
	uint64_t interval_usec;
	char **words; /* what follows the command */
	size_t word_count;
	struct ctl_stats stats;
	sd_bus *bus;
	json_t *keyring; /* keyringd's own properties, {"site", "version", "kernel_shared"} */
};

/* To the system bus; told on failure, as all that follows. */
int ctl_connect(struct ctl *ctl);
/* Reads what keyringd is and makes sure that it is the site that was asked for. */
int ctl_check_site(struct ctl *ctl);
void ctl_done(struct ctl *ctl);
const char *ctl_site(const struct ctl *ctl);

/* Calls a method of keyringd; the error has been told. ret_reply may be NULL. */
int ctl_call(struct ctl *ctl, const char *member, uint64_t timeout_usec, sd_bus_message **ret_reply,
	     const char *types, ...);
/* The same in two steps, for arguments that are no fixed number. */
int ctl_new_call(struct ctl *ctl, const char *member, sd_bus_message **ret_call);
int ctl_send_call(struct ctl *ctl, sd_bus_message *call, uint64_t timeout_usec);
/* The same of the linkd of this link. */
int ctl_call_link(struct ctl *ctl, const char *link, const char *member, sd_bus_message **ret_reply,
		  const char *types, ...);
/* Everything at once. --site is checked if keyringd answers; that it does not is no failure. */
int ctl_take_snapshot(struct ctl *ctl, struct ctl_snapshot *ret);

/* On standard error, with what to try. */
void ctl_tell_error(const char *what, const char *reason, const char *try);
/* One document and a newline on standard output; the text is wiped. */
int ctl_print_json(const json_t *document);
