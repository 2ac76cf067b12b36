// SPDX-License-Identifier: MIT
/*
 * Measures GetNewKey through the bus against the two round trips that it cannot do without: an
 * empty D-Bus call to the same daemon through the same bus, and an empty message over TLS 1.3 with
 * the sites' certificates between the same two network namespaces, by bare OpenSSL. All three in
 * turn, so that whatever else the machine does meets them alike.
 *
 * Over a path of several hops the floor has as many round trips, one after the other, of the
 * smallest request (PingSite) over the connection of two neighbours; and for a key out of a stock,
 * the floor is one of a direct link. Run by tests/bench/bench-newkey and bench-multihop.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "common/macros.h"

#define MAX_COUNT   3000 /* reserved by one uid, and destroyed afterwards */
#define WARM_UP     20
#define FRAME_BYTES 6 /* an empty message of the site protocol: length and {} */

static double now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench-newkey: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static SSL_CTX *new_context(const SSL_METHOD *method, const char *directory, const char *site)
{
	SSL_CTX *context = SSL_CTX_new(method);
	char ca[256], certificate[256], key[256];

	snprintf(ca, sizeof(ca), "%s/ca.pem", directory);
	snprintf(certificate, sizeof(certificate), "%s/%s.pem", directory, site);
	snprintf(key, sizeof(key), "%s/%s.key", directory, site);
	if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
	    SSL_CTX_load_verify_file(context, ca) != 1 ||
	    SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		fail("TLS", directory);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return context;
}

static struct sockaddr_in address_of(const char *host, const char *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
	};

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		fail(host, "not an IPv4 address");
	return address;
}

static SSL *new_session(SSL_CTX *context, int fd)
{
	SSL *ssl = SSL_new(context);
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		fail("TLS", "no session");
	return ssl;
}

/* serve HOST PORT DIRECTORY SITE: sends back what comes, until the other side has gone. */
static int serve(char **words)
{
	struct sockaddr_in address = address_of(words[0], words[1]);
	SSL_CTX *context = new_context(TLS_server_method(), words[2], words[3]);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	char frame[FRAME_BYTES];
	SSL *ssl;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0)
		fail("listen", strerror(errno));
	printf("ready\n");
	fflush(stdout);
	ssl = new_session(context, accept(listener, NULL, NULL));
	if (SSL_accept(ssl) != 1)
		fail("accept", "TLS handshake");
	while (SSL_read(ssl, frame, sizeof(frame)) == FRAME_BYTES &&
	       SSL_write(ssl, frame, sizeof(frame)) == FRAME_BYTES)
		;
	return EXIT_SUCCESS;
}

static SSL *connect_to(char **words)
{
	struct sockaddr_in address = address_of(words[0], words[1]);
	SSL_CTX *context = new_context(TLS_client_method(), words[2], words[3]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl;

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("connect", strerror(errno));
	ssl = new_session(context, fd);
	if (SSL_connect(ssl) != 1)
		fail("connect", "TLS handshake");
	return ssl;
}

static double time_round_trip(SSL *ssl)
{
	char frame[FRAME_BYTES] = {0, 0, 0, 2, '{', '}'};
	double start = now_usec();

	if (SSL_write(ssl, frame, sizeof(frame)) != FRAME_BYTES ||
	    SSL_read(ssl, frame, sizeof(frame)) != FRAME_BYTES)
		fail("round trip", "connection lost");
	return now_usec() - start;
}

/* Without the call of this process to its daemon. */
static double time_ping(sd_bus *bus, const char *peer)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	uint64_t usec = 0;
	int r = sd_bus_call_method(bus, "org.qkd.Keyring1", "/org/qkd/Keyring1", "org.qkd.Keyring1",
				   "PingSite", &error, &reply, "s", peer);

	if (r >= 0)
		r = sd_bus_message_read(reply, "t", &usec);
	if (r < 0)
		fail("PingSite", error.message ? error.message : strerror(-r));
	return (double)usec;
}

static double time_empty_call(sd_bus *bus)
{
	double start = now_usec();
	int r = sd_bus_call_method(bus, "org.qkd.Keyring1", "/org/qkd/Keyring1",
				   "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL);

	if (r < 0)
		fail("Ping", strerror(-r));
	return now_usec() - start;
}

static double time_new_key(sd_bus *bus, const char *peer, sd_bus_message **ret_reply)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	double start = now_usec();
	int r = sd_bus_call_method(bus, "org.qkd.Keyring1", "/org/qkd/Keyring1", "org.qkd.Keyring1",
				   "GetNewKey", &error, ret_reply, "su", peer, 0);

	if (r < 0)
		fail("GetNewKey", error.message ? error.message : strerror(-r));
	return now_usec() - start;
}

static void destroy(sd_bus *bus, const char *peer, sd_bus_message *reply)
{
	const char *id;

	if (sd_bus_message_read(reply, "s", &id) > 0)
		sd_bus_call_method(bus, "org.qkd.Keyring1", "/org/qkd/Keyring1", "org.qkd.Keyring1",
				   "DestroyKey", NULL, NULL, "ss", peer, id);
	sd_bus_message_unref(reply);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_line(const char *name, double value, double call, double trip, const char *note)
{
	printf("{\"bench\":\"%s\",\"value\":%.1f,\"unit\":\"us\",\"floor\":%.1f,\"ratio\":%.2f,"
	       "\"note\":\"%s; floor: empty D-Bus call %.1f us + empty round trips %.1f us\"}\n",
	       name, value, call + trip, value / (call + trip), note, call, trip);
}

static void sort(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
}

static void report_path(double *keys, double *calls, double *trips, unsigned count, unsigned hops)
{
	unsigned median = count / 2, p99 = (count * 99 + 99) / 100 - 1;
	char name[32], note[64];

	snprintf(name, sizeof(name), "multihop-%u", hops);
	snprintf(note, sizeof(note), "GetNewKey over %u hops, median", hops);
	print_line(name, keys[median], calls[median], trips[median], note);
	snprintf(name, sizeof(name), "multihop-%u-p99", hops);
	print_line(name, keys[p99], calls[p99], trips[p99], "the same, 99th percentile");
}

static void report_link(double *keys, double *calls, double *trips, unsigned count)
{
	unsigned median = count / 2, p99 = (count * 99 + 99) / 100 - 1;

	print_line("newkey", keys[median], calls[median], trips[median],
		   "GetNewKey through the bus, median");
	print_line("newkey-p99", keys[p99], calls[p99], trips[p99], "the same, 99th percentile");
}

/* Where empty round trips go: over bare TLS, or (hops > 0) to a neighbour's daemon. */
struct floor {
	SSL *ssl;
	const char *neighbour;
	unsigned hops;
};

static double time_trips(sd_bus *bus, const struct floor *floor)
{
	double sum = 0;

	if (floor->hops == 0)
		return time_round_trip(floor->ssl);
	for (unsigned i = 0; i < floor->hops; i++)
		sum += time_ping(bus, floor->neighbour);
	return sum;
}

static int run(unsigned count, const char *peer, const struct floor *floor)
{
	static double keys[MAX_COUNT], calls[MAX_COUNT], trips[MAX_COUNT];
	static sd_bus_message *replies[WARM_UP + MAX_COUNT];
	sd_bus *bus;
	int r = sd_bus_open_system(&bus);

	if (count == 0 || count > MAX_COUNT)
		fail("count", "not 1 to 3000");
	if (r < 0)
		fail("bus", strerror(-r));
	for (unsigned i = 0; i < WARM_UP + count; i++) {
		unsigned at = i < WARM_UP ? 0 : i - WARM_UP;

		keys[at] = time_new_key(bus, peer, &replies[i]);
		calls[at] = time_empty_call(bus);
		trips[at] = time_trips(bus, floor);
	}
	sort(keys, count);
	sort(calls, count);
	sort(trips, count);
	if (floor->hops > 0)
		report_path(keys, calls, trips, count, floor->hops);
	else
		report_link(keys, calls, trips, count);
	for (unsigned i = 0; i < WARM_UP + count; i++)
		destroy(bus, peer, replies[i]);
	sd_bus_flush_close_unref(bus);
	return EXIT_SUCCESS;
}

static double time_and_destroy(sd_bus *bus, const char *peer)
{
	sd_bus_message *reply;
	double usec = time_new_key(bus, peer, &reply);

	destroy(bus, peer, reply);
	return usec;
}

/* Whichever comes second finds its way warm, so they change places. */
static int run_stock(unsigned count, const char *peer, const char *direct)
{
	static double keys[MAX_COUNT], direct_keys[MAX_COUNT];
	sd_bus *bus;
	int r = sd_bus_open_system(&bus);

	if (count == 0 || count > MAX_COUNT)
		fail("count", "not 1 to 3000");
	if (r < 0)
		fail("bus", strerror(-r));
	for (unsigned i = 0; i < WARM_UP + count; i++) {
		unsigned at = i < WARM_UP ? 0 : i - WARM_UP;

		if (i % 2 == 0)
			keys[at] = time_and_destroy(bus, peer);
		direct_keys[at] = time_and_destroy(bus, direct);
		if (i % 2 == 1)
			keys[at] = time_and_destroy(bus, peer);
	}
	sort(keys, count);
	sort(direct_keys, count);
	printf("{\"bench\":\"multihop-stock\",\"value\":%.1f,\"unit\":\"us\",\"floor\":%.1f,"
	       "\"ratio\":%.2f,\"note\":\"GetNewKey of a key in stock, median; floor: of a direct "
	       "link, in turn\"}\n",
	       keys[count / 2], direct_keys[count / 2], keys[count / 2] / direct_keys[count / 2]);
	sd_bus_flush_close_unref(bus);
	return EXIT_SUCCESS;
}

static unsigned number_of(const char *word)
{
	return (unsigned)strtoul(word, NULL, 10);
}

int main(int argc, char **argv)
{
	if (argc == 6 && str_equal(argv[1], "serve"))
		return serve(argv + 2);
	if (argc == 8 && str_equal(argv[1], "link"))
		return run(number_of(argv[2]), argv[3],
			   &(struct floor){.ssl = connect_to(argv + 4)});
	if (argc == 6 && str_equal(argv[1], "path"))
		return run(number_of(argv[2]), argv[3],
			   &(struct floor){.neighbour = argv[4], .hops = number_of(argv[5])});
	if (argc == 5 && str_equal(argv[1], "stock"))
		return run_stock(number_of(argv[2]), argv[3], argv[4]);
	fprintf(stderr, "Usage: bench-newkey serve HOST PORT DIRECTORY SITE\n"
			"       bench-newkey link COUNT PEER HOST PORT DIRECTORY SITE\n"
			"       bench-newkey path COUNT PEER NEIGHBOUR HOPS\n"
			"       bench-newkey stock COUNT PEER DIRECT\n");
	return 2;
}
