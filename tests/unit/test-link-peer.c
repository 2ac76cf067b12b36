/* SPDX-License-Identifier: MIT */

/* Two of them on one loop, with certificates made at test time. */

#include <criterion/criterion.h>

#include "common/log.h"
#include "qkd-linkd/link-peer.h"
#include "tests/unit/support/test-certificates.h"
#include "tests/unit/support/test-directory.h"

#define PATIENCE (5 * USEC_PER_SEC)

struct end {
	struct link_config config;
	char certificate[128], key[128];
	struct link_peer *peer;
	unsigned connected, lost, messages;
	struct sync_message last;
};

static sd_event *event;
static char *directory, ca_file[128], address[32];
static struct test_ca *ca;
static struct end alice, bob;

static void on_connected(void *userdata)
{
	((struct end *)userdata)->connected++;
}

static void on_message(const struct sync_message *message, void *userdata)
{
	struct end *end = userdata;

	end->messages++;
	end->last = *message;
}

static void on_lost(const char *reason, void *userdata)
{
	((struct end *)userdata)->lost++;
}

static const struct link_peer_handler handler = {
	.on_connected = on_connected, .on_message = on_message, .on_lost = on_lost};

static void no_log(const struct iovec *fields, size_t count, void *userdata)
{
}

/* site says it is certified as name. */
static int open_end(struct end *end, const char *site, const char *peer, const char *name)
{
	*end = (struct end){.config = {.site = (char *)site,
				       .peer = (char *)peer,
				       .link = (char *)"alice-bob",
				       .listen = address,
				       .peer_address = address,
				       .tls_ca = ca_file}};
	snprintf(end->certificate, sizeof(end->certificate), "%s/%s.pem", directory, name);
	snprintf(end->key, sizeof(end->key), "%s/%s.key", directory, name);
	end->config.tls_certificate = end->certificate;
	end->config.tls_key = end->key;
	return link_peer_new(event, &end->config, &handler, end, &end->peer);
}

static void setup(void)
{
	log_set_sink(no_log, NULL);
	cr_assert_geq(sd_event_default(&event), 0);
	directory = test_directory_new();
	ca = test_ca_new(directory, "net");
	test_ca_issue(ca, "alice");
	test_ca_issue(ca, "bob");
	test_ca_issue(ca, "carol");
	snprintf(ca_file, sizeof(ca_file), "%s/net-ca.pem", directory);
	snprintf(address, sizeof(address), "127.0.0.1:%d", 20000 + getpid() % 20000);
}

static void teardown(void)
{
	link_peer_free(alice.peer);
	link_peer_free(bob.peer);
	test_ca_free(ca);
	test_directory_remove(directory);
	sd_event_unref(event);
}

TestSuite(link_peer, .init = setup, .fini = teardown);

static void run_until(const unsigned *counter, unsigned value)
{
	uint64_t begin, now;

	sd_event_now(event, CLOCK_MONOTONIC, &begin);
	while (*counter < value) {
		cr_assert_geq(sd_event_run(event, 100 * USEC_PER_MSEC), 0);
		sd_event_now(event, CLOCK_MONOTONIC, &now);
		cr_assert_lt(now - begin, PATIENCE);
	}
}

static void connect_both(void)
{
	cr_assert_eq(open_end(&bob, "bob", "alice", "bob"), 0);
	cr_assert_eq(open_end(&alice, "alice", "bob", "alice"), 0);
	run_until(&alice.connected, 1);
	run_until(&bob.connected, 1);
}

Test(link_peer, the_two_ends_meet_and_messages_arrive)
{
	connect_both();
	link_peer_send(alice.peer, &(struct sync_message){.kind = SYNC_ABORT, .txn = 7});
	link_peer_send(bob.peer, &(struct sync_message){.kind = SYNC_DONE, .txn = 8});
	run_until(&alice.messages, 1);
	run_until(&bob.messages, 1);
	cr_assert_eq(bob.last.kind, SYNC_ABORT);
	cr_assert_eq(bob.last.txn, 7u);
	cr_assert_eq(alice.last.txn, 8u);
}

Test(link_peer, a_connection_that_is_ended_comes_back)
{
	connect_both();
	link_peer_disconnect(alice.peer);
	cr_assert_eq(alice.lost, 0u, "we know");
	run_until(&bob.lost, 1);
	run_until(&alice.connected, 2);
	run_until(&bob.connected, 2);
	link_peer_disconnect(bob.peer);
	run_until(&alice.lost, 1);
	cr_assert(*link_peer_trouble(alice.peer));
	run_until(&alice.connected, 3);
	cr_assert_str_empty(link_peer_trouble(alice.peer));
}

Test(link_peer, a_message_that_is_none_ends_the_connection_and_no_more)
{
	struct sync_message bad = {.kind = SYNC_DONE, .txn = 0};

	connect_both();
	link_peer_send(alice.peer, &bad);
	run_until(&bob.lost, 1);
	cr_assert_eq(bob.messages, 0u);
	run_until(&bob.connected, 2);
}

Test(link_peer, another_sites_certificate_is_not_let_in)
{
	struct end carol;

	cr_assert_eq(open_end(&bob, "bob", "alice", "bob"), 0);
	cr_assert_eq(open_end(&carol, "carol", "dave", "carol"), 0);
	for (unsigned i = 0; i < 20; i++)
		sd_event_run(event, 10 * USEC_PER_MSEC);
	cr_assert_eq(bob.connected, 0u);
	cr_assert_eq(carol.connected, 0u);
	cr_assert(strstr(link_peer_trouble(carol.peer), "names site bob, not dave"), "%s",
		  link_peer_trouble(carol.peer));
	cr_assert(strstr(link_peer_trouble(bob.peer), "was refused"));
	link_peer_free(carol.peer);
}

Test(link_peer, a_certificate_that_is_not_ours_is_refused_at_the_start)
{
	cr_assert_eq(open_end(&bob, "bob", "alice", "carol"), -EINVAL);
}

Test(link_peer, certificates_can_be_read_again)
{
	connect_both();
	cr_assert_eq(link_peer_reload(alice.peer, &alice.config), 0);
	cr_assert_lt(link_peer_reload(bob.peer,
				      &(struct link_config){.site = (char *)"bob",
							    .tls_ca = ca_file,
							    .tls_certificate = alice.certificate,
							    .tls_key = alice.key}),
		     0, "it is alice's");
	link_peer_send(alice.peer, &(struct sync_message){.kind = SYNC_ABORT, .txn = 9});
	run_until(&bob.messages, 1);
}

Test(link_peer, sending_without_a_connection_is_a_loss)
{
	cr_assert_eq(open_end(&bob, "bob", "alice", "bob"), 0);
	link_peer_send(bob.peer, &(struct sync_message){.kind = SYNC_DONE, .txn = 1});
	link_peer_disconnect(bob.peer);
}
