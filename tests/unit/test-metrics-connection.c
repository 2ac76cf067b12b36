/* SPDX-License-Identifier: MIT */
/* One connection: heads in pieces, peers that dawdle or leave, an answer that arrives whole. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "keyring-helpers/qkd-metrics/metrics-connection.h"

static int ours, theirs;

static void set_up(void)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ours = fds[0];
	theirs = fds[1];
}

static void tear_down(void)
{
	close(ours);
	close(theirs);
}

TestSuite(metrics_connection, .init = set_up, .fini = tear_down, .timeout = 20);

static void put(const char *text)
{
	cr_assert_eq(write(theirs, text, strlen(text)), (ssize_t)strlen(text));
}

static void *put_slowly(void *text)
{
	for (const char *p = text; *p; p++) {
		(void)!write(theirs, p, 1);
		usleep(2000);
	}
	return NULL;
}

Test(metrics_connection, a_head_may_come_in_pieces)
{
	static char head[] = "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	bool head_only = false;
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, put_slowly, head), 0);
	cr_assert_eq(metrics_connection_receive(ours, &head_only), 200);
	cr_assert(head_only);
	pthread_join(thread, NULL);
}

Test(metrics_connection, who_says_nothing_is_told_so_after_a_while)
{
	bool head_only = false;

	put("GET /metrics HTTP/1.1\r\n");
	cr_assert_eq(metrics_connection_receive(ours, &head_only), 408);
}

Test(metrics_connection, who_leaves_gets_no_answer)
{
	bool head_only = false;

	put("GET /metrics HTTP/1.1\r\n");
	shutdown(theirs, SHUT_WR);
	cr_assert_eq(metrics_connection_receive(ours, &head_only), -ECONNRESET);
}

Test(metrics_connection, a_head_without_end_is_refused_at_its_limit)
{
	static char bytes[METRICS_REQUEST_MAX_BYTES + 1];
	bool head_only = false;

	memset(bytes, 'x', sizeof(bytes) - 1);
	put(bytes);
	cr_assert_eq(metrics_connection_receive(ours, &head_only), 431);
}

static char received[1u << 20];
static size_t received_size;

static void *take(void *unused)
{
	for (ssize_t n = 1; n > 0; received_size += (size_t)MAX(n, (ssize_t)0))
		n = read(theirs, received + received_size, sizeof(received) - 1 - received_size);
	shutdown(theirs, SHUT_WR);
	return NULL;
}

static int answer_to_reader(const struct metrics_answer *answer)
{
	pthread_t thread;
	int r;

	cr_assert_eq(pthread_create(&thread, NULL, take, NULL), 0);
	r = metrics_connection_answer(ours, answer);
	pthread_join(thread, NULL);
	return r;
}

Test(metrics_connection, an_answer_arrives_whole_and_ends_the_connection)
{
	static char body[500000];
	const struct metrics_answer answer = {.status = METRICS_STATUS_OK,
					      .content_type = "text/x",
					      .body = body,
					      .size_bytes = sizeof(body)};
	const char *end;

	memset(body, 'b', sizeof(body));
	cr_assert_eq(answer_to_reader(&answer), 0);
	cr_assert_eq(strncmp(received, "HTTP/1.1 200 OK\r\n", 17), 0);
	cr_assert_not_null(strstr(received, "\r\nContent-Type: text/x\r\n"));
	cr_assert_not_null(strstr(received, "\r\nContent-Length: 500000\r\n"));
	cr_assert_not_null(strstr(received, "\r\nConnection: close\r\n"));
	end = strstr(received, "\r\n\r\n");
	cr_assert_not_null(end);
	cr_assert_eq(received_size - (size_t)(end + 4 - received), sizeof(body));
}

Test(metrics_connection, a_head_request_gets_the_length_and_no_body)
{
	const struct metrics_answer answer = {.status = METRICS_STATUS_METHOD_NOT_ALLOWED,
					      .content_type = "text/x",
					      .body = "body",
					      .size_bytes = 4,
					      .head_only = true};

	cr_assert_eq(answer_to_reader(&answer), 0);
	cr_assert_not_null(strstr(received, "\r\nContent-Length: 4\r\n"));
	cr_assert_not_null(strstr(received, "\r\nAllow: GET, HEAD\r\n"));
	cr_assert_str_eq(received + received_size - 4, "\r\n\r\n");
}

Test(metrics_connection, who_does_not_read_is_left)
{
	static char body[8u << 20];
	const struct metrics_answer answer = {.status = METRICS_STATUS_OK,
					      .content_type = "text/x",
					      .body = body,
					      .size_bytes = sizeof(body)};

	cr_assert_eq(metrics_connection_answer(ours, &answer), -ETIMEDOUT);
}
