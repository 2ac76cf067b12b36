// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/channel-internal.h"
#include "tests/unit/support/test-channels.h"

static struct test_channels pair;

static void connect_pair(void)
{
	test_channels_connect(&pair);
}

static void end_pair(void)
{
	test_channels_done(&pair);
}

TestSuite(channel, .init = connect_pair, .fini = end_pair, .timeout = 60);

static void send_number(struct channel *channel, int number)
{
	_cleanup_(json_decrefp) json_t *message = json_pack("{s:i}", "n", number);

	cr_assert_eq(channel_send(channel, message), 0);
}

Test(channel, messages_arrive_at_the_certified_peer_in_order)
{
	cr_assert_str_eq(channel_peer(pair.alice.channel), "bob");
	cr_assert_str_eq(channel_peer(pair.bob.channel), "alice");
	send_number(pair.bob.channel, 1);
	send_number(pair.bob.channel, 2);
	send_number(pair.alice.channel, 3);
	cr_assert(TEST_RUN_UNTIL(pair.event,
				 pair.alice.message_count == 2 && pair.bob.message_count == 1,
				 USEC_PER_SEC));
	cr_assert_str_eq(pair.alice.messages, "{\"n\":1}\n{\"n\":2}\n");
	cr_assert_str_eq(pair.bob.messages, "{\"n\":3}\n");
}
