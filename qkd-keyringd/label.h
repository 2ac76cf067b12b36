/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The labels of one store, by name, at either end. The object is plain data; what happens to it is
 * in issuer-label-home.c where this site is the label's home (the smaller name), and in
 * issuer-label-guest.c where it is not.
 */

#include "qkd-keyringd/issue-entry.h"
#include "qkd-keyringd/issue-log.h"
#include "qkd-keyringd/issuer-supply.h"
#include "qkd-keyringd/list.h"
#include "qkd-keyringd/site-peer.h"

struct issuer_store;
struct reservation;

enum label_state {
	LABEL_NEW,      /* somebody asks, no key stands for it yet */
	LABEL_ASSIGNED, /* until it expires, whether it is spent here or not */
	LABEL_ENDING,   /* at home: expired, the other site has not acknowledged that */
};

/* The other site's question, kept at home until it can be answered. */
struct label_ask {
	struct list link;
	struct uuid request;
	uint32_t bits;
	uint64_t deadline_usec; /* CLOCK_MONOTONIC */
};

struct label {
	struct label *next; /* in its bucket */
	struct issuer_store *store;
	char name[LABEL_MAX_CHARS + 1];
	enum label_state state;

	uint64_t generation;
	uint64_t expires_usec; /* CLOCK_REALTIME of the home */
	uint32_t bits;
	struct uuid id;
	struct reservation *reservation; /* NULL once it is spent here */
	bool served;

	/* at home */
	bool durable;   /* the choice is on disk */
	bool confirmed; /* the peer has marked the key */
	unsigned tries;
	uint32_t ttl_sec, want_bits; /* what the first to ask asked for */
	struct site_request request; /* the mark, or the end */
	struct issue_log_waiter waiter;
	struct supply_waiter supply;
	struct list asks;

	bool busy, again;    /* being stepped; to be stepped once more */
	struct list waiting; /* operations of this site */
};

struct label_table {
	struct label **buckets;
	size_t bucket_count, count;
};

struct label *label_find(const struct label_table *table, const char *name);
int label_add(struct label_table *table, struct issuer_store *store, const char *name,
	      struct label **ret);
void label_remove(struct label_table *table, struct label *label);
/* each() may remove the label that it is given. */
void label_foreach(struct label_table *table, void (*each)(struct label *label, void *userdata),
		   void *userdata);
/* Frees all. */
void label_table_done(struct label_table *table);
