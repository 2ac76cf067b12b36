/* SPDX-License-Identifier: MIT */
/* Two devices that give detections, with distillation behind them, on one loop: whole keys come
 * out, the same at both ends, and all of it begins anew after an interruption. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "qkd-linkd/distill/wegman-carter.h"
#include "qkd-linkd/distilled-device.h"
#include "tests/unit/support/test-directory.h"

#define PATIENCE_USEC (60 * USEC_PER_SEC)
#define KEYS          100
#define LIGHT         "&distance=0&key_basis=0.5&dead_nsec=0&pace=1000&offset_usec=500&drift_ppm=-7&seed=7"

struct end {
	struct device *device;
	struct end *other;
	struct storage *storage;
	bool is_connected;
	int results, result;
	unsigned ends, reconnects;
	struct key_batch *keys;
};

static sd_event *event;
static struct end ends[2];
static char *directory;
static uint16_t port;

/* Frames travel by the loop, in order, as on a channel. */
struct parcel {
	struct parcel *next;
	struct end *to;
	size_t size_bytes;
	uint8_t bytes[];
};

static struct parcel *first_parcel, **last_parcel = &first_parcel;
static sd_event_source *postman;

static int on_postman(sd_event_source *source, void *userdata)
{
	struct parcel *parcel = first_parcel;

	first_parcel = parcel->next;
	if (!first_parcel)
		last_parcel = &first_parcel;
	if (parcel->to->is_connected)
		distilled_device_receive(parcel->to->device, parcel->bytes, parcel->size_bytes);
	free(parcel);
	return sd_event_source_set_enabled(source, first_parcel ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int send_parcel(const void *bytes, size_t size_bytes, void *userdata)
{
	struct end *end = userdata;
	struct parcel *parcel = malloc(sizeof(*parcel) + size_bytes);

	parcel->next = NULL;
	parcel->to = end->other;
	parcel->size_bytes = size_bytes;
	memcpy(parcel->bytes, bytes, size_bytes);
	*last_parcel = parcel;
	last_parcel = &parcel->next;
	return sd_event_source_set_enabled(postman, SD_EVENT_ON);
}

/* What is under way is lost with the connection. */
static void lose_parcels(void)
{
	while (first_parcel) {
		struct parcel *parcel = first_parcel;

		first_parcel = parcel->next;
		free(parcel);
	}
	last_parcel = &first_parcel;
	sd_event_source_set_enabled(postman, SD_EVENT_OFF);
}

static void reconnect(const char *reason, void *userdata)
{
	struct end *end = userdata;

	end->reconnects++;
	end->is_connected = false;
	lose_parcels();
	if (end->other->is_connected) {
		end->other->is_connected = false;
		distilled_device_disconnected(end->other->device);
	}
}

static void on_state(struct device *device, enum device_state state, void *userdata)
{
}

static void on_end(struct device *device, enum device_end why, const char *reason, void *userdata)
{
	struct end *end = userdata;

	end->ends++;
}

static void on_keys(struct device *device, int result, struct key_batch *batch, const char *reason,
		    void *userdata)
{
	struct end *end = userdata;

	end->results++;
	end->result = result;
	key_batch_free(end->keys);
	end->keys = batch;
}

static uint16_t free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void open_end(unsigned i, const char *more)
{
	static const struct device_handler handler = {.on_state = on_state, .on_end = on_end};
	static const struct distilled_device_peer peer = {.send = send_parcel,
							  .reconnect = reconnect};
	_cleanup_(device_url_freep) struct device_url *url = NULL;
	_cleanup_(freep) char *what = NULL;
	struct distilled_device_settings settings = {.block_frames = 32, .window = 2};
	char text[512], secret[128];
	int r;

	snprintf(text, sizeof(text), "sim://127.0.0.1:%u?mode=raw&side=%s%s", port,
		 i ? "bob" : "alice", more);
	snprintf(secret, sizeof(secret), "%s/secret", directory);
	settings.storage = ends[i].storage;
	settings.secret_path = secret;
	cr_assert_eq(device_url_parse(text, &url, &what), 0, "%s", what);
	r = distilled_device_new(event, url, &settings, &handler, &ends[i], &what, &ends[i].device);
	cr_assert_eq(r, 0, "%s", what ? what : strerror(-r));
	cr_assert(distilled_device_is(ends[i].device));
	distilled_device_set_peer(ends[i].device, &peer, &ends[i]);
}

static void prepare(void)
{
	uint8_t secret[WEGMAN_CARTER_FIRST_BYTES];
	char path[128];
	FILE *file;

	cr_assert_geq(sd_event_new(&event), 0);
	cr_assert_geq(sd_event_add_defer(event, &postman, on_postman, NULL), 0);
	sd_event_source_set_enabled(postman, SD_EVENT_OFF);
	directory = test_directory_new();
	memset(secret, 0x35, sizeof(secret));
	snprintf(path, sizeof(path), "%s/secret", directory);
	file = fopen(path, "we");
	cr_assert_eq(fwrite(secret, 1, sizeof(secret), file), sizeof(secret));
	fclose(file);
	port = free_port();
	for (unsigned i = 0; i < 2; i++) {
		ends[i].other = &ends[!i];
		snprintf(path, sizeof(path), "%s/%u", directory, i);
		cr_assert_eq(storage_new_directory(path, &ends[i].storage), 0);
	}
}

static void dispose(void)
{
	for (unsigned i = 0; i < 2; i++) {
		if (ends[i].device)
			ends[i].device->driver->close(ends[i].device);
		key_batch_free(ends[i].keys);
		storage_free(ends[i].storage);
	}
	lose_parcels();
	sd_event_source_unref(postman);
	sd_event_unref(event);
	test_directory_remove(directory);
}

TestSuite(distilled_device, .init = prepare, .fini = dispose, .timeout = 90);

static void connect_ends(void)
{
	for (unsigned i = 0; i < 2; i++)
		ends[i].is_connected = true;
	for (unsigned i = 0; i < 2; i++)
		distilled_device_connected(ends[i].device);
}

static uint64_t now_usec(void)
{
	uint64_t now;

	sd_event_now(event, CLOCK_MONOTONIC, &now);
	return now;
}

static void wait_for(const int *counter, int value)
{
	uint64_t begin = now_usec();

	while (*counter < value && now_usec() - begin < PATIENCE_USEC)
		sd_event_run(event, 100000);
	cr_assert_geq(*counter, value, "nothing came in time");
}

static void wait_for_states(enum device_state state)
{
	uint64_t begin = now_usec();

	while ((ends[0].device->state != state || ends[1].device->state != state) &&
	       now_usec() - begin < PATIENCE_USEC)
		sd_event_run(event, 100000);
	cr_assert(ends[0].device->state == state && ends[1].device->state == state);
}

static void start_ends(void)
{
	for (unsigned i = 2; i-- > 0;)
		cr_assert_eq(ends[i].device->driver->start_session(ends[i].device), 0);
	wait_for_states(DEVICE_SESSION_STARTED);
}

/* From the leader, then by id from the follower. */
static void expect_keys(unsigned leader)
{
	struct end *a = &ends[leader], *b = &ends[!leader];
	int a_results = a->results, b_results = b->results;

	cr_assert_eq(a->device->driver->get_keys(a->device, KEYS, on_keys, a), 0);
	wait_for(&a->results, a_results + 1);
	cr_assert_eq(a->result, 0);
	cr_assert_eq(a->keys->count, KEYS);
	cr_assert_eq(b->device->driver->get_keys_by_id(b->device, a->keys->ids, KEYS, on_keys, b),
		     0);
	wait_for(&b->results, b_results + 1);
	cr_assert_eq(b->result, 0);
	cr_expect(secret_equal(a->keys->keys, b->keys->keys));
}

Test(distilled_device, detections_become_the_same_keys_at_both_ends)
{
	open_end(0, LIGHT);
	open_end(1, LIGHT);
	start_ends();
	connect_ends();
	expect_keys(0);
	expect_keys(1);
	cr_expect_float_eq(distilled_device_error_rate(ends[0].device), 0.015, 0.002);
	cr_expect_not(distilled_device_alarm(ends[0].device));
}

Test(distilled_device, ids_that_nobody_has_made_are_refused_after_a_while)
{
	struct uuid id;

	open_end(0, LIGHT);
	open_end(1, LIGHT);
	start_ends();
	connect_ends();
	expect_keys(0);
	id = ends[0].keys->ids[0]; /* given already */
	cr_assert_eq(
		ends[1].device->driver->get_keys_by_id(ends[1].device, &id, 1, on_keys, &ends[1]),
		0);
	wait_for(&ends[1].results, 2);
	cr_expect_eq(ends[1].result, -ENOKEY);
}

Test(distilled_device, light_and_session_begin_anew_when_the_connection_was_lost)
{
	open_end(0, LIGHT);
	open_end(1, LIGHT);
	start_ends();
	connect_ends();
	expect_keys(0);
	lose_parcels();
	for (unsigned i = 0; i < 2; i++) {
		ends[i].is_connected = false;
		distilled_device_disconnected(ends[i].device);
	}
	wait_for_states(DEVICE_INACTIVE);
	while (ends[0].ends == 0 || ends[1].ends == 0)
		sd_event_run(event, 10000);
	start_ends();
	connect_ends();
	expect_keys(1);
}

Test(distilled_device, an_eavesdropper_on_everything_gets_an_alarm_and_nobody_a_key)
{
	uint64_t begin = now_usec();

	open_end(0, LIGHT "&intercept=1");
	open_end(1, LIGHT "&intercept=1");
	start_ends();
	connect_ends();
	cr_assert_eq(ends[0].device->driver->get_keys(ends[0].device, 1, on_keys, &ends[0]), 0);
	while ((!distilled_device_alarm(ends[0].device) ||
		!distilled_device_alarm(ends[1].device)) &&
	       now_usec() - begin < PATIENCE_USEC)
		sd_event_run(event, 100000);
	cr_expect(distilled_device_alarm(ends[0].device));
	cr_expect(distilled_device_alarm(ends[1].device));
	cr_expect_eq(ends[0].results, 0);
	cr_expect_gt(distilled_device_error_rate(ends[1].device), 0.2);
}

Test(distilled_device, urls_without_a_side_or_a_port_are_refused)
{
	static const char *const wrong[] = {
		"sim://127.0.0.1:1?mode=raw",
		"sim://pair?mode=raw&side=alice",
		"sim://127.0.0.1:1?mode=raw&side=alice&mu=0.5/0.1/0&p=0.7/0.3",
		"sim://127.0.0.1:1?mode=raw&side=alice&efficiency=2",
		"sim://127.0.0.1:1?mode=raw&side=alice&distance=far",
		"sim://127.0.0.1:1?mode=raw&side=alice&rate=5",
	};

	for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
		static const struct device_handler nobody;
		_cleanup_(device_url_freep) struct device_url *url = NULL;
		_cleanup_(freep) char *what = NULL;
		struct device *device;

		cr_assert_eq(device_url_parse(wrong[i], &url, &what), 0);
		cr_expect_eq(driver_find("sim")->open(event, url, &nobody, NULL, &what, &device),
			     -EINVAL, "row %zu", i);
		cr_expect_not_null(what);
	}
}
