/* SPDX-License-Identifier: MIT */
/*
 * The etsi014 driver against two mock KMEs over mutual TLS, through every bad behaviour of real
 * servers that the driver has to live with.
 */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/sha.h>
#include <time.h>

#include "common/encoding.h"
#include "common/json-text.h"
#include "drivers/driver.h"
#include "tests/unit/support/kme-pair.h"

#define LIMIT_USEC       (15 * USEC_PER_SEC)
#define REGION_MAX_BYTES (UINT64_C(1) << 30) /* larger ones are a sanitizer's shadow */

static sd_event *event;

static void setup(void)
{
	if (!kme_pair_is_possible())
		cr_skip_test("no python3 or no tests/mock-kme from here");
	kme_pair_init();
	cr_assert(sd_event_new(&event) >= 0);
}

static void teardown(void)
{
	sd_event_unref(event);
	kme_pair_done();
}

/* Of a test that skips itself, Criterion calls no teardown(). */
static void skip(const char *why)
{
	kme_pair_done();
	cr_skip_test("%s", why);
}

TestSuite(etsi014, .init = setup, .fini = teardown, .timeout = 60);

/* ---- the two devices ---- */

struct end {
	struct device *device;
	unsigned last_state, ends, answers;
	enum device_end end;
	int result;
	struct key_batch *batch;
	char reason[512];
};

static struct end ends[2];

static void on_state(struct device *device, enum device_state state, void *userdata)
{
	struct end *end = userdata;

	cr_assert_eq(state, end->last_state + 1);
	end->last_state = state;
}

static void on_end(struct device *device, enum device_end why, const char *reason, void *userdata)
{
	struct end *end = userdata;

	cr_assert_eq(device->state, DEVICE_INACTIVE);
	end->last_state = 0;
	end->end = why;
	end->ends++;
	snprintf(end->reason, sizeof(end->reason), "%s", reason);
}

static void on_keys(struct device *device, int result, struct key_batch *batch, const char *reason,
		    void *userdata)
{
	struct end *end = userdata;

	cr_assert_eq(result == 0, batch != NULL);
	cr_assert(result == 0 || reason[0]);
	end->answers++;
	end->result = result;
	if (result != -ECANCELED)
		snprintf(end->reason, sizeof(end->reason), "%s", reason);
	if (batch) {
		key_batch_free(end->batch);
		end->batch = batch;
	}
}

static const struct device_handler handler = {on_state, on_end};

static int try_open(enum kme_side side, const char *rest, struct end *end, char **ret_what)
{
	_cleanup_(device_url_freep) struct device_url *url = NULL;
	char text[1024];

	snprintf(text, sizeof(text),
		 "etsi014://127.0.0.1:%u/?side=%s&sae=%s&peer_sae=%s&ca=%s/ca.crt&cert=%s/%s.crt"
		 "&key=%s/%s.key%s",
		 kme_pair_ports[side], kme_pair_saes[side], kme_pair_saes[side],
		 kme_pair_saes[!side], kme_pair_directory, kme_pair_directory, kme_pair_saes[side],
		 kme_pair_directory, kme_pair_saes[side], rest);
	cr_assert_eq(device_url_parse(text, &url, ret_what), 0, "%s", *ret_what);
	return driver_find("etsi014")->open(event, url, &handler, end, ret_what, &end->device);
}

static void spin(const unsigned *counter, unsigned until)
{
	uint64_t start, now;

	sd_event_now(event, CLOCK_MONOTONIC, &start);
	while (*counter < until) {
		sd_event_run(event, 100 * USEC_PER_MSEC);
		sd_event_now(event, CLOCK_MONOTONIC, &now);
		cr_assert_lt(now - start, LIMIT_USEC, "waited too long");
	}
}

static void start_session(struct end *end)
{
	unsigned ends_before = end->ends;

	end->device->driver->end_session(end->device);
	end->last_state = 0;
	cr_assert_eq(end->device->driver->start_session(end->device), 0);
	while (end->last_state < DEVICE_SESSION_STARTED && end->ends == ends_before)
		sd_event_run(event, UINT64_MAX);
}

static void open_end(enum kme_side side, const char *rest)
{
	char *what = NULL;

	cr_assert_eq(try_open(side, rest, &ends[side], &what), 0, "%s", what);
	start_session(&ends[side]);
	cr_assert_eq(ends[side].ends, 0, "%s", ends[side].reason);
	cr_assert_eq(ends[side].device->state, DEVICE_SESSION_STARTED);
}

static void open_both(const char *rest)
{
	kme_pair_start(ALICE, NULL);
	kme_pair_start(BOB, NULL);
	open_end(ALICE, rest);
	open_end(BOB, rest);
}

static void close_both(void)
{
	for (enum kme_side side = ALICE; side <= BOB; side++) {
		struct end *end = &ends[side];

		if (end->device)
			end->device->driver->close(end->device);
		key_batch_free(end->batch);
	}
}

static int get(struct end *end, size_t count)
{
	unsigned next = end->answers + 1;

	cr_assert_eq(end->device->driver->get_keys(end->device, count, on_keys, end), 0);
	spin(&end->answers, next);
	return end->result;
}

static int get_by_id(struct end *end, const struct key_batch *batch)
{
	unsigned next = end->answers + 1;

	cr_assert_eq(end->device->driver->get_keys_by_id(end->device, batch->ids, batch->count,
							 on_keys, end),
		     0);
	spin(&end->answers, next);
	return end->result;
}

/* ---- what has to work ---- */

static bool both_are_equal(void)
{
	const struct key_batch *a = ends[ALICE].batch, *b = ends[BOB].batch;

	return a->count == b->count && memcmp(a->ids, b->ids, a->count * sizeof(*a->ids)) == 0 &&
	       memcmp(a->keys->bytes, b->keys->bytes, a->count * a->key_bytes) == 0;
}

/* Digest of this id in a KME's list of deliveries, which must name it once. */
static void find_delivery(enum kme_side side, const char *id, char ret_digest[static 65])
{
	char path[96], line[1024];
	unsigned found = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/state/deliveries.%s", kme_pair_directory,
		 kme_pair_names[side]);
	file = fopen(path, "r");
	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file)) {
		json_t *entry = json_loads(line, 0, NULL);

		if (str_equal(json_string_value(json_object_get(entry, "key_ID")), id)) {
			found++;
			snprintf(ret_digest, 65, "%s",
				 json_string_value(json_object_get(entry, "digest")));
		}
		json_decref(entry);
	}
	fclose(file);
	cr_assert_eq(found, 1);
}

static void check_deliveries(const struct key_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		char id[UUID_CHARS + 1], a[65] = "", b[65] = "", ours[65] = "";
		uint8_t digest[32];

		uuid_format(&batch->ids[i], id);
		find_delivery(ALICE, id, a);
		find_delivery(BOB, id, b);
		SHA256(key_batch_key(batch, i), batch->key_bytes, digest);
		hex_encode(digest, sizeof(digest), ours);
		cr_assert_str_eq(a, b);
		cr_assert_str_eq(a, ours);
	}
}

Test(etsi014, both_sides_get_the_keys_that_the_kme_gave_each_once)
{
	open_both("");
	cr_assert_eq(get(&ends[ALICE], 5), 0);
	cr_assert_eq(ends[ALICE].batch->count, 5);
	cr_assert_eq(get_by_id(&ends[BOB], ends[ALICE].batch), 0);
	cr_assert(both_are_equal());
	check_deliveries(ends[ALICE].batch);
	cr_assert_eq(get_by_id(&ends[BOB], ends[ALICE].batch), -ENOKEY);
	close_both();
}

Test(etsi014, many_keys_are_asked_for_in_parts_that_the_kme_allows)
{
	static const char *const few[] = {"--max-per-request=3", NULL};

	kme_pair_start(ALICE, NULL);
	kme_pair_start(BOB, few);
	open_end(ALICE, "&keybits=512");
	open_end(BOB, "&keybits=512");
	cr_assert_eq(get(&ends[ALICE], 1000), 0);
	cr_assert_eq(ends[ALICE].batch->count, 128);
	ends[ALICE].batch->count = 10;
	cr_assert_eq(get_by_id(&ends[BOB], ends[ALICE].batch), 0);
	cr_assert_eq(ends[BOB].batch->count, 10);
	cr_assert(both_are_equal());
	close_both();
}

Test(etsi014, a_later_part_that_fails_is_asked_for_again_before_the_earlier_ones_are_lost)
{
	static const char *const few[] = {"--max-per-request=3", NULL};
	static const struct {
		const char *fault;
		int result;
	} cases[] = {
		{"status=503,on=dec_keys,skip=1,times=2", 0},
		{"close=before,on=dec_keys,skip=2,times=2", 0},
		{"status=503,on=dec_keys,skip=1", -EAGAIN},
		{"status=404,on=dec_keys,skip=1,times=1", -ENOKEY},
	};

	kme_pair_start(ALICE, NULL);
	kme_pair_start(BOB, few);
	open_end(ALICE, "");
	open_end(BOB, "");
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		kme_pair_set_fault(BOB, "");
		cr_assert_eq(get(&ends[ALICE], 8), 0);
		kme_pair_set_fault(BOB, cases[i].fault);
		cr_assert_eq(get_by_id(&ends[BOB], ends[ALICE].batch), cases[i].result, "%s: %s",
			     cases[i].fault, ends[BOB].reason);
		if (cases[i].result == 0)
			cr_assert(both_are_equal(), "%s", cases[i].fault);
	}
	close_both();
}

Test(etsi014, several_calls_may_be_under_way)
{
	struct end *alice = &ends[ALICE];

	open_both("");
	for (int i = 0; i < 20; i++)
		cr_assert_eq(alice->device->driver->get_keys(alice->device, 10, on_keys, alice), 0);
	spin(&alice->answers, 20);
	cr_assert_eq(alice->result, 0);
	close_both();
}

/* What a region of our memory holds; secret regions cannot be read this way, which is the point. */
static bool region_holds(int memory, uint64_t start, uint64_t end, const uint8_t *wanted,
			 size_t size, uint8_t *buffer, size_t buffer_size)
{
	for (uint64_t at = start; at < end; at += buffer_size - size) {
		ssize_t n = pread(memory, buffer, MIN(buffer_size, end - at), (off_t)at);

		if (n <= 0)
			return false;
		if (memmem(buffer, (size_t)n, wanted, size))
			return true;
	}
	return false;
}

static unsigned count_regions_with(const uint8_t *wanted, size_t size)
{
	static uint8_t buffer[1 << 16];
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned found = 0;
	char line[512];

	cr_assert(memory >= 0 && maps);
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end;
		char mode[5];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, mode) == 3 &&
		    mode[1] == 'w' && end - start < REGION_MAX_BYTES &&
		    !(start <= (uintptr_t)buffer && (uintptr_t)buffer < end) &&
		    region_holds(memory, start, end, wanted, size, buffer, sizeof(buffer)))
			found++;
	}
	fclose(maps);
	close(memory);
	return found;
}

Test(etsi014, no_key_stays_in_ordinary_memory)
{
	volatile uint8_t bait[20];

	cr_assert_eq(secret_harden_process(), 0);
	open_both("");
	cr_assert_eq(get(&ends[ALICE], 20), 0);
	cr_assert_eq(get_by_id(&ends[BOB], ends[ALICE].batch), 0);
#ifdef __SANITIZE_ADDRESS__
	skip("a sanitizer copies what it looks at");
#endif
	if (strcmp(secret_backing(), "memfd_secret") != 0)
		skip("secret memory can be read here");
	for (size_t i = 0; i < 20; i++) {
		_cleanup_(secret_freep) struct secret *chars = NULL;
		const uint8_t *key = key_batch_key(ends[BOB].batch, i);

		cr_assert_eq(secret_new(BASE64_CHARS(32), &chars), 0);
		base64_encode(key, 32, (char *)chars->bytes);
		cr_assert_eq(count_regions_with(key, 16), 0);
		cr_assert_eq(count_regions_with(chars->bytes, 20), 0);
	}
	/* The search itself finds what is there. */
	for (size_t i = 0; i < sizeof(bait); i++)
		bait[i] = key_batch_key(ends[BOB].batch, 0)[i];
	cr_assert_gt(count_regions_with(key_batch_key(ends[BOB].batch, 0), 20), 0);
	cr_assert_eq(bait[0], key_batch_key(ends[BOB].batch, 0)[0]);
	close_both();
}

/* ---- bad servers ---- */

struct row {
	const char *fault;
	int result;
	size_t count; /* of 3 */
};

static const struct row bad_enc_keys[] = {
	{"", 0, 3},
	{"fewer", 0, 2},
	{"more", 0, 3},
	{"empty", -EAGAIN, 0},
	{"size=128", -EPROTO, 0},
	{"size=24", -EPROTO, 0},
	{"duplicate", 0, 2},
	{"repeat", -EPROTO, 0},
	{"same-key", -EPROTO, 0},
	{"reverse", 0, 3},
	{"bad-base64", -EPROTO, 0},
	{"bad-id", -EPROTO, 0},
	{"members", 0, 3},
	{"no-keys", -EPROTO, 0},
	{"not-json", -EPROTO, 0},
	{"truncate", -EPROTO, 0},
	{"deep", -EPROTO, 0},
	{"huge", -EMSGSIZE, 0},
	{"huge,no-length", -EMSGSIZE, 0},
	{"no-length", 0, 3},
	{"type=text/html", 0, 3},
	{"split=3", 0, 3},
	{"delay=50", 0, 3},
	{"close=before", -ECONNRESET, 0},
	{"close=before,times=1", 0, 3}, /* on a connection kept alive: asked again on a new one */
	{"close=middle", -ECONNRESET, 0},
	{"close=after", 0, 3},
	{"status=400", -EAGAIN, 0},
	{"status=400,details=body", -EAGAIN, 0},
	{"status=401,details=body", -EACCES, 0},
	{"status=403", -EACCES, 0},
	{"status=404", -EAGAIN, 0},
	{"status=409", -EAGAIN, 0},
	{"status=412", -EAGAIN, 0},
	{"status=500", -EREMOTEIO, 0},
	{"status=503,details=none", -EAGAIN, 0},
	{"status=503,details=array", -EAGAIN, 0},
	{"status=504", -EREMOTEIO, 0},
	{"status=302", -EPROTO, 0},
};

Test(etsi014, the_leader_lives_with_each_bad_server)
{
	open_both("");
	for (size_t i = 0; i < ELEMENTSOF(bad_enc_keys); i++) {
		const struct row *row = &bad_enc_keys[i];

		kme_pair_set_fault(ALICE, "");
		start_session(&ends[ALICE]); /* ends the back-off */
		kme_pair_set_fault(ALICE, row->fault);
		cr_assert_eq(get(&ends[ALICE], 3), row->result, "%s: %d, %s", row->fault,
			     ends[ALICE].result, ends[ALICE].reason);
		if (row->result == 0)
			cr_assert_eq(ends[ALICE].batch->count, row->count, "%s: %zu, %s",
				     row->fault, ends[ALICE].batch->count, ends[ALICE].reason);
	}
	cr_assert_eq(ends[ALICE].ends, 0);
	close_both();
}

static const struct row bad_dec_keys[] = {
	{"", 0, 3},
	{"fewer", -ENOKEY, 0},
	{"more", 0, 3},
	{"empty", -ENOKEY, 0},
	{"size=128", -EPROTO, 0},
	{"duplicate", -EPROTO, 0},
	{"repeat", -ENOKEY, 0},
	{"same-key", -EPROTO, 0},
	{"reverse", 0, 3},
	{"unknown", -ENOKEY, 0},
	{"bad-base64", -EPROTO, 0},
	{"bad-id", -ENOKEY, 0},
	{"members", 0, 3},
	{"not-json", -EPROTO, 0},
	{"huge", -EMSGSIZE, 0},
	{"split=3", 0, 3},
	{"close=before", -ECONNRESET, 0},
	{"close=after", 0, 3},
	{"status=400", -ENOKEY, 0},
	{"status=401,details=body", -EACCES, 0},
	{"status=403", -ENOKEY, 0},
	{"status=404,details=array", -ENOKEY, 0},
	{"status=409", -ENOKEY, 0},
	{"status=500", -EREMOTEIO, 0},
	{"status=503", -EAGAIN, 0},
	{"status=504", -EREMOTEIO, 0},
};

Test(etsi014, the_other_side_lives_with_each_bad_server)
{
	open_both("");
	for (size_t i = 0; i < ELEMENTSOF(bad_dec_keys); i++) {
		const struct row *row = &bad_dec_keys[i];

		cr_assert_eq(get(&ends[ALICE], 3), 0);
		kme_pair_set_fault(BOB, row->fault);
		cr_assert_eq(get_by_id(&ends[BOB], ends[ALICE].batch), row->result, "%s: %d, %s",
			     row->fault, ends[BOB].result, ends[BOB].reason);
		if (row->result == 0)
			cr_assert(both_are_equal(), "%s", row->fault);
	}
	cr_assert_eq(ends[BOB].ends, 0);
	close_both();
}

Test(etsi014, unequal_keys_pass_because_only_a_confirmation_can_tell)
{
	open_both("");
	kme_pair_set_fault(BOB, "unequal");
	cr_assert_eq(get(&ends[ALICE], 1), 0);
	cr_assert_eq(get_by_id(&ends[BOB], ends[ALICE].batch), 0);
	cr_assert(!both_are_equal());
	close_both();
}

Test(etsi014, an_sae_that_the_kme_does_not_serve_is_refused)
{
	static const char *const other[] = {"--sae=carol", NULL};
	char *what = NULL;

	kme_pair_start(BOB, other);
	cr_assert_eq(try_open(BOB, "", &ends[BOB], &what), 0);
	start_session(&ends[BOB]);
	cr_assert_eq(ends[BOB].ends, 1);
	cr_assert_eq(ends[BOB].end, DEVICE_RETRY);
	cr_assert(strstr(ends[BOB].reason, "401"), "%s", ends[BOB].reason);
	close_both();
}

/* ---- pace and ends ---- */

Test(etsi014, an_empty_kme_is_asked_less_and_less_often)
{
	static const char *const empty[] = {"--rate=0.000001", NULL};
	struct end *alice = &ends[ALICE];
	uint64_t start, now;

	kme_pair_start(ALICE, empty);
	open_end(ALICE, "");
	sd_event_now(event, CLOCK_MONOTONIC, &start);
	do {
		cr_assert_eq(get(alice, 1), -EAGAIN, "%s", alice->reason);
		sd_event_now(event, CLOCK_MONOTONIC, &now);
	} while (now - start < 3 * USEC_PER_SEC);
	cr_assert_leq(alice->answers, 6); /* at 0, 0.25, 0.75, 1.75, 3.75 s */
	close_both();
}

Test(etsi014, a_session_that_ends_answers_its_calls)
{
	struct end *alice = &ends[ALICE];

	open_both("");
	kme_pair_set_fault(ALICE, "on=enc_keys,delay=5000");
	for (int i = 0; i < 3; i++)
		cr_assert_eq(alice->device->driver->get_keys(alice->device, 1, on_keys, alice), 0);
	sd_event_run(event, 0);
	sd_event_run(event, 0);
	alice->device->driver->end_session(alice->device);
	cr_assert_eq(alice->answers, 0);
	spin(&alice->answers, 3);
	cr_assert_eq(alice->result, -ECANCELED);
	cr_assert_eq(alice->ends, 0);
	cr_assert_eq(alice->device->driver->get_keys(alice->device, 1, on_keys, alice), -ENOTCONN);
	close_both();
}

Test(etsi014, an_unreachable_kme_ends_the_session_and_a_killed_one_has_forgotten_nothing)
{
	struct end *bob = &ends[BOB];

	open_both("");
	cr_assert_eq(get(&ends[ALICE], 3), 0);
	kme_pair_kill(BOB);
	cr_assert_lt(get_by_id(bob, ends[ALICE].batch), 0);
	cr_assert_eq(get_by_id(bob, ends[ALICE].batch), -ECONNREFUSED, "%s", bob->reason);
	cr_assert_eq(get_by_id(bob, ends[ALICE].batch), -ECANCELED);
	spin(&bob->ends, 1);
	cr_assert_eq(bob->end, DEVICE_RETRY);
	start_session(bob);
	cr_assert_eq(bob->ends, 2);
	kme_pair_start(BOB, NULL);
	start_session(bob);
	cr_assert_eq(bob->ends, 2);
	cr_assert_eq(get_by_id(bob, ends[ALICE].batch), 0);
	cr_assert(both_are_equal());
	close_both();
}

static const struct {
	const char *fault;
	enum device_end end;
	const char *reason;
} bad_status[] = {
	{"on=status,status=401,details=body", DEVICE_RETRY, "401"},
	{"on=status,status=503", DEVICE_RETRY, "503"},
	{"on=status,status=405", DEVICE_GIVE_UP, "405"},
	{"on=status,not-json", DEVICE_RETRY, "not a JSON object"},
	{"on=status,truncate", DEVICE_RETRY, "not a JSON object"},
	{"on=status,close=before", DEVICE_RETRY, ""},
};

Test(etsi014, a_session_without_a_good_status_does_not_begin)
{
	struct end *alice = &ends[ALICE];

	open_both("");
	for (size_t i = 0; i < ELEMENTSOF(bad_status); i++) {
		kme_pair_set_fault(ALICE, bad_status[i].fault);
		start_session(alice);
		cr_assert_eq(alice->ends, i + 1, "%s", bad_status[i].fault);
		cr_assert_eq(alice->end, bad_status[i].end, "%s", bad_status[i].fault);
		cr_assert(strstr(alice->reason, bad_status[i].reason), "%s", alice->reason);
	}
	kme_pair_set_fault(ALICE, "");
	start_session(alice);
	cr_assert_eq(alice->device->state, DEVICE_SESSION_STARTED);
	close_both();
}

Test(etsi014, what_the_kme_says_of_the_request_is_a_wrong_configuration)
{
	struct end *alice = &ends[ALICE];

	open_both("");
	kme_pair_set_fault(ALICE, "status=400,message=size shall be a multiple of 8");
	cr_assert_eq(get(alice, 1), -ECANCELED);
	spin(&alice->ends, 1);
	cr_assert_eq(alice->end, DEVICE_WRONG_CONFIGURATION);
	cr_assert(strstr(alice->reason, "multiple of 8"));
	close_both();
}

static void check_never_starts(const char *rest, enum device_end end, const char *reason)
{
	struct end alice = {};
	char *what = NULL;

	cr_assert_eq(try_open(ALICE, rest, &alice, &what), 0, "%s", what);
	start_session(&alice);
	cr_assert_eq(alice.ends, 1);
	cr_assert_eq(alice.end, end);
	cr_assert(strstr(alice.reason, reason), "%s", alice.reason);
	alice.device->driver->close(alice.device);
}

Test(etsi014, a_kme_that_cannot_give_what_the_url_wants_is_told)
{
	static const char *const small[] = {"--max-size=128", "--key-size=128", NULL};

	kme_pair_start(ALICE, small);
	check_never_starts("", DEVICE_WRONG_CONFIGURATION, "keys of 64 to 128 bits");
	kme_pair_set_fault(ALICE, "on=status,sae=mallory");
	check_never_starts("&keybits=128", DEVICE_WRONG_CONFIGURATION, "another SAE");
	kme_pair_set_fault(ALICE, "");
	open_end(ALICE, "&keybits=128");
	cr_assert_eq(get(&ends[ALICE], 1), 0);
	close_both();
}

/* Another file in place of one of the certificates. */
Test(etsi014, certificates_are_checked_on_both_sides)
{
	kme_pair_start(ALICE, NULL);
	kme_pair_make_ca("stranger");
	open_end(ALICE, "&server_name=kme-a");
	check_never_starts("&server_name=kme-b", DEVICE_RETRY, "kme-b");
	cr_assert_eq(
		kme_pair_shell("cd %s && cp stranger.crt alice.crt && cp stranger.key alice.key",
			       kme_pair_directory),
		0);
	check_never_starts("", DEVICE_RETRY, "");
	cr_assert_eq(kme_pair_shell("cd %s && cp stranger.crt ca.crt", kme_pair_directory), 0);
	check_never_starts("", DEVICE_RETRY, "certificate");
	cr_assert_eq(kme_pair_shell("cd %s && echo nonsense > alice.key", kme_pair_directory), 0);
	check_never_starts("", DEVICE_WRONG_CONFIGURATION, "alice.key");
	close_both();
}
