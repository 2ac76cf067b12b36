// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>
#include <netinet/in.h>
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

TestSuite(channel_tls, .init = serve, .fini = end, .timeout = 60);

#define RUN_UNTIL(condition) cr_assert(TEST_RUN_UNTIL(pair.event, condition, 5 * USEC_PER_SEC))

/* A client that is not ours: context says what it presents and offers. It accepts any server. */
static void connect_foreign(SSL_CTX *context)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				      .sin_port = htons(channel_server_port(pair.server))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	SSL *ssl = SSL_new(context);
	char byte;

	cr_assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
		  errno == EINPROGRESS);
	SSL_set_fd(ssl, fd);
	SSL_set_connect_state(ssl);
	RUN_UNTIL((SSL_read(ssl, &byte, 1), pair.refused_count || pair.accepted_count));
	SSL_free(ssl);
	close(fd);
}

static void expect_refusal(const char *part)
{
	cr_expect_eq(pair.accepted_count, 0u);
	cr_expect_eq(pair.refused_count, 1u);
	cr_expect(strstr(pair.refused_reason, part), "told: %s", pair.refused_reason);
}

/* Our client with this identity, until it or the server has decided. */
static void dial_as(struct channel_identity *identity)
{
	channel_identity_unref(pair.bob_identity);
	pair.bob_identity = identity;
	test_channels_dial(&pair, channel_server_port(pair.server));
	RUN_UNTIL(pair.failed_count || pair.bob.channel);
}

static void issue_and_dial(const char *file, const char *const *common_names)
{
	test_ca_issue_names(pair.ca, file, common_names);
	dial_as(test_ca_identity(pair.ca, file, pair.ca));
}

Test(channel_tls, a_client_of_another_authority_is_refused)
{
	_cleanup_(test_ca_freep) struct test_ca *other = test_ca_new(pair.directory, "other");

	test_ca_issue(other, "mallory");
	dial_as(test_ca_identity(other, "mallory", pair.ca));
	RUN_UNTIL(pair.refused_count);
	expect_refusal("the peer's certificate is refused: ");
	cr_expect(strstr(pair.failed_reason, "the peer does not accept our certificate: "), "%s",
		  pair.failed_reason);
	cr_expect_null(pair.bob.channel);
}

Test(channel_tls, a_server_of_another_authority_is_refused)
{
	_cleanup_(test_ca_freep) struct test_ca *other = test_ca_new(pair.directory, "other");

	dial_as(test_ca_identity(pair.ca, "bob", other));
	cr_expect(strstr(pair.failed_reason, "the peer's certificate is refused: "), "%s",
		  pair.failed_reason);
	cr_expect_eq(pair.failed_result, -EACCES);
}

Test(channel_tls, a_client_without_a_certificate_is_refused)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	connect_foreign(context);
	SSL_CTX_free(context);
	expect_refusal("peer did not return a certificate");
}

Test(channel_tls, a_client_of_tls_1_2_is_refused)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	connect_foreign(context);
	SSL_CTX_free(context);
	expect_refusal("unsupported protocol");
}

Test(channel_tls, plain_text_is_refused)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				      .sin_port = htons(channel_server_port(pair.server))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
	RUN_UNTIL(pair.refused_count);
	close(fd);
	expect_refusal("TLS failed: ");
}

Test(channel_tls, a_site_that_is_not_expected_is_refused_by_name)
{
	pair.allowed = "carol";
	test_channels_dial(&pair, channel_server_port(pair.server));
	RUN_UNTIL(pair.failed_count && pair.refused_count);
	expect_refusal("site bob is not expected here");
	cr_expect_str_eq(pair.failed_reason, "the peer refuses us: site bob is not expected here");
	cr_expect_eq(pair.failed_result, -EACCES);
	cr_expect_null(pair.bob.channel);
}

Test(channel_tls, a_server_of_another_name_is_refused)
{
	struct channel_identity *carol;

	test_ca_issue(pair.ca, "carol");
	carol = test_ca_identity(pair.ca, "carol", pair.ca);
	channel_server_set_identity(pair.server, carol);
	channel_identity_unref(carol);
	test_channels_dial(&pair, channel_server_port(pair.server));
	RUN_UNTIL(pair.failed_count);
	cr_expect_str_eq(pair.failed_reason, "the peer's certificate names site carol, not alice");
	RUN_UNTIL(pair.refused_count);
	expect_refusal("the peer does not accept our certificate: ");
}

/* The peer's side of this: a foreign client with a certificate that we would not load ourselves. */
static void connect_with(const char *const *common_names)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	char file[512];

	test_ca_issue_names(pair.ca, "odd", common_names);
	snprintf(file, sizeof(file), "%s/odd.pem", pair.directory);
	cr_assert_eq(SSL_CTX_use_certificate_file(context, file, SSL_FILETYPE_PEM), 1);
	snprintf(file, sizeof(file), "%s/odd.key", pair.directory);
	cr_assert_eq(SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM), 1);
	connect_foreign(context);
	SSL_CTX_free(context);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(channel_tls, a_subject_that_is_no_single_site_name_is_refused)
{
	static const char *const cases[][3] = {
		{NULL},
		{"bob", "alice", NULL},
		{"Bob", NULL},
		{"*", NULL},
		{"bob_1", NULL},
		{"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl", NULL},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		pair.refused_count = 0;
		connect_with(cases[i]);
		expect_refusal("the peer's certificate names no site");
	}
}

Test(channel_tls, the_identity_carries_the_subject_of_its_certificate)
{
	cr_assert_str_eq(channel_identity_name(pair.alice_identity), "alice");
	issue_and_dial("other-file", NAMES("carol.example"));
	cr_assert(pair.bob.channel);
	RUN_UNTIL(pair.alice.channel);
	cr_assert_str_eq(channel_peer(pair.alice.channel), "carol.example");
}

Test(channel_tls, a_session_is_tls_1_3_and_leaves_no_ticket)
{
	test_channels_dial(&pair, channel_server_port(pair.server));
	RUN_UNTIL(pair.bob.channel && pair.alice.channel);
	cr_assert_eq(SSL_version(pair.bob.channel->tls.ssl), TLS1_3_VERSION);
	cr_assert_not(SSL_SESSION_is_resumable(SSL_get_session(pair.bob.channel->tls.ssl)));
	cr_assert(SSL_get_options(pair.bob.channel->tls.ssl) & SSL_OP_CLEANSE_PLAINTEXT);
}

static void expect_identity_error(const char *ca, const char *certificate, const char *key,
				  int result, const char *part)
{
	char paths[3][512];
	const char *const files[] = {ca, certificate, key};
	struct channel_identity *identity = NULL;
	_cleanup_(freep) char *what = NULL;

	for (size_t i = 0; i < ELEMENTSOF(files); i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", pair.directory, files[i]);
	cr_expect_eq(channel_identity_new(paths[0], paths[1], paths[2], &what, &identity), result,
		     "%s", part);
	cr_expect_null(identity);
	cr_expect(what && strstr(what, part), "told: %s", what);
	cr_expect(what && strncmp(what, pair.directory, strlen(pair.directory)) == 0);
}

Test(channel_tls, files_that_make_no_identity_are_told_by_name)
{
	test_ca_issue_names(pair.ca, "nobody", NAMES("No Body"));
	expect_identity_error("none.pem", "bob.pem", "bob.key", -ENOENT, "/none.pem: No such file");
	expect_identity_error("network-ca.pem", "none.pem", "bob.key", -ENOENT, "/none.pem: ");
	expect_identity_error("network-ca.pem", "bob.pem", "none.key", -ENOENT, "/none.key: ");
	expect_identity_error("network-ca.pem", "bob.pem", "alice.key", -EINVAL, "/alice.key: ");
	expect_identity_error("network-ca.pem", "bob.key", "bob.key", -EINVAL, "/bob.key: ");
	expect_identity_error("bob.key", "bob.pem", "bob.key", -EINVAL, "/bob.key: ");
	expect_identity_error("network-ca.pem", "nobody.pem", "nobody.key", -EINVAL,
			      "/nobody.pem: the subject has not exactly one common name");
}
