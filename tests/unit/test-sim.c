/* SPDX-License-Identifier: MIT */
/* The simulator in key mode: two sides on one loop, and each of its faults. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <time.h>

#include "drivers/driver.h"
#include "tests/unit/support/test-allocation.h"
#include "tests/unit/support/test-directory.h"

#define SEED       "00112233445566778899aabbccddeeff"
#define LIMIT_USEC (5 * USEC_PER_SEC)

struct end {
	struct device *device;
	enum device_end end;
	unsigned ends, states, answers;
	int result;
	struct key_batch *batch;
	bool close_on_answer;
};

static sd_event *event;

static void on_state(struct device *device, enum device_state state, void *userdata)
{
	struct end *end = userdata;

	cr_assert_eq(device->state, state);
	end->states = end->states * 10 + state;
}

static void on_end(struct device *device, enum device_end why, const char *reason, void *userdata)
{
	struct end *end = userdata;

	cr_assert_eq(device->state, DEVICE_INACTIVE);
	cr_assert(reason[0]);
	end->end = why;
	end->ends++;
}

static void on_keys(struct device *device, int result, struct key_batch *batch, const char *reason,
		    void *userdata)
{
	struct end *end = userdata;

	cr_assert_eq(result == 0, batch != NULL);
	cr_assert(result == 0 || reason[0]);
	end->answers++;
	end->result = result;
	if (batch) {
		key_batch_free(end->batch);
		end->batch = batch;
	}
	if (end->close_on_answer) {
		device->driver->close(device);
		end->device = NULL;
	}
}

static const struct device_handler handler = {on_state, on_end};

static int try_open(const char *text, struct end *end, char **ret_what)
{
	_cleanup_(device_url_freep) struct device_url *url = NULL;
	const struct driver *driver;

	cr_assert_eq(device_url_parse(text, &url, ret_what), 0, "%s", *ret_what);
	driver = driver_find(url->scheme);
	return driver->open(event, url, &handler, end, ret_what, &end->device);
}

static void spin(const unsigned *counter, unsigned until)
{
	uint64_t start, now;

	sd_event_now(event, CLOCK_MONOTONIC, &start);
	while (*counter < until) {
		sd_event_run(event, 100 * USEC_PER_MSEC);
		sd_event_now(event, CLOCK_MONOTONIC, &now);
		cr_assert_lt(now - start, LIMIT_USEC);
	}
}

static void start(struct end *end)
{
	end->states = 0;
	cr_assert_eq(end->device->driver->start_session(end->device), 0);
	cr_assert_eq(end->states, 0, "a callback from within the call");
	spin(&end->states, 1234);
	cr_assert_eq(end->states, 1234);
}

static void open_end(struct end *end, const char *side, const char *rest)
{
	char text[512];
	char *what = NULL;

	*end = (struct end){};
	snprintf(text, sizeof(text), "sim://pair?side=%s&seed=%s%s", side, SEED, rest);
	cr_assert_eq(try_open(text, end, &what), 0, "%s", what);
	start(end);
}

static void close_end(struct end *end)
{
	if (end->device)
		end->device->driver->close(end->device);
	key_batch_free(end->batch);
}

static int get(struct end *end, size_t count)
{
	unsigned next = end->answers + 1;
	int r = end->device->driver->get_keys(end->device, count, on_keys, end);

	cr_assert_eq(r, 0);
	cr_assert_eq(end->answers + 1, next, "a callback from within the call");
	spin(&end->answers, next);
	return end->result;
}

static int get_by_id(struct end *end, const struct key_batch *batch)
{
	unsigned next = end->answers + 1;
	int r = end->device->driver->get_keys_by_id(end->device, batch->ids, batch->count, on_keys,
						    end);

	cr_assert_eq(r, 0);
	spin(&end->answers, next);
	return end->result;
}

static void setup(void)
{
	cr_assert(sd_event_new(&event) >= 0);
}

static void teardown(void)
{
	sd_event_unref(event);
}

TestSuite(sim, .init = setup, .fini = teardown);

static void check_pair(const char *rest, size_t count, size_t key_bytes)
{
	struct end alice, bob;

	open_end(&alice, "alice", rest);
	open_end(&bob, "bob", rest);
	cr_assert_eq(get(&alice, count), 0);
	cr_assert_eq(alice.batch->count, count);
	cr_assert_eq(alice.batch->key_bytes, key_bytes);
	cr_assert_eq(get_by_id(&bob, alice.batch), 0);
	cr_assert_eq(bob.batch->count, count);
	cr_assert(secret_equal(alice.batch->keys, bob.batch->keys));
	close_end(&alice);
	close_end(&bob);
}

Test(sim, both_sides_have_the_same_keys)
{
	check_pair("", 1, 32);
	check_pair("", DRIVER_MAX_KEYS, 32);
	check_pair("&keybits=64", 3, 8);
	check_pair("&keybits=4096", 5, 512);
	check_pair("&keybits=136", 5, 17);
}

Test(sim, bob_may_lead_as_well)
{
	struct end alice, bob;

	open_end(&alice, "alice", "");
	open_end(&bob, "bob", "");
	cr_assert_eq(get(&bob, 4), 0);
	cr_assert_eq(get_by_id(&alice, bob.batch), 0);
	cr_assert(secret_equal(alice.batch->keys, bob.batch->keys));
	close_end(&alice);
	close_end(&bob);
}

Test(sim, ids_are_uuids_of_version_4_and_keys_differ)
{
	struct end alice;

	open_end(&alice, "alice", "");
	cr_assert_eq(get(&alice, 100), 0);
	for (size_t i = 0; i < 100; i++) {
		cr_assert_eq(alice.batch->ids[i].bytes[6] >> 4, 4);
		cr_assert_eq(alice.batch->ids[i].bytes[8] >> 6, 2);
		for (size_t j = 0; j < i; j++) {
			cr_assert(!uuid_equal(&alice.batch->ids[i], &alice.batch->ids[j]));
			cr_assert_neq(memcmp(key_batch_key(alice.batch, i),
					     key_batch_key(alice.batch, j), 32),
				      0);
		}
	}
	close_end(&alice);
}

Test(sim, a_restart_does_not_repeat_ids)
{
	struct end first, second;

	open_end(&first, "alice", "");
	open_end(&second, "alice", "");
	cr_assert_eq(get(&first, 1), 0);
	cr_assert_eq(get(&second, 1), 0);
	cr_assert(!uuid_equal(first.batch->ids, second.batch->ids));
	close_end(&first);
	close_end(&second);
}

Test(sim, a_key_is_given_once_on_each_side)
{
	struct end alice, bob;

	open_end(&alice, "alice", "");
	open_end(&bob, "bob", "");
	cr_assert_eq(get(&alice, 10), 0);
	cr_assert_eq(get_by_id(&bob, alice.batch), 0);
	cr_assert_eq(get_by_id(&bob, alice.batch), -ENOKEY);
	close_end(&alice);
	close_end(&bob);
}

Test(sim, a_used_id_among_others_leaves_the_others_untaken)
{
	struct end alice, bob;
	struct uuid used;

	open_end(&alice, "alice", "");
	open_end(&bob, "bob", "");
	cr_assert_eq(get(&alice, 1), 0);
	used = alice.batch->ids[0];
	cr_assert_eq(get_by_id(&bob, alice.batch), 0);
	cr_assert_eq(get(&alice, 5), 0);
	alice.batch->ids[4] = used;
	cr_assert_eq(get_by_id(&bob, alice.batch), -ENOKEY);
	alice.batch->count = 4;
	cr_assert_eq(get_by_id(&bob, alice.batch), 0);
	close_end(&alice);
	close_end(&bob);
}

Test(sim, an_id_that_the_other_side_did_not_make_is_unknown_and_nothing_is_taken)
{
	struct end alice, bob;

	open_end(&alice, "alice", "");
	open_end(&bob, "bob", "");
	cr_assert_eq(get(&alice, 10), 0);
	alice.batch->ids[9].bytes[15] ^= 1;
	cr_assert_eq(get_by_id(&bob, alice.batch), -ENOKEY);
	alice.batch->ids[9].bytes[15] ^= 1;
	cr_assert_eq(get_by_id(&alice, alice.batch), -ENOKEY); /* one's own */
	cr_assert_eq(get_by_id(&bob, alice.batch), 0);
	close_end(&alice);
	close_end(&bob);
}

Test(sim, another_seed_is_another_pair)
{
	struct end alice, bob = {};
	char *what = NULL;

	open_end(&alice, "alice", "");
	cr_assert_eq(try_open("sim://pair?side=bob&seed=0011223344556677", &bob, &what), 0);
	start(&bob);
	cr_assert_eq(get(&alice, 1), 0);
	cr_assert_eq(get_by_id(&bob, alice.batch), -ENOKEY);
	close_end(&alice);
	close_end(&bob);
}

Test(sim, the_rate_is_kept)
{
	struct timespec t0, t1;
	struct end alice;
	double seconds;
	size_t keys = 0;

	open_end(&alice, "alice", "&rate=1000");
	clock_gettime(CLOCK_MONOTONIC, &t0);
	while (keys < 300) {
		cr_assert_eq(get(&alice, 50), 0);
		keys += alice.batch->count;
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	seconds = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
	cr_assert_geq(seconds, 0.28);
	cr_assert_leq(seconds, 1.5);
	close_end(&alice);
}

Test(sim, a_slow_pair_gives_few_keys_soon_rather_than_many_late)
{
	struct end alice;

	open_end(&alice, "alice", "&rate=2");
	cr_assert_eq(get(&alice, DRIVER_MAX_KEYS), 0);
	cr_assert_eq(alice.batch->count, 2);
	close_end(&alice);
}

Test(sim, faults_by_url)
{
	struct end alice, bob;

	open_end(&alice, "alice", "&refuse=1");
	cr_assert_eq(get(&alice, 1), -EACCES);
	close_end(&alice);

	open_end(&alice, "alice", "&delay=50");
	open_end(&bob, "bob", "&unequal=1");
	cr_assert_eq(get(&alice, 8), 0);
	cr_assert_eq(get_by_id(&bob, alice.batch), 0);
	for (size_t i = 0; i < 8; i++)
		cr_assert_neq(
			memcmp(key_batch_key(alice.batch, i), key_batch_key(bob.batch, i), 32), 0);
	close_end(&bob);

	open_end(&bob, "bob", "&unknown=1");
	cr_assert_eq(get_by_id(&bob, alice.batch), -ENOKEY);
	close_end(&bob);
	close_end(&alice);
}

Test(sim, faults_are_drawn_alike_in_every_run)
{
	unsigned runs[2] = {};

	for (size_t i = 0; i < 2; i++) {
		struct end alice;

		open_end(&alice, "alice", "&refuse=0.5");
		for (unsigned call = 0; call < 24; call++)
			runs[i] = runs[i] << 1 | (get(&alice, 1) < 0);
		close_end(&alice);
	}
	cr_assert_eq(runs[0], runs[1]);
	cr_assert_neq(runs[0], 0);
	cr_assert_neq(runs[0], (1u << 24) - 1);
}

Test(sim, the_session_ends_as_told_and_can_be_started_again)
{
	struct end alice;

	open_end(&alice, "alice", "&end=give_up&end_after=10");
	cr_assert_eq(get(&alice, 10), 0);
	cr_assert_eq(get(&alice, 1), -ECANCELED);
	spin(&alice.ends, 1);
	cr_assert_eq(alice.end, DEVICE_GIVE_UP);
	cr_assert_eq(alice.device->driver->get_keys(alice.device, 1, on_keys, &alice), -ENOTCONN);
	start(&alice);
	cr_assert_eq(get(&alice, 10), 0);
	close_end(&alice);
}

static void write_faults(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
}

Test(sim, faults_can_be_switched_while_it_runs)
{
	char *directory = test_directory_new(), path[64], rest[96];
	struct end alice;

	snprintf(path, sizeof(path), "%s/faults", directory);
	snprintf(rest, sizeof(rest), "&faults=%s", path);
	open_end(&alice, "alice", rest);
	cr_assert_eq(get(&alice, 1), 0);
	write_faults(path, "refuse=1\ndelay=1\n");
	cr_assert_eq(get(&alice, 1), -EACCES);
	write_faults(path, "refuse=2\n");
	cr_assert_eq(get(&alice, 1), -EINVAL);
	write_faults(path, "nonsense=2\n");
	cr_assert_eq(get(&alice, 1), -EINVAL);
	write_faults(path, "");
	cr_assert_eq(get(&alice, 1), 0);
	write_faults(path, "end=wrong_configuration\n");
	cr_assert_eq(get(&alice, 1), -ECANCELED);
	spin(&alice.ends, 1);
	cr_assert_eq(alice.end, DEVICE_WRONG_CONFIGURATION);
	unlink(path);
	start(&alice);
	cr_assert_eq(get(&alice, 1), 0);
	close_end(&alice);
	test_directory_remove(directory);
}

Test(sim, the_trace_has_a_line_for_every_key_given)
{
	char *directory = test_directory_new(), path[64], rest[96], line[128] = "";
	struct end alice;
	FILE *trace;

	snprintf(path, sizeof(path), "%s/trace", directory);
	snprintf(rest, sizeof(rest), "&trace=%s", path);
	open_end(&alice, "alice", rest);
	cr_assert_eq(get(&alice, 3), 0);
	trace = fopen(path, "re");
	cr_assert_not_null(trace);
	for (size_t i = 0; i < 3; i++) {
		char id[UUID_CHARS + 1], read_id[UUID_CHARS + 1];
		unsigned long long usec;
		uint64_t now;

		cr_assert_not_null(fgets(line, sizeof(line), trace));
		cr_assert_eq(sscanf(line, "%llu %36s", &usec, read_id), 2, "%s", line);
		uuid_format(&alice.batch->ids[i], id);
		cr_assert_str_eq(read_id, id);
		sd_event_now(event, CLOCK_MONOTONIC, &now);
		cr_assert_lt(usec, now + USEC_PER_SEC);
		cr_assert_gt(usec, now - USEC_PER_SEC);
	}
	cr_assert_null(fgets(line, sizeof(line), trace));
	fclose(trace);
	close_end(&alice);
	unlink(path);
	test_directory_remove(directory);
}

Test(sim, an_ended_session_answers_what_was_under_way)
{
	struct end alice;

	open_end(&alice, "alice", "&delay=60000");
	for (int i = 0; i < 3; i++)
		cr_assert_eq(alice.device->driver->get_keys(alice.device, 1, on_keys, &alice), 0);
	alice.device->driver->end_session(alice.device);
	cr_assert_eq(alice.answers, 0);
	cr_assert_eq(alice.device->state, DEVICE_INACTIVE);
	start(&alice);
	spin(&alice.answers, 3);
	cr_assert_eq(alice.result, -ECANCELED);
	cr_assert_eq(alice.ends, 0);
	close_end(&alice);
}

Test(sim, an_answer_may_close_the_device)
{
	struct end alice;

	open_end(&alice, "alice", "");
	alice.close_on_answer = true;
	for (int i = 0; i < 3; i++)
		cr_assert_eq(alice.device->driver->get_keys(alice.device, 1, on_keys, &alice), 0);
	spin(&alice.answers, 1);
	sd_event_run(event, 0);
	cr_assert_eq(alice.answers, 1);
	close_end(&alice);
}

Test(sim, calls_are_limited)
{
	struct end alice;
	unsigned calls = 0;

	open_end(&alice, "alice", "&delay=60000");
	while (alice.device->driver->get_keys(alice.device, 1, on_keys, &alice) == 0)
		calls++;
	cr_assert_eq(calls, DRIVER_MAX_CALLS);
	cr_assert_eq(alice.device->driver->get_keys(alice.device, 1, on_keys, &alice), -EBUSY);
	close_end(&alice);
	open_end(&alice, "alice", "");
	cr_assert_eq(alice.device->driver->get_keys(alice.device, 0, on_keys, &alice), -EINVAL);
	cr_assert_eq(
		alice.device->driver->get_keys(alice.device, DRIVER_MAX_KEYS + 1, on_keys, &alice),
		-EINVAL);
	cr_assert_eq(alice.device->driver->start_session(alice.device), -EBUSY);
	close_end(&alice);
}

static const struct {
	const char *text, *what;
} wrong[] = {
	{"sim://x?side=alice", "seed: a value"},
	{"sim://x?seed=" SEED, "side: alice or bob"},
	{"sim://x?side=alice&seed=00", "seed: 16 to 128 hexadecimal digits"},
	{"sim://x?side=alice&seed=0011223344556677x", "seed: 16 to 128 hexadecimal digits"},
	{"sim://x?side=alice&seed=001122334455667z", "seed: 16 to 128 hexadecimal digits"},
	{"sim://x:1?side=alice&seed=" SEED, "without port and path"},
	{"sim://x/y?side=alice&seed=" SEED, "without port and path"},
	{"sim://x?side=alice&rate=-1&seed=" SEED, "rate: a number"},
	{"sim://x?side=alice&rate=10000001&seed=" SEED, "rate: a number"},
	{"sim://x?side=alice&rate=&seed=" SEED, "rate: a number"},
	{"sim://x?side=alice&refuse=1.5&seed=" SEED, "refuse: a probability"},
	{"sim://x?side=alice&refuse=nan&seed=" SEED, "refuse: a probability"},
	{"sim://x?side=alice&unknown=&seed=" SEED, "unknown: a probability"},
	{"sim://x?side=alice&unequal=-0&seed=" SEED, "unequal: a probability"},
	{"sim://x?side=alice&delay=600001&seed=" SEED, "delay: a number from 0 to 600000"},
	{"sim://x?side=alice&end=maybe&seed=" SEED, "end: retry, give_up"},
	{"sim://x?side=alice&end_after=x&seed=" SEED, "end_after: a number"},
	{"sim://x?side=alice&faults=a/b&seed=" SEED, "faults: an absolute path"},
	{"sim://x?side=alice&trace=a/b&seed=" SEED, "trace: an absolute path"},
	{"sim://x?side=alice&sede=" SEED, "no parameter 'sede'"},
};

Test(sim, each_wrong_url_is_refused_with_its_reason)
{
	for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
		_cleanup_(freep) char *what = NULL;
		struct end end = {};

		cr_assert_eq(try_open(wrong[i].text, &end, &what), -EINVAL, "%s", wrong[i].text);
		cr_assert(strstr(what, wrong[i].what), "%s: %s", wrong[i].text, what);
		cr_assert_null(strstr(what, "0011223344"), "the seed is told: %s", what);
	}
}

Test(sim, lack_of_memory_is_told)
{
	struct end first;

	open_end(&first, "alice", ""); /* OpenSSL itself does not survive it when it starts */
	close_end(&first);
	TEST_EACH_ALLOCATION (number, 1) {
		_cleanup_(device_url_freep) struct device_url *url = NULL;
		_cleanup_(freep) char *what = NULL;
		struct end end = {};
		int r;

		r = device_url_parse("sim://x?side=alice&rate=5&faults=%2Fx&seed=" SEED, &url,
				     &what);
		if (r == 0)
			r = driver_find("sim")->open(event, url, &handler, &end, &what,
						     &end.device);
		if (r == 0)
			r = end.device->driver->start_session(end.device);
		cr_assert(r == 0 || (r == -ENOMEM && test_allocation_has_failed()), "%ld: %d",
			  number, r);
		close_end(&end);
	}
}

Test(sim, a_call_without_memory_is_refused_or_answered)
{
	struct end alice;

	open_end(&alice, "alice", "");
	TEST_EACH_ALLOCATION (number, 1) {
		unsigned next = alice.answers + 1;
		int r;

		r = alice.device->driver->get_keys(alice.device, 3, on_keys, &alice);
		if (r == 0) {
			spin(&alice.answers, next);
			r = alice.result;
		}
		cr_assert_eq(r, test_allocation_has_failed() ? -ENOMEM : 0);
	}
	close_end(&alice);
}
