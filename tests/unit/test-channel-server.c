// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/channel-internal.h"
#include "tests/unit/support/test-channels.h"

static struct test_channels pair;

static void serve(void)
{
	test_channels_init(&pair);
	test_channels_serve(&pair);
}

static void end(void)
{
	test_channels_done(&pair);
}

TestSuite(channel_server, .init = serve, .fini = end, .timeout = 60);

#define RUN_UNTIL(condition) cr_assert(TEST_RUN_UNTIL(pair.event, condition, 8 * USEC_PER_SEC))

/* A connection that says nothing, from 127.0.0.HOST. */
static int connect_silently(unsigned host)
{
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host)};
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(channel_server_port(pair.server))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void run_idle(void)
{
	while (sd_event_run(pair.event, 50 * USEC_PER_MSEC) > 0)
		;
}

static bool is_ended(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

Test(channel_server, a_silent_peer_is_given_up_in_time)
{
	uint64_t start = test_now_usec();
	int fd = connect_silently(1);

	RUN_UNTIL(pair.refused_count);
	cr_assert_str_eq(pair.refused_reason, "the TLS handshake was not finished in time");
	cr_assert_geq(test_now_usec() - start, CHANNEL_HANDSHAKE_USEC);
	cr_assert(is_ended(fd));
	close(fd);
}

Test(channel_server, a_peer_that_goes_during_the_handshake_is_told)
{
	close(connect_silently(1));
	RUN_UNTIL(pair.refused_count);
	cr_assert_str_eq(pair.refused_reason, "the connection ended without notice");
}

Test(channel_server, one_host_has_few_unfinished_handshakes)
{
	int fds[CHANNEL_MAX_PENDING_PER_HOST + 1];

	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		fds[i] = connect_silently(1);
	RUN_UNTIL(pair.refused_count);
	run_idle();
	cr_assert_eq(pair.refused_count, 1u);
	cr_assert_str_eq(pair.refused_reason, "too many unfinished handshakes from this host");
	cr_assert(is_ended(fds[CHANNEL_MAX_PENDING_PER_HOST]));
	cr_assert_not(is_ended(fds[0]));
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		close(fds[i]);
}

Test(channel_server, a_crowd_of_silent_hosts_keeps_nobody_out)
{
	int fds[CHANNEL_MAX_PENDING];

	for (unsigned i = 0; i < ELEMENTSOF(fds); i++)
		fds[i] = connect_silently(2 + i / CHANNEL_MAX_PENDING_PER_HOST);
	run_idle();
	cr_assert_eq(pair.refused_count, 0u);
	test_channels_dial(&pair, channel_server_port(pair.server));
	RUN_UNTIL(pair.bob.channel && pair.alice.channel);
	cr_assert_eq(pair.refused_count, 1u);
	cr_assert(is_ended(fds[0]), "the oldest gave way");
	cr_assert_not(is_ended(fds[1]));
	for (unsigned i = 0; i < ELEMENTSOF(fds); i++)
		close(fds[i]);
}

Test(channel_server, it_waits_for_descriptors_without_spinning)
{
	struct rlimit limit, low;
	int fd = connect_silently(1);
	unsigned iterations = 0;
	uint64_t start;

	getrlimit(RLIMIT_NOFILE, &limit);
	low = (struct rlimit){.rlim_cur = (rlim_t)fd, .rlim_max = limit.rlim_max};
	setrlimit(RLIMIT_NOFILE, &low);
	for (start = test_now_usec(); test_now_usec() - start < 300 * USEC_PER_MSEC; iterations++)
		sd_event_run(pair.event, 50 * USEC_PER_MSEC);
	setrlimit(RLIMIT_NOFILE, &limit);
	cr_assert_lt(iterations, 20u);
	close(fd);
	RUN_UNTIL(pair.refused_count); /* it was accepted in the end */
}

static struct channel_server *freed_in_callback;

static void free_server(const char *address, const char *reason, void *userdata)
{
	freed_in_callback = channel_server_free(freed_in_callback);
	pair.refused_count++;
}

static void free_server_and_channel(struct channel *channel, void *userdata)
{
	free_server(NULL, NULL, NULL);
	channel_free(channel);
}

static bool allow_all(const char *peer, void *userdata)
{
	return true;
}

Test(channel_server, callbacks_may_free_the_server)
{
	static const struct channel_server_handler handler = {
		.allow = allow_all,
		.on_channel = free_server_and_channel,
		.refused = free_server,
	};

	for (int i = 0; i < 2; i++) {
		uint16_t port;

		pair.refused_count = 0;
		cr_assert_eq(channel_server_new(pair.event, "127.0.0.1:0", pair.alice_identity,
						&handler, NULL, &freed_in_callback),
			     0);
		port = channel_server_port(freed_in_callback);
		if (i == 0) {
			struct channel_server *server = pair.server;

			pair.server = freed_in_callback;
			close(connect_silently(1));
			pair.server = server;
		} else {
			test_channels_dial(&pair, port);
		}
		RUN_UNTIL(pair.refused_count);
		cr_assert_null(freed_in_callback);
	}
}

Test(channel_server, it_listens_only_where_it_can)
{
	struct channel_server *server = NULL;
	char taken[32];

	snprintf(taken, sizeof(taken), "127.0.0.1:%u", channel_server_port(pair.server));
	cr_expect_eq(channel_server_new(pair.event, taken, pair.alice_identity,
					&(struct channel_server_handler){.allow = allow_all}, NULL,
					&server),
		     -EADDRINUSE);
	cr_expect_eq(channel_server_new(pair.event, "nonsense", pair.alice_identity,
					&(struct channel_server_handler){.allow = allow_all}, NULL,
					&server),
		     -EINVAL);
	cr_expect_eq(channel_server_new(pair.event, "192.0.2.1:1", pair.alice_identity,
					&(struct channel_server_handler){.allow = allow_all}, NULL,
					&server),
		     -EADDRNOTAVAIL);
	cr_expect_null(server);
}
