/* SPDX-License-Identifier: MIT */
/*
 * Numbered UDP packets at a steady rate, and who of them arrived; runs inside a machine, where an
 * interpreter would be too slow.
 *
 *	traffic send FROM TO RATE COUNT
 *		{"sent": COUNT, "seconds": SECONDS}
 *	traffic receive AT
 *		{"received": COUNT, "missing": COUNT, "arrivals": [TIME...]}
 *
 * Every packet begins with MARK, so that one in clear is found in a capture. A packet that the
 * kernel refuses counts as sent and will be missing. A sender ends early when END is there; a
 * receiver ends then, when nothing has come for 2 s. Arrivals are seconds since 1970, one for each
 * tenth that had any.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK          "in-clear-"
#define END           "/run/traffic-end"
#define END_EVERY     20 /* packets */
#define PORT          4711
#define PACKET_BYTES  100
#define BUFFER_BYTES  (1 << 22)
#define NUMBER_MAX    (1 << 20)
#define ARRIVALS_MAX  (1 << 15)
#define USEC_PER_SEC  1000000L
#define ARRIVAL_USEC  (USEC_PER_SEC / 10)
#define NSEC_PER_USEC 1000L

static char seen[NUMBER_MAX];
static long arrivals[ARRIVALS_MAX];

static long now_usec(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * USEC_PER_SEC + time.tv_nsec / NSEC_PER_USEC;
}

/* Of either family; the kernel takes no offence at bytes after the shorter one. */
union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union address address(const char *text, int port)
{
	union address v4 = {.v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
	union address v6 = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};

	if (inet_pton(AF_INET, text, &v4.v4.sin_addr) == 1)
		return v4;
	if (inet_pton(AF_INET6, text, &v6.v6.sin6_addr) == 1)
		return v6;
	fprintf(stderr, "traffic: %s is no address\n", text);
	exit(2);
}

static int bound(const char *text, int port)
{
	union address at = address(text, port);
	int fd = socket(at.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, &at.any, sizeof at) < 0) {
		perror("traffic: bind");
		exit(1);
	}
	return fd;
}

static int send_all(const char *from, const char *to, long rate, long count)
{
	union address target = address(to, PORT);
	long started = now_usec(CLOCK_MONOTONIC), i;
	char packet[PACKET_BYTES] = {0};
	int fd = bound(from, 0);

	for (i = 0; i < count && (i % END_EVERY || access(END, F_OK) < 0); i++) {
		long due = started + i * USEC_PER_SEC / rate;
		struct timespec until = {due / USEC_PER_SEC, due % USEC_PER_SEC * NSEC_PER_USEC};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		snprintf(packet, sizeof packet, MARK "%010ld", i);
		(void)sendto(fd, packet, sizeof packet, 0, &target.any, sizeof target);
	}
	printf("{\"sent\": %ld, \"seconds\": %.2f}\n", i,
	       (double)(now_usec(CLOCK_MONOTONIC) - started) / USEC_PER_SEC);
	return 0;
}

/* The number of packet, -1 if it is not one of ours. */
static long number(const char *packet, ssize_t length)
{
	long i;

	if (length != PACKET_BYTES || memcmp(packet, MARK, strlen(MARK)) != 0)
		return -1;
	i = strtol(packet + strlen(MARK), NULL, 10);
	return i >= 0 && i < NUMBER_MAX ? i : -1;
}

static void tell(long received, long end, size_t times)
{
	printf("{\"received\": %ld, \"missing\": %ld, \"arrivals\": [", received, end - received);
	for (size_t i = 0; i < times; i++)
		printf("%s%.1f", i ? ", " : "", (double)arrivals[i] / USEC_PER_SEC * ARRIVAL_USEC);
	printf("]}\n");
}

static int receive_all(const char *at)
{
	const struct timeval silence = {.tv_sec = 2};
	const int buffer_bytes = BUFFER_BYTES;
	char packet[2 * PACKET_BYTES];
	long received = 0, end = 0;
	int fd = bound(at, PORT);
	size_t times = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
	for (;;) {
		ssize_t length = recv(fd, packet, sizeof packet, 0);
		long i, tenth = now_usec(CLOCK_REALTIME) / ARRIVAL_USEC;

		if (length < 0 && errno == EAGAIN && access(END, F_OK) == 0)
			break;
		i = number(packet, length);
		if (i < 0 || seen[i])
			continue;
		seen[i] = 1;
		received++;
		end = i >= end ? i + 1 : end;
		if (times < ARRIVALS_MAX && (times == 0 || arrivals[times - 1] != tenth))
			arrivals[times++] = tenth;
	}
	tell(received, end, times);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "send") == 0)
		return send_all(argv[2], argv[3], atol(argv[4]), atol(argv[5]));
	if (argc == 3 && strcmp(argv[1], "receive") == 0)
		return receive_all(argv[2]);
	fprintf(stderr, "usage: traffic send FROM TO RATE COUNT | receive AT\n");
	return 2;
}
