// SPDX-License-Identifier: MIT
/*
 * The cost of a round trip over a channel: an empty message to another process on loopback and
 * back. Floor: the same bytes in a bare blocking OpenSSL loop, with the same certificates and
 * options.
 */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/channel-internal.h"
#include "tests/unit/support/test-channels.h"

#define ROUNDS      4000
#define WARM_UP     500
#define REPETITIONS 5
#define FRAME_BYTES (FRAME_HEADER_BYTES + 2) /* {} */

struct setting {
	struct test_channels pair; /* its certificates */
	double usec[ROUNDS];
};

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "bench-channel: %s failed\n", what);
	_exit(1);
}

static double now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* The floor: SSL_read, SSL_write, nothing else. */

static SSL *bare_session(struct channel_identity *identity, enum channel_role role, int fd)
{
	struct channel_tls tls;
	char reason[CHANNEL_REASON_CHARS];
	const int one = 1;
	uint32_t events;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	must(channel_tls_init(&tls, identity, role, fd, NULL) == 0, "TLS");
	SSL_set_fd(tls.ssl, fd); /* OpenSSL's own socket BIO */
	must(channel_tls_handshake(&tls, &events, reason) == 0, "the handshake");
	return tls.ssl;
}

static void bare_echo(struct setting *setting, int listening_fd)
{
	int fd = accept(listening_fd, NULL, NULL);
	SSL *ssl = bare_session(setting->pair.alice_identity, CHANNEL_ACCEPTS, fd);
	char frame[FRAME_BYTES];

	while (SSL_read(ssl, frame, sizeof(frame)) == sizeof(frame))
		must(SSL_write(ssl, frame, sizeof(frame)) == sizeof(frame), "writing");
	_exit(0);
}

static void bare_ping(struct setting *setting, const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char frame[FRAME_BYTES] = "\0\0\0\2{}";
	SSL *ssl;

	must(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0, "connecting");
	ssl = bare_session(setting->pair.bob_identity, CHANNEL_CONNECTS, fd);
	for (int i = -WARM_UP; i < ROUNDS; i++) {
		double start = now_usec();

		must(SSL_write(ssl, frame, sizeof(frame)) == sizeof(frame), "writing");
		must(SSL_read(ssl, frame, sizeof(frame)) == sizeof(frame), "reading");
		if (i >= 0)
			setting->usec[i] = now_usec() - start;
	}
	SSL_free(ssl);
	close(fd);
}

static double measure_floor(struct setting *setting)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listening_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t child;

	must(bind(listening_fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		     listen(listening_fd, 1) == 0 &&
		     getsockname(listening_fd, (struct sockaddr *)&address, &size) == 0,
	     "listening");
	child = fork();
	must(child >= 0, "fork");
	if (child == 0)
		bare_echo(setting, listening_fd);
	close(listening_fd);
	bare_ping(setting, &address);
	waitpid(child, NULL, 0);
	return median(setting->usec, ROUNDS);
}

/* The channel: what a site pays for an empty question to another site. */

static void echo(struct test_end *end, json_t *message)
{
	must(channel_send(end->channel, message) == 0, "answering");
}

static void serve(struct setting *setting, int port_fd)
{
	struct test_channels *pair = &setting->pair;
	uint16_t port;

	must(sd_event_new(&pair->event) >= 0, "sd_event_new"); /* none survives a fork */
	test_channels_serve(pair);
	pair->alice.on_message = echo;
	port = channel_server_port(pair->server);
	must(write(port_fd, &port, sizeof(port)) == sizeof(port), "telling the port");
	while (!pair->alice.is_closed)
		sd_event_run(pair->event, UINT64_MAX);
	_exit(0);
}

static struct setting *pinging;
static json_t *empty;
static int round_number;
static double round_start;

static void ping(struct test_end *end)
{
	round_start = now_usec();
	must(channel_send(end->channel, empty) == 0, "asking");
}

static void on_pong(struct test_end *end, json_t *message)
{
	if (round_number >= 0)
		pinging->usec[round_number] = now_usec() - round_start;
	if (++round_number < ROUNDS)
		ping(end);
}

static double measure_channel(struct setting *setting)
{
	struct test_channels *pair = &setting->pair;
	uint16_t port;
	int ends[2];
	pid_t child;

	must(pipe(ends) == 0, "pipe");
	child = fork();
	must(child >= 0, "fork");
	if (child == 0)
		serve(setting, ends[1]);
	must(read(ends[0], &port, sizeof(port)) == sizeof(port), "the server");
	close(ends[0]);
	close(ends[1]);
	must(sd_event_new(&pair->event) >= 0, "sd_event_new");
	test_channels_dial(pair, port);
	must(TEST_RUN_UNTIL(pair->event, pair->bob.channel, 5 * USEC_PER_SEC), "connecting");
	pair->bob.on_message = on_pong;
	pinging = setting;
	round_number = -WARM_UP;
	ping(&pair->bob);
	while (round_number < ROUNDS && !pair->bob.is_closed)
		sd_event_run(pair->event, UINT64_MAX);
	must(round_number == ROUNDS, "the connection");
	pair->bob.channel = channel_free(pair->bob.channel);
	pair->client = channel_client_free(pair->client);
	pair->event = sd_event_unref(pair->event);
	waitpid(child, NULL, 0);
	return median(setting->usec, ROUNDS);
}

int main(void)
{
	static struct setting setting;
	double floors[REPETITIONS], values[REPETITIONS];

	signal(SIGPIPE, SIG_IGN);
	must(secret_harden_process() >= 0, "secret memory"); /* as the daemons do */
	empty = json_object();
	test_channels_init(&setting.pair);
	setting.pair.event = sd_event_unref(setting.pair.event);
	/* In turn, so that a change of the machine's clock or load meets both. */
	for (int i = 0; i < REPETITIONS; i++) {
		floors[i] = measure_floor(&setting);
		values[i] = measure_channel(&setting);
	}
	qsort(floors, REPETITIONS, sizeof(floors[0]), compare);
	qsort(values, REPETITIONS, sizeof(values[0]), compare);
	test_channels_done(&setting.pair);
	json_decref(empty);
	printf("{\"bench\":\"channel\",\"value\":%.2f,\"unit\":\"us\",\"floor\":%.2f,\"ratio\":%.3f,"
	       "\"note\":\"median empty round trip between two processes on loopback, best of 5; floor: bare "
	       "blocking OpenSSL\"}\n",
	       values[0], floors[0], values[0] / floors[0]);
	return 0;
}
