/* SPDX-License-Identifier: MIT */
/* Waits with poll(2) and never within read or write: a peer that dawdles is left at its limit. */

#include "metrics-connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#define HEAD_MAX_CHARS 512

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static int wait_for(int fd, short events, uint64_t end_usec)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	uint64_t now = now_usec();
	int r = 0;

	if (now < end_usec)
		r = poll(&poll_fd, 1, (int)((end_usec - now) / USEC_PER_MSEC) + 1);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r > 0 ? 0 : -ETIMEDOUT;
}

/* 0 at the peer's end, else how many. */
static ssize_t receive(int fd, char *bytes, size_t size_bytes, uint64_t end_usec)
{
	for (;;) {
		ssize_t n = recv(fd, bytes, size_bytes, MSG_DONTWAIT);
		int r;

		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for(fd, POLLIN, end_usec);
		if (r < 0)
			return r;
	}
}

int metrics_connection_receive(int fd, bool *ret_head_only)
{
	uint64_t end_usec = now_usec() + METRICS_CONNECTION_READ_USEC;
	char head[METRICS_REQUEST_MAX_BYTES];
	size_t size = 0;
	int status = 0;

	while (status == 0) {
		ssize_t n = receive(fd, head + size, sizeof(head) - size, end_usec);

		if (n == -ETIMEDOUT)
			return METRICS_STATUS_TIMEOUT;
		if (n <= 0)
			return n < 0 ? (int)n : -ECONNRESET;
		size += (size_t)n;
		status = metrics_request_verify(head, size, ret_head_only);
	}
	return status;
}

static int send_all(int fd, const char *bytes, size_t size_bytes, uint64_t end_usec)
{
	while (size_bytes > 0) {
		ssize_t n = send(fd, bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			bytes += n;
			size_bytes -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for(fd, POLLOUT, end_usec);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What has come and was not read would reset the connection before the answer has arrived. */
static void drain(int fd)
{
	uint64_t end_usec = now_usec() + METRICS_CONNECTION_DRAIN_USEC;
	char bytes[4096];

	shutdown(fd, SHUT_WR);
	while (now_usec() < end_usec && receive(fd, bytes, sizeof(bytes), end_usec) > 0)
		;
}

int metrics_connection_answer(int fd, const struct metrics_answer *answer)
{
	uint64_t end_usec = now_usec() + METRICS_CONNECTION_WRITE_USEC;
	char head[HEAD_MAX_CHARS];
	int n = snprintf(
		head, sizeof(head),
		"HTTP/1.1 %d %s\r\n"
		"Content-Type: %s\r\n"
		"Content-Length: %zu\r\n"
		"%s"
		"X-Content-Type-Options: nosniff\r\n"
		"Connection: close\r\n\r\n",
		answer->status, metrics_status_reason(answer->status), answer->content_type,
		answer->size_bytes,
		answer->status == METRICS_STATUS_METHOD_NOT_ALLOWED ? "Allow: GET, HEAD\r\n" : "");
	int r = send_all(fd, head, (size_t)n, end_usec);

	if (r >= 0 && !answer->head_only)
		r = send_all(fd, answer->body, answer->size_bytes, end_usec);
	if (r >= 0)
		drain(fd);
	return r;
}
