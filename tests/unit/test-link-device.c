/* SPDX-License-Identifier: MIT */

/* With the simulated device, on a real event loop. */

#include <criterion/criterion.h>

#include "qkd-linkd/link-device.h"
#include "tests/unit/support/test-directory.h"

#define SEED     "seed=00112233445566778899aabbccddeeff"
#define PATIENCE (5 * USEC_PER_SEC)

static sd_event *event;
static struct link_device *device;
static char *runtime;
static unsigned batches, fetched, states[DEVICE_SESSION_STARTED + 1];
static struct key_batch *last;
static int fetch_result;

static void on_state(enum device_state state, void *userdata)
{
	states[state]++;
}

static void on_keys(struct key_batch *keys, void *userdata)
{
	batches++;
	key_batch_free(last);
	last = keys;
}

static void on_fetched(uint64_t txn, int result, struct key_batch *keys, void *userdata)
{
	fetched++;
	fetch_result = result;
	key_batch_free(keys);
}

static void on_resumed(void *userdata)
{
}

static const struct link_device_handler handler = {.on_state = on_state,
						   .on_keys = on_keys,
						   .on_fetched = on_fetched,
						   .on_resumed = on_resumed};

static void setup(void)
{
	cr_assert_eq(sd_event_default(&event), 1);
	runtime = test_directory_new();
}

static void teardown(void)
{
	link_device_free(device);
	key_batch_free(last);
	sd_event_unref(event);
	test_directory_remove(runtime);
}

TestSuite(link_device, .init = setup, .fini = teardown);

static void open_device(const char *parameters)
{
	char url[256];

	snprintf(url, sizeof(url), "sim://pair?side=alice&" SEED "%s", parameters);
	cr_assert_eq(link_device_new(event, url, runtime, NULL, &handler, NULL, &device), 0);
}

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

static void run_for(uint64_t usec)
{
	uint64_t begin, now;

	sd_event_now(event, CLOCK_MONOTONIC, &begin);
	do {
		cr_assert_geq(sd_event_run(event, 10 * USEC_PER_MSEC), 0);
		sd_event_now(event, CLOCK_MONOTONIC, &now);
	} while (now - begin < usec);
}

Test(link_device, a_session_starts_gives_keys_and_stops)
{
	open_device("");
	link_device_start(device);
	run_until(&states[DEVICE_SESSION_STARTED], 1);
	link_device_ask(device, 3, 16);
	run_until(&batches, 3);
	cr_assert_eq(last->count, 16u);
	link_device_stop(device);
	cr_assert_eq(link_device_state(device), DEVICE_INACTIVE);
	link_device_ask(device, 3, 16);
	run_for(50 * USEC_PER_MSEC);
	cr_assert_eq(batches, 3u);
}

Test(link_device, starting_twice_is_starting_once_and_it_can_be_started_again)
{
	open_device("");
	link_device_start(device);
	link_device_start(device);
	run_until(&states[DEVICE_SESSION_STARTED], 1);
	run_for(50 * USEC_PER_MSEC);
	cr_assert_eq(states[DEVICE_SESSION_STARTED], 1u);
	link_device_stop(device);
	link_device_stop(device);
	link_device_start(device);
	run_until(&states[DEVICE_SESSION_STARTED], 2);
}

Test(link_device, a_session_that_ends_is_started_again)
{
	open_device("&end=retry&end_after=8");
	link_device_start(device);
	run_until(&states[DEVICE_SESSION_STARTED], 1);
	link_device_ask(device, 1, 16);
	run_until(&batches, 1);
	link_device_ask(device, 1, 16);
	run_until(&states[DEVICE_SESSION_STARTED], 2);
	cr_assert_geq(states[DEVICE_INACTIVE], 1u);
}

Test(link_device, a_device_that_gives_up_is_left_alone_until_it_is_started)
{
	open_device("&end=give_up&end_after=1");
	link_device_start(device);
	run_until(&states[DEVICE_SESSION_STARTED], 1);
	link_device_ask(device, 1, 16);
	run_until(&batches, 1);
	link_device_ask(device, 1, 16);
	run_until(&states[DEVICE_INACTIVE], 1);
	run_for(2 * LINK_DEVICE_BACKOFF_MIN_USEC);
	cr_assert_eq(states[DEVICE_SESSION_STARTED], 1u);
	link_device_start(device);
	run_until(&states[DEVICE_SESSION_STARTED], 2);
}

Test(link_device, a_failed_call_is_told_once_and_asking_pauses)
{
	open_device("&refuse=1");
	link_device_start(device);
	run_until(&states[DEVICE_SESSION_STARTED], 1);
	link_device_ask(device, 2, 16);
	run_for(50 * USEC_PER_MSEC);
	cr_assert_eq(batches, 0u);
	cr_assert_str_neq(link_device_error(device), "");
}

Test(link_device, a_fetch_is_answered_with_its_number_or_refused)
{
	struct uuid nonsense = {.bytes = {1}};

	open_device("");
	cr_assert_lt(link_device_fetch(device, 7, &nonsense, 1), 0, "no session yet");
	link_device_start(device);
	run_until(&states[DEVICE_SESSION_STARTED], 1);
	cr_assert_eq(link_device_fetch(device, 7, &nonsense, 1), 0);
	run_until(&fetched, 1);
	cr_assert_eq(fetch_result, -ENOKEY);
}

Test(link_device, another_link_does_not_get_the_same_device)
{
	struct link_device *second;

	open_device("");
	cr_assert_eq(link_device_new(event, "sim://pair?side=alice&" SEED, runtime, NULL, &handler,
				     NULL, &second),
		     -EBUSY);
}
