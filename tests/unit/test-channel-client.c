// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/channel-internal.h"
#include "tests/unit/support/test-allocation.h"
#include "tests/unit/support/test-channels.h"

static struct test_channels pair;

static void begin(void)
{
	test_channels_init(&pair);
}

static void end(void)
{
	test_channels_done(&pair);
}

TestSuite(channel_client, .init = begin, .fini = end, .timeout = 60);

#define RUN_UNTIL(condition) cr_assert(TEST_RUN_UNTIL(pair.event, condition, 8 * USEC_PER_SEC))

/* A socket that is bound and refuses or takes connections, but never says a word. */
static int bind_socket(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

Test(channel_client, it_goes_on_trying_with_growing_pauses)
{
	uint64_t start = test_now_usec(), first, third;
	uint16_t port;
	int fd = bind_socket(&port);

	test_channels_dial(&pair, port);
	cr_assert_eq(pair.failed_count, 0u, "no callback from within");
	RUN_UNTIL(pair.failed_count == 1);
	first = test_now_usec() - start;
	cr_assert_eq(pair.failed_result, -ECONNREFUSED);
	cr_assert_str_eq(pair.failed_reason, "Connection refused");
	RUN_UNTIL(pair.failed_count == 4);
	third = test_now_usec() - start - first;
	cr_assert_lt(first, 50 * USEC_PER_MSEC, "the first try comes at once");
	/* Pauses are half to all of 100, 200 and 400 ms. */
	cr_assert_geq(third, 350 * USEC_PER_MSEC);
	cr_assert_lt(third, 1500 * USEC_PER_MSEC);
	close(fd);
}

Test(channel_client, it_connects_once_the_server_is_there)
{
	char address[32];
	uint16_t port;
	int fd = bind_socket(&port);

	test_channels_dial(&pair, port);
	RUN_UNTIL(pair.failed_count == 1);
	close(fd);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	test_channels_serve_at(&pair, address);
	RUN_UNTIL(pair.bob.channel && pair.alice.channel);
}

Test(channel_client, the_back_off_has_an_upper_end)
{
	test_channels_serve(&pair);
	test_channels_dial(&pair, channel_server_port(pair.server));
	RUN_UNTIL(pair.bob.channel && pair.alice.channel);
	/* A peer that drops each connection as soon as it is made. */
	for (unsigned i = 2; i < 6; i++) {
		uint64_t start = test_now_usec();

		pair.alice.channel = channel_free(pair.alice.channel);
		RUN_UNTIL(pair.bob.is_closed);
		for (int j = 0; j < 20; j++) /* the same as once */
			cr_assert_eq(channel_client_reconnect(pair.client), 0);
		RUN_UNTIL(!pair.bob.is_closed && pair.alice.channel);
		cr_assert_eq(pair.accepted_count, i);
		cr_assert_geq(test_now_usec() - start, (50 * USEC_PER_MSEC) << (i - 2));
		cr_assert_lt(test_now_usec() - start,
			     ((100 * USEC_PER_MSEC) << (i - 2)) + USEC_PER_SEC);
	}
	cr_assert_leq(CHANNEL_BACKOFF_MAX_USEC, 5 * USEC_PER_SEC);
}

Test(channel_client, a_server_that_never_greets_is_given_up)
{
	uint64_t start = test_now_usec();
	uint16_t port;
	int fd = bind_socket(&port);

	cr_assert_eq(listen(fd, 1), 0);
	test_channels_dial(&pair, port);
	RUN_UNTIL(pair.failed_count);
	cr_assert_eq(pair.failed_result, -ETIMEDOUT);
	cr_assert_str_eq(pair.failed_reason, "the TLS handshake was not finished in time");
	cr_assert_geq(test_now_usec() - start, CHANNEL_HANDSHAKE_USEC);
	close(fd);
}

Test(channel_client, a_name_is_resolved_without_blocking)
{
	char address[64];

	test_channels_serve(&pair);
	snprintf(address, sizeof(address), "localhost:%u", channel_server_port(pair.server));
	test_channels_dial_at(&pair, address);
	RUN_UNTIL(pair.bob.channel && pair.alice.channel);
}

Test(channel_client, a_name_that_nobody_knows_is_a_failure)
{
	test_channels_dial_at(&pair, "no-such-host.invalid:1");
	RUN_UNTIL(pair.failed_count);
	cr_assert_eq(strncmp(pair.failed_reason, "the peer's host", 15), 0, "%s",
		     pair.failed_reason);
}

Test(channel_client, freeing_it_while_a_name_is_looked_up_leaves_nothing)
{
	test_channels_dial_at(&pair, "no-such-host.invalid:1");
	sd_event_run(pair.event, 0);
	pair.client = channel_client_free(pair.client);
	TEST_RUN_UNTIL(pair.event, pair.failed_count, 100 * USEC_PER_MSEC);
	cr_assert_eq(pair.failed_count, 0u);
}

Test(channel_client, a_wrong_address_or_name_is_an_error_at_once)
{
	static const struct channel_client_handler handler;
	struct channel_client *client = NULL;

	cr_expect_eq(channel_client_new(pair.event, "alice", "alice", pair.bob_identity, &handler,
					NULL, &client),
		     -EINVAL);
	cr_expect_eq(channel_client_new(pair.event, "alice:1", "Alice", pair.bob_identity, &handler,
					NULL, &client),
		     -EINVAL);
	cr_expect_null(client);
}

static struct channel_client *freed_in_callback;
static unsigned freed_count;

static void free_in_failed(int result, const char *reason, void *userdata)
{
	freed_in_callback = channel_client_free(freed_in_callback);
	freed_count++;
}

static void free_in_channel(struct channel *channel, void *userdata)
{
	free_in_failed(0, NULL, NULL);
	channel_free(channel);
}

Test(channel_client, callbacks_may_free_the_client)
{
	static const struct channel_client_handler handler = {
		.on_channel = free_in_channel,
		.failed = free_in_failed,
	};
	char address[32];

	test_channels_serve(&pair);
	snprintf(address, sizeof(address), "127.0.0.1:%u", channel_server_port(pair.server));
	for (unsigned i = 0; i < 3; i++) {
		pair.allowed = i == 1 ? "nobody" : NULL; /* refused by the greeting */
		cr_assert_eq(channel_client_new(pair.event, i == 2 ? "127.0.0.1:1" : address,
						"alice", pair.bob_identity, &handler, NULL,
						&freed_in_callback),
			     0);
		RUN_UNTIL(freed_count == i + 1);
		cr_assert_null(freed_in_callback);
	}
}

/* A server of another version: the same TLS, another greeting. */
static struct channel *foreign_channel;

static void greet_otherwise(int result, const char *reason, struct channel *channel, void *userdata)
{
	_cleanup_(json_decrefp) json_t *greeting = json_pack("{s:i}", "channel", 99);

	cr_assert_eq(result, 0);
	cr_assert_eq(channel_send(channel, greeting), 0);
	foreign_channel = channel;
}

Test(channel_client, a_server_of_another_version_is_refused)
{
	static const struct channel_handshake_options options = {
		.role = CHANNEL_ACCEPTS, .timeout_usec = CHANNEL_HANDSHAKE_USEC};
	struct channel_handshake *handshake = NULL;
	uint16_t port;
	int fd = bind_socket(&port);

	cr_assert_eq(listen(fd, 1), 0);
	test_channels_dial(&pair, port);
	sd_event_run(pair.event, 0);
	cr_assert_eq(channel_handshake_new(
			     pair.event, accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC),
			     pair.alice_identity, &options, greet_otherwise, NULL, &handshake),
		     0);
	RUN_UNTIL(pair.failed_count);
	cr_assert_eq(pair.failed_result, -EPROTO);
	cr_assert_str_eq(pair.failed_reason, "the peer speaks another version of this protocol");
	channel_handshake_free(handshake);
	channel_free(foreign_channel);
	close(fd);
}

/* Makes a connection and sends a message. What is not there after a moment is not waited for:
 * OpenSSL takes some lack of memory for a wait, which the time limits end. */
static void connect_once(void)
{
	_cleanup_(json_decrefp) json_t *message = json_object();
	char address[32];

	pair.failed_count = pair.refused_count = 0;
	snprintf(address, sizeof(address), "127.0.0.1:%u", channel_server_port(pair.server));
	if (!message || test_channels_try_dial(&pair, address) < 0)
		return;
	TEST_RUN_UNTIL(pair.event,
		       (pair.bob.channel && pair.alice.channel) || pair.failed_count ||
			       pair.refused_count,
		       200 * USEC_PER_MSEC);
	if (pair.bob.channel && channel_send(pair.bob.channel, message) == 0)
		TEST_RUN_UNTIL(pair.event,
			       pair.alice.message_count || pair.bob.is_closed ||
				       pair.alice.is_closed,
			       50 * USEC_PER_MSEC);
}

static void disconnect(void)
{
	pair.alice.channel = channel_free(pair.alice.channel);
	pair.bob.channel = channel_free(pair.bob.channel);
	pair.client = channel_client_free(pair.client);
	pair.alice.message_count = 0;
	while (sd_event_run(pair.event, 2 * USEC_PER_MSEC) > 0)
		;
}

Test(channel_client, lack_of_memory_at_either_end_is_survived)
{
	unsigned failures = 0;
	bool is_connected = false;

	test_channels_serve(&pair);
	TEST_EACH_ALLOCATION (n, 29) { /* each one would take a minute */
		connect_once();
		is_connected = pair.alice.message_count == 1;
		failures += !is_connected;
		disconnect();
	}
	cr_assert(is_connected, "the last time with memory enough");
#ifndef __SANITIZE_ADDRESS__
	cr_assert_gt(failures, 10u);
#endif
}
