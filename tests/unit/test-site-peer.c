/* SPDX-License-Identifier: MIT */

/* Requests to a peer over connections that come and go. */

#include <criterion/criterion.h>

#include "qkd-keyringd/site-peer.h"

struct fake {
	struct site_transport transport;
	bool closed;
	json_t *sent; /* array of messages */
};

static struct site_peer *peer;
static unsigned connected, lost, requests, answers;
static char last_reason[128];
static struct fake fake;
static const struct site_message hello = {
	.type = SITE_HELLO, .version = SITE_PROTOCOL_VERSION, .site = "alice"};

static int fake_send(struct site_transport *transport, const json_t *frame)
{
	json_array_extend(fake.sent, json_object_get(frame, "messages"));
	return 0;
}

static void fake_close(struct site_transport *transport)
{
	fake.closed = true;
}

static void on_connected(struct site_peer *p, const struct site_message *message, void *userdata)
{
	connected++;
}

static void on_lost(struct site_peer *p, const char *reason, void *userdata)
{
	lost++;
	snprintf(last_reason, sizeof(last_reason), "%s", reason);
}

static void on_request(struct site_peer *p, const struct site_message *message, void *userdata)
{
	requests++;
}

static void on_outbox(struct site_peer *p, void *userdata)
{
}

static const struct site_peer_handler handler = {on_connected, on_lost, on_request, on_outbox};

static void attach(void)
{
	json_decref(fake.sent);
	fake = (struct fake){.transport = {fake_send, fake_close}, .sent = json_array()};
	cr_assert_eq(site_peer_attach(peer, &fake.transport, &hello), 0);
}

static void receive(const struct site_message *message)
{
	json_t *json, *frame;

	cr_assert_eq(site_message_build(message, &json), 0);
	frame = json_pack("{s[o]si}", "messages", json, "position", 7);
	site_peer_receive(peer, frame);
	json_decref(frame);
}

static void greet(const char *site, uint32_t version)
{
	struct site_message message = {.type = SITE_HELLO, .version = version};

	strcpy(message.site, site);
	receive(&message);
}

static size_t sent_count(const char *type)
{
	size_t i, count = 0;
	json_t *message;

	site_peer_flush(peer, 1);
	json_array_foreach (fake.sent, i, message)
		count += str_equal(json_string_value(json_object_get(message, "type")), type);
	return count;
}

static void answered(struct site_request *request, const struct site_message *answer)
{
	answers++;
}

static void setup(void)
{
	cr_assert_eq(site_peer_new("bob", &handler, NULL, &peer), 0);
}

static void teardown(void)
{
	site_peer_free(peer);
	json_decref(fake.sent);
}

TestSuite(site_peer, .init = setup, .fini = teardown);

static const struct site_message query = {.type = SITE_QUERY, .request = {{1}}, .id = {{2}}};
static char verdict[] = "v";
static const struct site_message states = {
	.type = SITE_STATES, .request = {{1}}, .verdicts = verdict};

Test(site_peer, says_hello_first_and_is_connected_after_the_peers)
{
	attach();
	cr_assert_eq(sent_count("hello"), 1);
	cr_assert_not(site_peer_is_connected(peer));
	greet("bob", SITE_PROTOCOL_VERSION);
	cr_assert(site_peer_is_connected(peer));
	cr_assert_eq(connected, 1);
}

Test(site_peer, an_answer_that_nobody_waits_for_leaves_with_the_next_message_or_when_told)
{
	struct site_request request = {};

	attach();
	greet("bob", SITE_PROTOCOL_VERSION);
	cr_assert_eq(sent_count("hello"), 1);
	cr_assert_eq(site_peer_answer_unhurried(peer, &states), 0);
	cr_assert_eq(sent_count("states"), 0);
	cr_assert_eq(site_peer_ask(peer, &request, &query, answered), 0);
	cr_assert_eq(sent_count("states"), 1);
	cr_assert_eq(sent_count("query"), 1);
	cr_assert_eq(site_peer_answer_unhurried(peer, &states), 0);
	site_peer_hurry(peer);
	cr_assert_eq(sent_count("states"), 2);
	site_request_cancel(peer, &request);
}

Test(site_peer, asks_what_was_asked_before_the_connection_and_again_on_the_next)
{
	struct site_request request = {};

	cr_assert_eq(site_peer_ask(peer, &request, &query, answered), 0);
	attach();
	cr_assert_eq(sent_count("query"), 0);
	greet("bob", SITE_PROTOCOL_VERSION);
	cr_assert_eq(sent_count("query"), 1);
	site_peer_lost(peer, "test");
	attach();
	greet("bob", SITE_PROTOCOL_VERSION);
	cr_assert_eq(sent_count("query"), 1);
	receive(&states);
	cr_assert_eq(answers, 1);
	cr_assert_not(site_request_is_pending(&request));
	receive(&states);
	cr_assert_eq(answers, 1, "a second answer is ignored");
	cr_assert(site_peer_is_connected(peer));
}

Test(site_peer, does_not_report_a_cancelled_request)
{
	struct site_request request = {};

	attach();
	greet("bob", SITE_PROTOCOL_VERSION);
	cr_assert_eq(site_peer_ask(peer, &request, &query, answered), 0);
	site_request_cancel(peer, &request);
	receive(&states);
	cr_assert_eq(answers, 0);
	cr_assert(site_peer_is_connected(peer));
}

Test(site_peer, drops_a_connection_that_breaks_the_rules)
{
	static const struct site_message done = {.type = SITE_DONE, .request = {{1}}};
	static struct site_request request;

	attach();
	greet("carol", SITE_PROTOCOL_VERSION);
	cr_assert_eq(lost, 1, "another site than its certificate says");
	attach();
	greet("bob", SITE_PROTOCOL_VERSION + 1);
	cr_assert_eq(lost, 2, "another version");
	attach();
	receive(&query);
	cr_assert_eq(lost, 3, "no hello");
	attach();
	greet("bob", SITE_PROTOCOL_VERSION);
	greet("bob", SITE_PROTOCOL_VERSION);
	cr_assert_eq(lost, 4, "two of them");
	attach();
	greet("bob", SITE_PROTOCOL_VERSION);
	cr_assert_eq(site_peer_ask(peer, &request, &query, answered), 0);
	receive(&done);
	cr_assert_eq(lost, 5, "an answer to another question");
	cr_assert(fake.closed);
	cr_assert_eq(requests + answers, 0);
	site_request_cancel(peer, &request);
}

Test(site_peer, a_new_connection_takes_the_place_of_the_old_one)
{
	attach();
	greet("bob", SITE_PROTOCOL_VERSION);
	attach();
	cr_assert_eq(lost, 1);
	cr_assert_not(site_peer_is_connected(peer));
	greet("bob", SITE_PROTOCOL_VERSION);
	receive(&query);
	cr_assert_eq(requests, 1);
}

Test(site_peer, sends_many_messages_in_few_frames)
{
	static struct site_request pending[2000];

	attach();
	greet("bob", SITE_PROTOCOL_VERSION);
	for (size_t i = 0; i < ELEMENTSOF(pending); i++) {
		struct site_message message = query;

		memcpy(message.request.bytes, &i, sizeof(i));
		cr_assert_eq(site_peer_ask(peer, &pending[i], &message, answered), 0);
	}
	cr_assert_eq(sent_count("query"), ELEMENTSOF(pending));
}
