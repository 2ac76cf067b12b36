// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/resource.h>

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

/* Bytes as a peer would send them that does not use our framing. */
static void send_raw(struct channel *channel, const void *bytes, size_t size_bytes)
{
	cr_assert_eq(channel_buffer_reserve(&channel->queued, size_bytes), 0);
	memcpy(channel_buffer_tail(&channel->queued), bytes, size_bytes);
	channel_buffer_grow(&channel->queued, size_bytes);
	channel_io_flush(channel);
}

#define RUN_UNTIL(condition) cr_assert(TEST_RUN_UNTIL(pair.event, condition, 5 * USEC_PER_SEC))

static void run_idle(void)
{
	while (sd_event_run(pair.event, 50 * USEC_PER_MSEC) > 0)
		;
}

Test(channel, messages_arrive_at_the_certified_peer_in_order)
{
	cr_assert_str_eq(channel_peer(pair.alice.channel), "bob");
	cr_assert_str_eq(channel_peer(pair.bob.channel), "alice");
	cr_assert_eq(strncmp(channel_address(pair.bob.channel), "127.0.0.1:", 10), 0);
	send_number(pair.bob.channel, 1);
	send_number(pair.bob.channel, 2);
	send_number(pair.alice.channel, 3);
	RUN_UNTIL(pair.alice.message_count == 2 && pair.bob.message_count == 1);
	cr_assert_str_eq(pair.alice.messages, "{\"n\":1}\n{\"n\":2}\n");
	cr_assert_str_eq(pair.bob.messages, "{\"n\":3}\n");
}

Test(channel, many_frames_of_one_iteration_go_out_in_one_write)
{
	struct tcp_info before, after;
	socklen_t size = sizeof(before);

	getsockopt(pair.bob.channel->fd, IPPROTO_TCP, TCP_INFO, &before, &size);
	for (int i = 0; i < 100; i++)
		send_number(pair.bob.channel, i);
	RUN_UNTIL(pair.alice.message_count == 100);
	getsockopt(pair.bob.channel->fd, IPPROTO_TCP, TCP_INFO, &after, &size);
	cr_assert_eq(after.tcpi_data_segs_out - before.tcpi_data_segs_out, 1u);
}

Test(channel, the_largest_frames_arrive_and_larger_ones_are_not_sent)
{
	static char text[FRAME_MAX_JSON_BYTES];
	static uint8_t bytes[FRAME_MAX_BINARY_BYTES + 1];
	_cleanup_(json_decrefp) json_t *message = NULL;

	memset(text, 'x', sizeof(text) - sizeof("{\"t\":\"\"}"));
	message = json_pack("{s:s}", "t", text);
	cr_assert_eq(channel_send(pair.bob.channel, message), 0);
	memset(text, 'x', sizeof(text) - 2);
	json_object_set_new(message, "t", json_string(text));
	cr_assert_eq(channel_send(pair.bob.channel, message), -EMSGSIZE);
	cr_assert_eq(channel_send_binary(pair.bob.channel, bytes, sizeof(bytes) - 1), 0);
	cr_assert_eq(channel_send_binary(pair.bob.channel, bytes, sizeof(bytes)), -EMSGSIZE);
	cr_assert_eq(channel_send_binary(pair.bob.channel, bytes, 0), -EMSGSIZE);
	RUN_UNTIL(pair.alice.binary_bytes == FRAME_MAX_BINARY_BYTES);
	cr_assert_eq(pair.alice.message_count, 1u);
}

Test(channel, much_data_both_ways_arrives_whole)
{
	static uint8_t bytes[1 << 20];

	for (int i = 0; i < 12; i++) {
		cr_assert_eq(channel_send_binary(pair.alice.channel, bytes, sizeof(bytes)), 0);
		cr_assert_eq(channel_send_binary(pair.bob.channel, bytes, sizeof(bytes)), 0);
	}
	RUN_UNTIL(pair.alice.binary_count == 12 && pair.bob.binary_count == 12);
	cr_assert_eq(pair.alice.binary_bytes, 12 * sizeof(bytes));
	cr_assert_eq(channel_queued_bytes(pair.alice.channel), 0u);
	cr_assert_not(pair.alice.is_closed || pair.bob.is_closed);
}

Test(channel, a_full_queue_refuses_more_and_loses_nothing)
{
	static uint8_t bytes[1 << 20];
	size_t sent = 0;

	/* Nobody reads: what the kernel does not take stays in the queue. */
	channel_set_handler(pair.alice.channel, NULL, NULL);
	run_idle();
	while (channel_send_binary(pair.bob.channel, bytes, sizeof(bytes)) == 0) {
		sent++;
		run_idle();
	}
	cr_assert_eq(channel_send_binary(pair.bob.channel, bytes, sizeof(bytes)), -ENOBUFS);
	cr_assert_leq(channel_queued_bytes(pair.bob.channel), CHANNEL_MAX_QUEUED_BYTES);
	channel_set_handler(pair.alice.channel, &test_end_handler, &pair.alice);
	RUN_UNTIL(pair.alice.binary_count == sent);
	cr_assert_eq(channel_queued_bytes(pair.bob.channel), 0u);
}

Test(channel, an_orderly_end_is_told_once_after_the_last_message)
{
	send_number(pair.bob.channel, 7);
	pair.bob.channel = channel_free(pair.bob.channel);
	RUN_UNTIL(pair.alice.is_closed);
	cr_assert_eq(pair.alice.result, 0, "%s", pair.alice.reason);
	cr_assert_str_eq(pair.alice.reason, "the peer ended the connection");
	cr_assert_str_eq(pair.alice.messages, "{\"n\":7}\n");
	cr_assert_eq(channel_send_binary(pair.alice.channel, "x", 1), -ENOTCONN);
	run_idle();
}

Test(channel, an_end_without_notice_is_an_error)
{
	shutdown(pair.bob.channel->fd, SHUT_WR);
	RUN_UNTIL(pair.alice.is_closed);
	cr_assert_eq(pair.alice.result, -ECONNRESET);
	cr_assert_str_eq(pair.alice.reason, "the connection ended without notice");
}

Test(channel, a_reset_by_the_peer_is_an_error_on_writing_too)
{
	struct linger linger = {.l_onoff = 1};

	setsockopt(pair.bob.channel->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	sd_event_source_set_enabled(pair.alice.channel->io, SD_EVENT_OFF);
	dup2(pair.alice.channel->fd, pair.bob.channel->fd); /* closes bob's end: RST */
	send_number(pair.alice.channel, 1);
	RUN_UNTIL(pair.alice.is_closed);
	cr_assert_lt(pair.alice.result, 0);
	cr_assert_eq(strncmp(pair.alice.reason, "the connection broke: ", 22), 0, "%s",
		     pair.alice.reason);
}

Test(channel, frames_of_forbidden_sizes_end_the_connection)
{
	static const struct {
		const char *bytes;
		size_t size_bytes;
		int result;
	} cases[] = {
		{"\0\0\0\0", 4, -EMSGSIZE},         {"\x7f\xff\xff\xff", 4, -EMSGSIZE},
		{"\xff\xff\xff\xff", 4, -EMSGSIZE}, {"\0\4\0\1", 4, -EMSGSIZE},
		{"\0\0\0\3[1]", 7, -EBADMSG},       {"\0\0\0\2{]", 6, -EBADMSG},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		if (i > 0)
			connect_pair();
		send_number(pair.bob.channel, 1);
		send_raw(pair.bob.channel, cases[i].bytes, cases[i].size_bytes);
		RUN_UNTIL(pair.alice.is_closed);
		cr_expect_eq(pair.alice.result, cases[i].result, "case %zu: %s", i,
			     pair.alice.reason);
		cr_expect_eq(pair.alice.message_count, 1u, "what came before is delivered");
		if (i + 1 < ELEMENTSOF(cases))
			end_pair();
	}
}

Test(channel, a_binary_frame_that_nobody_expects_ends_the_connection)
{
	static struct channel_handler handler;

	handler = test_end_handler;
	handler.on_binary = NULL;
	channel_set_handler(pair.alice.channel, &handler, &pair.alice);
	cr_assert_eq(channel_send_binary(pair.bob.channel, "x", 1), 0);
	RUN_UNTIL(pair.alice.is_closed);
	cr_assert_eq(pair.alice.result, -EPROTO);
}

Test(channel, a_frame_in_small_pieces_is_put_together)
{
	static const char frame[] = "\0\0\0\7{\"n\":1}\0\0\0\7{\"n\":2}";

	for (size_t i = 0; i < sizeof(frame) - 1; i++) {
		send_raw(pair.bob.channel, frame + i, 1);
		run_idle();
	}
	cr_assert_str_eq(pair.alice.messages, "{\"n\":1}\n{\"n\":2}\n");
}

Test(channel, a_slow_sender_is_cut_off_however_it_dribbles)
{
	uint64_t start = test_now_usec();

	cr_assert_eq(pair.alice.channel->frame_usec, CHANNEL_FRAME_USEC);
	pair.alice.channel->frame_usec = 600 * USEC_PER_MSEC;
	send_raw(pair.bob.channel, "\0\3\xff\xff", 4);
	while (!pair.alice.is_closed && test_now_usec() - start < 5 * USEC_PER_SEC) {
		send_raw(pair.bob.channel, " ", 1);
		sd_event_run(pair.event, 20 * USEC_PER_MSEC);
	}
	cr_assert_eq(pair.alice.result, -ETIMEDOUT);
	cr_assert_geq(test_now_usec() - start, 600 * USEC_PER_MSEC);
}

Test(channel, a_sender_that_finishes_its_frames_is_not_cut_off)
{
	uint64_t start = test_now_usec();

	pair.alice.channel->frame_usec = 300 * USEC_PER_MSEC;
	send_raw(pair.bob.channel, "\0\0\0\7{\"n\"", 8);
	/* Never a moment without an incomplete frame, but each is whole in time. */
	while (test_now_usec() - start < USEC_PER_SEC) {
		send_raw(pair.bob.channel, ":1}\0\0\0\7{\"n\"", 11);
		sd_event_run(pair.event, 20 * USEC_PER_MSEC);
	}
	cr_assert_not(pair.alice.is_closed, "%s", pair.alice.reason);
	cr_assert_gt(pair.alice.message_count, 5u);
}

Test(channel, an_idle_channel_wakes_nobody)
{
	send_raw(pair.bob.channel, "\0\0\0\7{\"n\"", 8); /* had a timer once */
	pair.alice.channel->frame_usec = 100 * USEC_PER_MSEC;
	sd_event_run(pair.event, 20 * USEC_PER_MSEC);
	send_raw(pair.bob.channel, ":1}", 3);
	TEST_RUN_UNTIL(pair.event, false, 600 * USEC_PER_MSEC);
	cr_assert_eq(sd_event_run(pair.event, USEC_PER_SEC), 0, "something happened");
}

static int socket_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	getsockopt(fd, level, name, &value, &size);
	return value;
}

Test(channel, the_kernel_looks_for_a_peer_that_vanished)
{
	int fd = pair.alice.channel->fd;

	cr_expect_eq(socket_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	cr_expect_eq(socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), CHANNEL_KEEPALIVE_SEC);
	cr_expect_eq(socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT),
		     CHANNEL_KEEPALIVE_SEC * 1000);
	cr_expect_eq(socket_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
}

static void free_in_message(struct test_end *end, json_t *message)
{
	end->channel = channel_free(end->channel);
}

Test(channel, a_message_may_free_its_channel)
{
	pair.alice.on_message = free_in_message;
	send_number(pair.bob.channel, 1);
	send_number(pair.bob.channel, 2);
	RUN_UNTIL(pair.bob.is_closed);
	cr_assert_eq(pair.alice.message_count, 1u, "none after the end");
	cr_assert_not(pair.alice.is_closed, "no callback follows channel_free()");
}

static void send_and_free(struct test_end *end, json_t *message)
{
	send_number(end->channel, 9);
	free_in_message(end, message);
}

Test(channel, a_last_word_goes_out_before_the_end)
{
	pair.alice.on_message = send_and_free;
	send_number(pair.bob.channel, 1);
	RUN_UNTIL(pair.bob.is_closed);
	cr_assert_str_eq(pair.bob.messages, "{\"n\":9}\n");
	cr_assert_eq(pair.bob.result, 0, "%s", pair.bob.reason);
}

Test(channel, the_end_may_free_the_channel)
{
	pair.alice.frees_when_closed = true;
	send_raw(pair.bob.channel, "\0\0\0\0", 4);
	RUN_UNTIL(pair.alice.is_closed);
	cr_assert_null(pair.alice.channel);
	RUN_UNTIL(pair.bob.is_closed);
}

static void pause_in_message(struct test_end *end, json_t *message)
{
	channel_set_handler(end->channel, NULL, NULL);
}

Test(channel, a_paused_channel_keeps_what_it_has_and_goes_on)
{
	pair.alice.on_message = pause_in_message;
	for (int i = 0; i < 3; i++)
		send_number(pair.bob.channel, i);
	pair.bob.channel = channel_free(pair.bob.channel);
	RUN_UNTIL(pair.alice.message_count == 1);
	run_idle();
	cr_assert_eq(pair.alice.message_count, 1u);
	cr_assert_eq(sd_event_run(pair.event, 100 * USEC_PER_MSEC), 0, "no spinning meanwhile");
	pair.alice.on_message = NULL;
	channel_set_handler(pair.alice.channel, &test_end_handler, &pair.alice);
	RUN_UNTIL(pair.alice.is_closed);
	cr_assert_str_eq(pair.alice.messages, "{\"n\":1}\n{\"n\":2}\n");
}

Test(channel, both_ends_export_the_same_key)
{
	uint8_t a[32], b[32], other[32];

	cr_assert_eq(channel_export_key(pair.alice.channel, "EXPORTER-qkd", a, sizeof(a)), 0);
	cr_assert_eq(channel_export_key(pair.bob.channel, "EXPORTER-qkd", b, sizeof(b)), 0);
	cr_assert_eq(channel_export_key(pair.bob.channel, "EXPORTER-x", other, sizeof(other)), 0);
	cr_assert_arr_eq(a, b, sizeof(a));
	cr_assert_arr_neq(a, other, sizeof(a));
}

Test(channel, what_has_been_sent_and_received_is_wiped)
{
	static const char pattern[] = "0123456789abcdef";
	_cleanup_(json_decrefp) json_t *message = json_pack("{s:s}", "key", pattern);
	struct secret *memories[2];

	channel_send(pair.bob.channel, message);
	RUN_UNTIL(pair.alice.message_count == 1);
	memories[0] = pair.bob.channel->queued.memory;
	memories[1] = pair.alice.channel->received.memory;
	for (size_t i = 0; i < ELEMENTSOF(memories); i++)
		cr_assert_null(memmem(memories[i]->bytes, memories[i]->size_bytes, pattern, 16));
}
