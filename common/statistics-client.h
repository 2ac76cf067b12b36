/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The other end of org.qkd.Statistics1: finds the daemons of this site on the bus and gathers what
 * they tell. For programs that have nothing else to do meanwhile.
 */

#include "common/statistics-message.h"

#define STATISTICS_CLIENT_MAX_DAEMONS 257 /* keyringd and its links */

/* A name on the bus of keyringd or of a linkd. */
bool statistics_client_is_daemon(const char *name) _pure_;
/* The names of those that are there; NULL-terminated, statistics_client_free_names(). */
int statistics_client_find(sd_bus *bus, uint64_t timeout_usec, char ***ret);
char **statistics_client_free_names(char **names);
DEFINE_CLEANUP(char **, statistics_client_free_names);

/* What one of them is asked, as far as the filter: "asb". */
int statistics_client_new_call(sd_bus *bus, const char *daemon, const char *member,
			       char *const *names, bool exclude, sd_bus_message **ret);

struct statistics_client_answer {
	struct statistics_list list;
	unsigned answered, silent; /* daemons */
	char trouble[160];         /* what the last silent one said, or "" */
};

/* Asks all of them at the same time. Negative errno when the bus does not work; daemons that answer
 * nonsense, an error or nothing in time are counted. */
int statistics_client_gather(sd_bus *bus, char *const *names, bool exclude, uint64_t timeout_usec,
			     struct statistics_client_answer *ret);
void statistics_client_answer_done(struct statistics_client_answer *answer);
