/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the parts of keyringd count, as one set, and that on D-Bus; see qkd-statistics(7). The parts
 * own their values and know nothing of this.
 */

#include "bus-call.h"
#include "common/statistics-bus.h"
#include "issuer.h"
#include "multihop.h"
#include "upcall.h"

enum store_statistic {
	STORE_STATISTIC_CONNECTED,
	STORE_STATISTIC_AVAILABLE_OWN,
	STORE_STATISTIC_AVAILABLE_PEER,
	STORE_STATISTIC_RESERVED,
	STORE_STATISTIC_DELIVERING,
	STORE_STATISTIC_ISSUED,
	STORE_STATISTIC_DESTROYED,
	STORE_STATISTIC_LABELS,
	STORE_STATISTIC_LOST,
	STORE_STATISTIC_ALTERNATIVES,
	STORE_STATISTIC_COUNT_,
};
extern const struct statistics_definition keyringd_statistics_store[STORE_STATISTIC_COUNT_];

struct keyringd_statistics;

/* The issuer is borrowed, and so is the site's name. */
int keyringd_statistics_new(sd_event *event, const char *site, struct issuer *issuer,
			    struct keyringd_statistics **ret);
/* Before the parts whose values it tells. */
struct keyringd_statistics *keyringd_statistics_free(struct keyringd_statistics *statistics);
DEFINE_CLEANUP(struct keyringd_statistics *, keyringd_statistics_free);

void keyringd_statistics_add_calls(struct keyringd_statistics *statistics, struct bus_calls *calls);
void keyringd_statistics_add_multihop(struct keyringd_statistics *statistics,
				      struct multihop *multihop);
/* name, borrowed: of the socket. */
int keyringd_statistics_add_upcalls(struct keyringd_statistics *statistics,
				    struct upcall_server *server, const char *name);

struct statistics_bus *keyringd_statistics_bus(struct keyringd_statistics *statistics);
/* Something has happened: rates are taken. */
void keyringd_statistics_sample(struct keyringd_statistics *statistics);
