/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two channels that are connected by real TLS in one process and on one loop, with what they have
 * received written down: for tests of the channel and of what speaks over it.
 */

#include "tests/unit/support/test-certificates.h"

#define TEST_CHANNEL_MAX_TEXT 65536

/* One end: what a channel's callbacks have told. */
struct test_end {
	struct channel *channel;
	char messages[TEST_CHANNEL_MAX_TEXT]; /* JSON frames, one a line */
	size_t message_count, binary_count, binary_bytes;
	bool is_closed;
	int result;
	char reason[256];
	/* Instead of writing down, when not NULL. */
	void (*on_message)(struct test_end *end, json_t *message);
	bool frees_when_closed;
};
extern const struct channel_handler test_end_handler;

/* A server as site alice, a client as site bob that expects alice. */
struct test_channels {
	sd_event *event;
	char *directory;
	struct test_ca *ca;
	struct channel_identity *alice_identity, *bob_identity;
	struct channel_server *server;
	struct channel_client *client;
	struct test_end alice, bob;
	unsigned failed_count, refused_count, accepted_count;
	int failed_result;
	char failed_reason[256], refused_reason[256];
	const char *allowed; /* NULL: every site */
};

void test_channels_init(struct test_channels *channels);                /* loop and identities */
void test_channels_serve(struct test_channels *channels);               /* ... and the server */
void test_channels_dial(struct test_channels *channels, uint16_t port); /* ... and the client */
void test_channels_serve_at(struct test_channels *channels, const char *address);
int test_channels_try_dial(struct test_channels *channels, const char *address);
void test_channels_dial_at(struct test_channels *channels, const char *address);
void test_channels_connect(struct test_channels *channels); /* all, until both ends are there */
void test_channels_done(struct test_channels *channels);

/* Runs the loop until condition holds; false when it did not within so long. */
#define TEST_RUN_UNTIL(event, condition, timeout_usec)             \
	({                                                         \
		uint64_t end_ = test_now_usec() + (timeout_usec);  \
		while (!(condition) && test_now_usec() < end_)     \
			sd_event_run((event), 20 * USEC_PER_MSEC); \
		(condition);                                       \
	})
uint64_t test_now_usec(void);
