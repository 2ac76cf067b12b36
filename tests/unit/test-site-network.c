/* SPDX-License-Identifier: MIT */

/* The site protocol over real TLS: who dials, and that a lost connection comes back. */

#include <criterion/criterion.h>

#include "common/log.h"
#include "qkd-keyringd/site-network.h"
#include "tests/unit/support/test-channels.h"
#include "tests/unit/support/test-directory.h"

struct end {
	struct site_network *network;
	struct site_peer *peer;
	unsigned connected, lost;
	const char *site;
};

static char address[32]; /* of this test alone: they run at the same time */
static sd_event *event;
static char *directory;
static struct test_ca *ca;
static struct channel_identity *alice_identity, *bob_identity;
static struct end alice = {.site = "alice"}, bob = {.site = "bob"};

static void on_connected(struct site_peer *peer, const struct site_message *hello, void *userdata)
{
	((struct end *)userdata)->connected++;
}

static void on_lost(struct site_peer *peer, const char *reason, void *userdata)
{
	struct end *end = userdata;

	end->lost++;
	if (end->network)
		site_network_lost(end->network, peer, reason);
}

static void on_request(struct site_peer *peer, const struct site_message *message, void *userdata)
{
}

static void on_outbox(struct site_peer *peer, void *userdata)
{
}

static const struct site_peer_handler handler = {on_connected, on_lost, on_request, on_outbox};

static const struct site_message *hello(struct site_peer *peer, void *userdata)
{
	static struct site_message message;

	message = (struct site_message){.type = SITE_HELLO, .version = SITE_PROTOCOL_VERSION};
	strcpy(message.site, ((struct end *)userdata)->site);
	return &message;
}

static void start(struct end *end, const char *peer, struct channel_identity *identity,
		  const char *listen, const char *dial)
{
	struct site_network_options options = {
		.event = event,
		.site = end->site,
		.listen = listen,
		.identity = identity,
		.hello = hello,
		.userdata = end,
	};

	cr_assert_eq(site_peer_new(peer, &handler, end, &end->peer), 0);
	cr_assert_eq(site_network_new(&options, &end->network), 0);
	cr_assert_eq(site_network_add(end->network, end->peer, dial), 0);
}

static void setup(void)
{
	log_set_max_level(LOG_ERR);
	snprintf(address, sizeof(address), "127.0.0.1:%d", 20000 + getpid() % 12000);
	cr_assert_geq(sd_event_new(&event), 0);
	directory = test_directory_new();
	ca = test_ca_new(directory, "network");
	test_ca_issue(ca, "alice");
	test_ca_issue(ca, "bob");
	alice_identity = test_ca_identity(ca, "alice", ca);
	bob_identity = test_ca_identity(ca, "bob", ca);
}

static void stop(struct end *end)
{
	struct site_network *network = TAKE_PTR(end->network);

	site_network_free(network);
	end->peer = site_peer_free(end->peer);
}

static void teardown(void)
{
	stop(&alice);
	stop(&bob);
	channel_identity_unref(alice_identity);
	channel_identity_unref(bob_identity);
	test_ca_free(ca);
	test_directory_remove(directory);
	sd_event_unref(event);
}

TestSuite(site_network, .init = setup, .fini = teardown, .timeout = 30);

static bool both_connected(void)
{
	site_peer_flush(alice.peer, 0);
	site_peer_flush(bob.peer, 0);
	return site_peer_is_connected(alice.peer) && site_peer_is_connected(bob.peer);
}

Test(site_network, the_leader_dials_and_both_are_connected)
{
	start(&bob, "alice", bob_identity, address, "127.0.0.1:1");
	start(&alice, "bob", alice_identity, NULL, address);
	cr_assert(TEST_RUN_UNTIL(event, both_connected(), 5 * USEC_PER_SEC));
	cr_assert_eq(alice.connected, 1);
	cr_assert_eq(bob.connected, 1);
}

Test(site_network, a_connection_that_is_lost_at_either_end_comes_back)
{
	start(&bob, "alice", bob_identity, address, NULL);
	start(&alice, "bob", alice_identity, NULL, address);
	cr_assert(TEST_RUN_UNTIL(event, both_connected(), 5 * USEC_PER_SEC));
	site_peer_lost(bob.peer, "test");
	cr_assert(TEST_RUN_UNTIL(event, alice.lost == 1, 5 * USEC_PER_SEC));
	cr_assert(TEST_RUN_UNTIL(event, both_connected(), 5 * USEC_PER_SEC));
	cr_assert_str_empty(site_network_trouble(bob.network, bob.peer));
	site_peer_lost(alice.peer, "test");
	cr_assert_str_eq(site_network_trouble(alice.network, alice.peer), "test");
	cr_assert(TEST_RUN_UNTIL(event, both_connected() && bob.connected == 3, 5 * USEC_PER_SEC));
	cr_assert_str_empty(site_network_trouble(alice.network, alice.peer));
}

Test(site_network, a_site_that_nobody_configured_is_refused)
{
	struct end carol = {.site = "carol"};

	start(&bob, "carol", bob_identity, address, NULL);
	start(&alice, "bob", alice_identity, NULL, address);
	cr_assert_not(TEST_RUN_UNTIL(event, bob.connected > 0, 500 * USEC_PER_MSEC));
	cr_assert(strstr(site_network_trouble(alice.network, alice.peer), "refuses us"), "%s",
		  site_network_trouble(alice.network, alice.peer));
	stop(&carol);
}
