/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The socket that the upcall helper asks (common/upcall-wire.h, design section 10): one connection
 * for each key that the kernel waits for. Only the helper's uid, root, is heard.
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "admission.h"
#include "common/statistics.h"

/* The kernel runs at most 2048 helpers at once. */
#define UPCALL_MAX_OPEN        2560
#define UPCALL_READ_USEC       (1 * USEC_PER_SEC) /* connected, and no request yet */
#define UPCALL_REPORT_USEC     (2 * USEC_PER_SEC) /* key sent, and no word about it */
#define UPCALL_MIN_BUDGET_USEC (USEC_PER_SEC / 2) /* wait=0: the peer still has to be asked */

enum upcall_statistic {
	UPCALL_STATISTIC_OPEN,
	UPCALL_STATISTIC_DELIVERED,
	UPCALL_STATISTIC_UNDELIVERED,
	UPCALL_STATISTIC_NOT_ALLOWED,
	UPCALL_STATISTIC_TOO_MANY,
	UPCALL_STATISTIC_NO_PEER,
	UPCALL_STATISTIC_TOO_LATE,
	UPCALL_STATISTIC_SPENT,
	UPCALL_STATISTIC_INVALID,
	UPCALL_STATISTIC_FAILED,
	UPCALL_STATISTIC_LATENCY,
	UPCALL_STATISTIC_COUNT_,
};
extern const struct statistics_definition upcall_definitions[UPCALL_STATISTIC_COUNT_];

struct upcall_server;

struct upcall_server_options {
	sd_event *event;
	const char *directory; /* RUNTIME/upcall */
	const char *name;      /* the site, or UPCALL_DEFAULT_SITE */
	const char *site;      /* a description that names another one is malformed */
	uid_t helper_uid;
	struct admission *admission; /* borrowed, with its issuer */
};

/* Makes directory/name/socket. */
int upcall_server_new(const struct upcall_server_options *options, struct upcall_server **ret);
/* Ends every request; helpers see the connection close. */
struct upcall_server *upcall_server_free(struct upcall_server *server);
DEFINE_CLEANUP(struct upcall_server *, upcall_server_free);
/* UPCALL_STATISTIC_COUNT_ of them; how many are open is whoever reads it's to set. */
struct statistic *upcall_server_statistics(struct upcall_server *server);
size_t upcall_server_open_count(const struct upcall_server *server);
