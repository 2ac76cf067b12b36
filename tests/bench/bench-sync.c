// SPDX-License-Identifier: MIT
/*
 * The bare loops that tests/bench/bench-sync compares two linkd with, and the consumer that it lets
 * take keys. What the loops write and send is fixed: the least that the design asks for a key.
 *
 *   disk DIRECTORY SECONDS    journal and key files of two sites, each by a process of its own
 *   tls SECONDS               the leader's messages from one process to another
 *   latency DIRECTORY         the syncs of one transaction, one after the other
 *   take SITE PEER SECONDS    takes every key from the pool, as user of the site
 *
 * disk and tls print "KEYS-A-SECOND CPU-SECONDS-FOR-A-MILLION-KEYS", latency prints milliseconds,
 * take prints "MICROSECONDS ID" (monotonic clock) for each key.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/channel-internal.h"
#include "common/pool.h"
#include "tests/unit/support/test-channels.h"

#define KEY_BYTES     32
#define ID_BYTES      16
#define LINE_BYTES    65
#define ID_LINE_BYTES 37
#define MESSAGE_BYTES 24 /* an id in base64, and its share of SYN, SYN_ACK, ACK and DONE */

#define GROUP_BYTES    (256u << 10)
#define JOURNAL_BYTES  (16u << 20) /* then it begins anew */
#define STEP_KEYS      64
#define RECORD_BYTES   (16u << 10) /* of TLS */
#define LATENCY_ROUNDS 200
#define POLL_USEC      500

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "bench-sync: %s: %s\n", what, strerror(errno));
	_exit(EXIT_FAILURE);
}

static double now_sec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_rate(double keys_per_sec, double keys)
{
	struct rusage ours, theirs;
	double cpu = 0;

	must(getrusage(RUSAGE_SELF, &ours) == 0 && getrusage(RUSAGE_CHILDREN, &theirs) == 0,
	     "getrusage");
	for (const struct rusage *u = &ours; u; u = u == &ours ? &theirs : NULL)
		cpu += (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
		       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
	printf("%.0f %.3f\n", keys_per_sec, cpu / keys * 1e6);
}

/* One file that bytes are appended to, synced in groups. */
struct stream {
	int fd;
	size_t bytes_per_key;
	uint64_t limit; /* where it begins anew */
	uint64_t offset, pending;
};

static char group[GROUP_BYTES];

static void open_stream(struct stream *stream, const char *directory, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	stream->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(stream->fd >= 0, path);
	unlink(path);
}

static void write_synced(struct stream *stream, size_t size_bytes)
{
	if (stream->offset + size_bytes > stream->limit)
		stream->offset = 0;
	must(pwrite(stream->fd, group, size_bytes, (off_t)stream->offset) == (ssize_t)size_bytes,
	     "write");
	must(fdatasync(stream->fd) == 0, "fdatasync");
	stream->offset += size_bytes;
}

enum {
	JOURNAL,
	LINES,
	IDS,
	STREAMS,
};

static void open_streams(const char *directory, const char *site,
			 struct stream ret_streams[static STREAMS])
{
	static const char *const names[STREAMS] = {"journal", "lines", "ids"};
	char name[64];

	ret_streams[JOURNAL] =
		(struct stream){.bytes_per_key = ID_BYTES + KEY_BYTES, .limit = JOURNAL_BYTES};
	ret_streams[LINES] = (struct stream){.bytes_per_key = LINE_BYTES, .limit = UINT64_MAX};
	ret_streams[IDS] = (struct stream){.bytes_per_key = ID_LINE_BYTES, .limit = UINT64_MAX};
	for (size_t i = 0; i < STREAMS; i++) {
		snprintf(name, sizeof(name), "bench-%s-%s", site, names[i]);
		open_stream(&ret_streams[i], directory, name);
	}
}

/* One site's disk; tells how many keys it has done. */
static void write_site(const char *directory, const char *site, double seconds, int result_fd)
{
	struct stream streams[STREAMS];
	double end = now_sec() + seconds;
	uint64_t keys = 0;

	open_streams(directory, site, streams);
	while (now_sec() < end) {
		keys += STEP_KEYS;
		for (size_t i = 0; i < STREAMS; i++) {
			streams[i].pending += STEP_KEYS * streams[i].bytes_per_key;
			if (streams[i].pending < GROUP_BYTES)
				continue;
			streams[i].pending -= GROUP_BYTES;
			write_synced(&streams[i], GROUP_BYTES);
		}
	}
	must(write(result_fd, &keys, sizeof(keys)) == sizeof(keys), "telling the result");
	_exit(EXIT_SUCCESS);
}

static int bench_disk(const char *directory, double seconds)
{
	static const char *const sites[] = {"alice", "bob"};
	uint64_t keys, fewest = UINT64_MAX;
	double start = now_sec();
	int ends[2];

	must(pipe(ends) == 0, "pipe");
	for (size_t i = 0; i < ELEMENTSOF(sites); i++) {
		pid_t child = fork();

		must(child >= 0, "fork");
		if (child == 0)
			write_site(directory, sites[i], seconds, ends[1]);
	}
	for (size_t i = 0; i < ELEMENTSOF(sites); i++) {
		must(read(ends[0], &keys, sizeof(keys)) == sizeof(keys), "a site");
		fewest = MIN(fewest, keys);
	}
	while (wait(NULL) > 0)
		;
	print_rate((double)fewest / (now_sec() - start), (double)fewest);
	return EXIT_SUCCESS;
}

/* TLS */

static SSL *bare_session(struct channel_identity *identity, enum channel_role role, int fd)
{
	struct channel_tls tls;
	char reason[CHANNEL_REASON_CHARS];
	uint32_t events;

	must(channel_tls_init(&tls, identity, role, fd, NULL) == 0, "TLS");
	SSL_set_fd(tls.ssl, fd); /* OpenSSL's own socket BIO */
	must(channel_tls_handshake(&tls, &events, reason) == 0, "the handshake");
	return tls.ssl;
}

static void receive_all(struct channel_identity *identity, int listening_fd)
{
	int fd = accept(listening_fd, NULL, NULL);
	SSL *ssl = bare_session(identity, CHANNEL_ACCEPTS, fd);

	while (SSL_read(ssl, group, RECORD_BYTES) > 0)
		;
	_exit(EXIT_SUCCESS);
}

static uint64_t send_for(struct channel_identity *identity, const struct sockaddr_in *address,
			 double seconds)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	double end = now_sec() + seconds;
	uint64_t sent = 0;
	SSL *ssl;

	must(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0, "connecting");
	ssl = bare_session(identity, CHANNEL_CONNECTS, fd);
	while (now_sec() < end) {
		must(SSL_write(ssl, group, RECORD_BYTES) == RECORD_BYTES, "sending");
		sent += RECORD_BYTES;
	}
	SSL_free(ssl);
	close(fd);
	return sent;
}

static int bench_tls(double seconds)
{
	static struct test_channels pair; /* its certificates */
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listening_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	double keys;
	pid_t child;

	test_channels_init(&pair);
	must(bind(listening_fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		     listen(listening_fd, 1) == 0 &&
		     getsockname(listening_fd, (struct sockaddr *)&address, &size) == 0,
	     "listening");
	child = fork();
	must(child >= 0, "fork");
	if (child == 0)
		receive_all(pair.alice_identity, listening_fd);
	keys = (double)send_for(pair.bob_identity, &address, seconds) / MESSAGE_BYTES;
	must(waitpid(child, NULL, 0) == child, "the receiver");
	test_channels_done(&pair);
	print_rate(keys / seconds, keys);
	return EXIT_SUCCESS;
}

/* Latency: design section 5, one transaction of STEP_KEYS keys, without the network. */

static double transaction_msec(struct stream leader[static STREAMS],
			       struct stream follower[static STREAMS])
{
	double start = now_sec();

	write_synced(&leader[JOURNAL], STEP_KEYS * (ID_BYTES + KEY_BYTES)); /* PREPARED */
	write_synced(&follower[JOURNAL], STEP_KEYS * (ID_BYTES + KEY_BYTES));
	write_synced(&leader[JOURNAL], KEY_BYTES); /* COMMIT */
	for (struct stream *site = follower; site; site = site == follower ? leader : NULL) {
		write_synced(&site[LINES], STEP_KEYS * LINE_BYTES);
		write_synced(&site[IDS], STEP_KEYS * ID_LINE_BYTES);
		write_synced(&site[JOURNAL], KEY_BYTES); /* APPLIED */
	}
	return (now_sec() - start) * 1e3;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int bench_latency(const char *directory)
{
	struct stream leader[STREAMS], follower[STREAMS];
	double msec[LATENCY_ROUNDS];

	open_streams(directory, "alice", leader);
	open_streams(directory, "bob", follower);
	for (size_t i = 0; i < LATENCY_ROUNDS; i++)
		msec[i] = transaction_msec(leader, follower);
	qsort(msec, LATENCY_ROUNDS, sizeof(msec[0]), compare);
	printf("%.3f\n", msec[LATENCY_ROUNDS / 2]);
	return EXIT_SUCCESS;
}

/* A consumer */

struct consumer {
	struct pool *pool;
	const char *peer;
	double seen_sec; /* when the pool was looked at */
	struct uuid ids[POOL_RING_MAX_LINKS];
	size_t count;
};

static int note_key(const char *peer, const struct uuid *id, void *userdata)
{
	struct consumer *consumer = userdata;

	if (str_equal(peer, consumer->peer) && consumer->count < ELEMENTSOF(consumer->ids))
		consumer->ids[consumer->count++] = *id;
	return 0;
}

static void take_all(struct consumer *consumer)
{
	consumer->count = 0;
	consumer->seen_sec = now_sec();
	must(pool_foreach(consumer->pool, note_key, consumer) >= 0, "the pool");
	for (size_t i = 0; i < consumer->count; i++) {
		_cleanup_(secret_freep) struct secret *key = NULL;
		char id[UUID_CHARS + 1];

		if (pool_take(consumer->pool, consumer->peer, &consumer->ids[i], &key) < 0)
			continue;
		uuid_format(&consumer->ids[i], id);
		printf("%.0f %s\n", consumer->seen_sec * 1e6, id);
	}
	must(pool_unlink_wiped(consumer->pool, true) >= 0, "the pool");
}

static int bench_take(const char *site, const char *peer, double seconds)
{
	static struct consumer consumer;
	double end = now_sec() + seconds;
	int r = pool_open(site, &consumer.pool);
	size_t size;

	errno = -r;
	must(r >= 0, "the pool");
	consumer.peer = peer;
	while (now_sec() < end) {
		must(key_size(pool_ring(consumer.pool), &size) >= 0, "the pool");
		if (size > 0)
			take_all(&consumer);
		usleep(POLL_USEC);
	}
	pool_free(consumer.pool);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	must(secret_harden_process() >= 0, "secret memory"); /* as the daemons do */
	for (size_t i = 0; i < sizeof(group); i++)
		group[i] = (char)(i * 31 % 251);
	if (str_equal(command, "disk") && argc == 4)
		return bench_disk(argv[2], atof(argv[3]));
	if (str_equal(command, "tls") && argc == 3)
		return bench_tls(atof(argv[2]));
	if (str_equal(command, "latency") && argc == 3)
		return bench_latency(argv[2]);
	if (str_equal(command, "take") && argc == 5)
		return bench_take(argv[2], argv[3], atof(argv[4]));
	fprintf(stderr, "usage: see the first lines of tests/bench/bench-sync.c\n");
	return 2;
}
