/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One D-Bus call that asks the issuer for keys, from its message to its answer: identify the
 * caller, ask the policy, ask the issuer, reply. Every step may take time and none waits.
 */

#include "admission.h"
#include "common/bus-caller.h"
#include "common/statistics.h"
#include "list.h"

#define BUS_CALL_MAX_OPEN    2048
#define BUS_CALL_BUDGET_USEC (5 * USEC_PER_SEC)

#define BUS_ERROR_NO_SUCH_PEER "org.qkd.Error.NoSuchPeer"
#define BUS_ERROR_TIMEOUT      "org.qkd.Error.Timeout"
#define BUS_ERROR_SPENT        "org.qkd.Error.Spent"
#define BUS_ERROR_NOT_ALLOWED  "org.qkd.Error.NotAllowed"
#define BUS_ERROR_INVALID      "org.qkd.Error.Invalid"
#define BUS_ERROR_QUOTA        "org.qkd.Error.Quota"

enum bus_call_statistic {
	BUS_CALL_STATISTIC_CALLS,
	BUS_CALL_STATISTIC_REFUSED,
	BUS_CALL_STATISTIC_RESERVED,
	BUS_CALL_STATISTIC_DESTROYED,
	BUS_CALL_STATISTIC_LATENCY,
	BUS_CALL_STATISTIC_COUNT_,
};
extern const struct statistics_definition bus_call_definitions[BUS_CALL_STATISTIC_COUNT_];

struct bus_calls {
	struct admission *admission; /* borrowed, with its issuer */
	struct bus_callers *callers;
	struct list open;
	size_t open_count;
	struct statistic statistics[BUS_CALL_STATISTIC_COUNT_];
};

int bus_calls_init(struct bus_calls *calls, struct admission *admission);
/* Ends every call without an answer. */
void bus_calls_done(struct bus_calls *calls);
/* The bus is gone, or another one: calls that came over it end without an answer. */
void bus_calls_forget(struct bus_calls *calls, sd_bus *bus);

enum bus_call_kind {
	BUS_CALL_NEW_KEY,  /* s peer, u bits -> s id */
	BUS_CALL_NEW_KEYS, /* s peer, u bits, u count -> as ids */
	BUS_CALL_EXISTING, /* s peer, s id -> (nothing) */
	BUS_CALL_DESTROY,  /* s peer, s id -> (nothing) */
};

/* Answers the message now or later; the result is for sd-bus. */
int bus_call_start(struct bus_calls *calls, enum bus_call_kind kind, sd_bus_message *message);

/* Answers with the D-Bus error that a negative errno of the issuer stands for. */
int bus_call_reply_error(sd_bus_message *message, int result, const char *text);
const char *bus_call_error_name(int result);
