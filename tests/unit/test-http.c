/* SPDX-License-Identifier: MIT */
/* HTTPS on the loop, as far as it goes without a server; test-etsi014.c has one. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <time.h>

#include "common/http.h"

struct answer {
	struct http_client *client; /* freed from within the callback */
	unsigned count;
	int result;
	char reason[256];
};

static sd_event *event;

static void on_done(int result, long status, const struct secret *body, const char *reason,
		    void *userdata)
{
	struct answer *answer = userdata;

	answer->count++;
	answer->result = result;
	snprintf(answer->reason, sizeof(answer->reason), "%s", reason);
	cr_assert_null(body);
	answer->client = http_client_free(answer->client);
}

static struct http_client *client_new(uint64_t timeout_usec, const char *connect_to)
{
	const struct http_client_options options = {
		.ca_file = "/etc/ssl/certs/ca-certificates.crt",
		.certificate_file = "/nonexistent.crt",
		.key_file = "/nonexistent.key",
		.timeout_usec = timeout_usec,
		.connect_to = connect_to,
	};
	struct http_client *client = NULL;

	cr_assert_eq(http_client_new(event, &options, &client), 0);
	return client;
}

/* Listens and never says a word. */
static int silent_server(char ret_url[static 64])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(ret_url, 64, "https://127.0.0.1:%u/", ntohs(address.sin_port));
	return fd;
}

static void spin(const struct answer *answer, unsigned count)
{
	for (unsigned rounds = 0; answer->count < count && rounds < 100; rounds++)
		sd_event_run(event, 100 * USEC_PER_MSEC);
	cr_assert_eq(answer->count, count);
}

static void setup(void)
{
	cr_assert(sd_event_new(&event) >= 0);
}

static void teardown(void)
{
	sd_event_unref(event);
}

TestSuite(http, .init = setup, .fini = teardown, .timeout = 30);

Test(http, a_closed_port_is_refused_and_the_callback_may_free_the_client)
{
	struct answer answer = {.client = client_new(5 * USEC_PER_SEC, NULL)};
	char url[64];

	close(silent_server(url));
	cr_assert_eq(http_get(answer.client, url, on_done, &answer, NULL), 0);
	cr_assert_eq(answer.count, 0);
	spin(&answer, 1);
	cr_assert_eq(answer.result, -ECONNREFUSED, "%s", answer.reason);
	cr_assert(answer.reason[0]);
}

Test(http, an_own_certificate_that_cannot_be_read_is_told)
{
	struct answer answer = {.client = client_new(5 * USEC_PER_SEC, NULL)};
	char url[64];
	int fd = silent_server(url);

	cr_assert_eq(http_post_json(answer.client, url, "{}", on_done, &answer, NULL), 0);
	spin(&answer, 1);
	cr_assert_eq(answer.result, -EKEYREJECTED, "%s", answer.reason);
	close(fd);
}

Test(http, only_https_is_spoken)
{
	struct answer answer = {.client = client_new(5 * USEC_PER_SEC, NULL)};

	cr_assert_eq(http_get(answer.client, "http://127.0.0.1:1/", on_done, &answer, NULL), 0);
	spin(&answer, 1);
	cr_assert_eq(answer.result, -EBADMSG, "%s", answer.reason);
}

Test(http, a_request_ends_in_its_time)
{
	struct answer answer = {.client = client_new(200 * USEC_PER_MSEC, NULL)};
	char url[64];
	int fd = silent_server(url), full[16];

	/* A full backlog: the connection itself hangs. */
	cr_assert_eq(listen(fd, 0), 0);
	for (size_t i = 0; i < ELEMENTSOF(full); i++) {
		struct sockaddr_in address;
		socklen_t size = sizeof(address);

		getsockname(fd, (struct sockaddr *)&address, &size);
		full[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(full[i], (struct sockaddr *)&address, size);
	}
	cr_assert_eq(http_get(answer.client, url, on_done, &answer, NULL), 0);
	spin(&answer, 1);
	cr_assert_eq(answer.result, -ETIMEDOUT, "%s", answer.reason);
	for (size_t i = 0; i < ELEMENTSOF(full); i++)
		close(full[i]);
	close(fd);
}

Test(http, a_cancelled_request_is_never_heard_of)
{
	struct http_client *client = client_new(5 * USEC_PER_SEC, NULL);
	struct http_request *request = NULL;
	struct answer answer = {};
	char url[64];

	close(silent_server(url));
	cr_assert_eq(http_get(client, url, on_done, &answer, &request), 0);
	http_request_cancel(request);
	cr_assert_eq(http_get(client, url, on_done, &answer, &request), 0);
	sd_event_run(event, 100 * USEC_PER_MSEC);
	http_client_free(client);
	for (int i = 0; i < 3; i++)
		sd_event_run(event, 10 * USEC_PER_MSEC);
	cr_assert_eq(answer.count, 0);
	http_request_cancel(NULL);
}

Test(http, it_connects_where_it_is_told_to)
{
	char url[64];
	int fd = silent_server(url);
	struct answer answer = {};

	url[strlen(url) - 1] = '\0'; /* the slash */
	answer.client = client_new(5 * USEC_PER_SEC, url + strlen("https://"));
	cr_assert_eq(
		http_get(answer.client, "https://no.such.host.invalid/", on_done, &answer, NULL),
		0);
	spin(&answer, 1);
	/* It got as far as our certificate. */
	cr_assert_eq(answer.result, -EKEYREJECTED, "%s", answer.reason);
	close(fd);
}
