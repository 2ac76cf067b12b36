// SPDX-License-Identifier: MIT
/* A pair of connected channels for tests, and a notebook of what they receive. */

#include <assert.h>
#include <time.h>

#include "tests/unit/support/test-channels.h"
#include "tests/unit/support/test-directory.h"

uint64_t test_now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static void on_message(struct channel *channel, json_t *message, void *userdata)
{
	struct test_end *end = userdata;
	size_t used, size;

	end->message_count++;
	if (end->on_message) {
		end->on_message(end, message);
		return;
	}
	used = strlen(end->messages);
	size = json_dumpb(message, end->messages + used, sizeof(end->messages) - used - 2,
			  JSON_COMPACT);
	if (used + size + 2 > sizeof(end->messages)) { /* counted, but not written down */
		end->messages[used] = '\0';
		return;
	}
	memcpy(end->messages + used + size, "\n", 2);
}

static void on_binary(struct channel *channel, const uint8_t *bytes, size_t size_bytes,
		      void *userdata)
{
	struct test_end *end = userdata;

	end->binary_count++;
	end->binary_bytes += size_bytes;
}

static void on_closed(struct channel *channel, int result, const char *reason, void *userdata)
{
	struct test_end *end = userdata;

	assert(!end->is_closed);
	end->is_closed = true;
	end->result = result;
	snprintf(end->reason, sizeof(end->reason), "%s", reason);
	if (end->frees_when_closed)
		end->channel = channel_free(end->channel);
}

const struct channel_handler test_end_handler = {
	.on_message = on_message,
	.on_binary = on_binary,
	.on_closed = on_closed,
};

static void attach(struct test_end *end, struct channel *channel)
{
	channel_free(end->channel);
	end->channel = channel;
	end->is_closed = false;
	channel_set_handler(channel, &test_end_handler, end);
}

static bool allow(const char *peer, void *userdata)
{
	struct test_channels *channels = userdata;

	return !channels->allowed || str_equal(channels->allowed, peer);
}

static void on_accepted(struct channel *channel, void *userdata)
{
	struct test_channels *channels = userdata;

	channels->accepted_count++;
	attach(&channels->alice, channel);
}

static void refused(const char *address, const char *reason, void *userdata)
{
	struct test_channels *channels = userdata;

	channels->refused_count++;
	snprintf(channels->refused_reason, sizeof(channels->refused_reason), "%s", reason);
}

static const struct channel_server_handler server_handler = {
	.allow = allow,
	.on_channel = on_accepted,
	.refused = refused,
};

static void on_connected(struct channel *channel, void *userdata)
{
	struct test_channels *channels = userdata;

	attach(&channels->bob, channel);
}

static void failed(int result, const char *reason, void *userdata)
{
	struct test_channels *channels = userdata;

	channels->failed_count++;
	channels->failed_result = result;
	snprintf(channels->failed_reason, sizeof(channels->failed_reason), "%s", reason);
}

static const struct channel_client_handler client_handler = {
	.on_channel = on_connected,
	.failed = failed,
};

void test_channels_init(struct test_channels *channels)
{
	*channels = (struct test_channels){.directory = test_directory_new()};
	assert(sd_event_new(&channels->event) >= 0);
	channels->ca = test_ca_new(channels->directory, "network");
	test_ca_issue(channels->ca, "alice");
	test_ca_issue(channels->ca, "bob");
	channels->alice_identity = test_ca_identity(channels->ca, "alice", channels->ca);
	channels->bob_identity = test_ca_identity(channels->ca, "bob", channels->ca);
}

void test_channels_serve_at(struct test_channels *channels, const char *address)
{
	int r = channel_server_new(channels->event, address, channels->alice_identity,
				   &server_handler, channels, &channels->server);

	assert(r >= 0);
}

void test_channels_serve(struct test_channels *channels)
{
	test_channels_serve_at(channels, "127.0.0.1:0");
}

int test_channels_try_dial(struct test_channels *channels, const char *address)
{
	return channel_client_new(channels->event, address, "alice", channels->bob_identity,
				  &client_handler, channels, &channels->client);
}

void test_channels_dial_at(struct test_channels *channels, const char *address)
{
	int r = test_channels_try_dial(channels, address);

	assert(r >= 0);
}

void test_channels_dial(struct test_channels *channels, uint16_t port)
{
	char address[64];

	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	test_channels_dial_at(channels, address);
}

void test_channels_connect(struct test_channels *channels)
{
	test_channels_init(channels);
	test_channels_serve(channels);
	test_channels_dial(channels, channel_server_port(channels->server));
	assert(TEST_RUN_UNTIL(channels->event, channels->alice.channel && channels->bob.channel,
			      5 * USEC_PER_SEC));
}

void test_channels_done(struct test_channels *channels)
{
	channel_free(channels->alice.channel);
	channel_free(channels->bob.channel);
	channel_client_free(channels->client);
	channel_server_free(channels->server);
	channel_identity_unref(channels->alice_identity);
	channel_identity_unref(channels->bob_identity);
	test_ca_free(channels->ca);
	sd_event_unref(channels->event);
	test_directory_remove(channels->directory);
}
