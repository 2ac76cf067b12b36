/* SPDX-License-Identifier: MIT */
/*
 * The simulator in raw mode: a transmitter (side=alice) and a receiver (side=bob) whose "quantum
 * channel" is a TCP connection of their own from alice to bob at the URL's host and port. Alice
 * draws what bob detects, keeps her part of it and sends him his.
 *
 * A record on that connection is 8 bytes, little endian: basis, bit, and the time tag's distance
 * from the one before, zigzag. It stands for light: nothing protects it, and nothing needs to.
 */

#include "drivers/sim-raw.h"

#include <endian.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "drivers/sim-raw-url.h"

#define BATCH        8192 /* detections at once */
#define RECORD_BYTES 8
#define GATHER_USEC  (2 * USEC_PER_MSEC) /* light for one answer: less costs more wakeups */
#define REDIAL_USEC  (300 * USEC_PER_MSEC)
#define PORT_CHARS   sizeof("65535")

struct sim_raw {
	struct device device;
	sd_event *event;
	struct device_handler handler;
	void *userdata;
	struct sim_raw_settings settings;
	bool transmits;
	char *host, port[PORT_CHARS];
	int listen_fd, fd;
	sd_event_source *listener, *io, *timer;
	struct sim_optics *optics;
	uint64_t began_usec;
	uint64_t next_usec; /* alice: when enough light has gathered again */
	int64_t last_tag;
	/* The call under way. */
	device_detections_t done;
	void *done_userdata;
	size_t max;
	/* alice: records that are not yet sent; bob: bytes of a record that is not whole. */
	uint8_t *records;
	size_t record_start, record_end;
	struct sim_event *events;
	struct detection *detections;
};

static struct sim_raw *from_device(const struct device *device)
{
	return CONTAINER_OF((struct device *)device, struct sim_raw, device);
}

static void hang_up(struct sim_raw *raw)
{
	raw->io = sd_event_source_disable_unref(raw->io);
	raw->listener = sd_event_source_disable_unref(raw->listener);
	raw->timer = sd_event_source_disable_unref(raw->timer);
	closep(&raw->fd);
	closep(&raw->listen_fd);
	raw->fd = raw->listen_fd = -1;
	raw->optics = sim_optics_free(raw->optics);
	raw->done = NULL;
	raw->record_start = raw->record_end = 0;
	raw->device.state = DEVICE_INACTIVE;
}

static struct sim_raw *sim_raw_free(struct sim_raw *raw)
{
	if (!raw)
		return NULL;
	hang_up(raw);
	sd_event_unref(raw->event);
	secret_mfree(raw->records);
	secret_mfree(raw->events);
	secret_mfree(raw->detections);
	free(raw->host);
	free(raw);
	return NULL;
}
DEFINE_CLEANUP(struct sim_raw *, sim_raw_free);

static void end(struct sim_raw *raw, const char *reason)
{
	hang_up(raw);
	raw->handler.on_end(&raw->device, DEVICE_RETRY, reason, raw->userdata);
}

static void enter(struct sim_raw *raw, enum device_state state)
{
	raw->device.state = state;
	raw->handler.on_state(&raw->device, state, raw->userdata);
}

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static void answer(struct sim_raw *raw, size_t count)
{
	device_detections_t done = TAKE_PTR(raw->done);

	done(&raw->device, raw->detections, count, raw->done_userdata);
}

static int set_timer(struct sim_raw *raw, uint64_t usec, sd_event_time_handler_t handler)
{
	raw->timer = sd_event_source_disable_unref(raw->timer);
	return sd_event_add_time_relative(raw->event, &raw->timer, CLOCK_MONOTONIC, usec, 500,
					  handler, raw);
}

/* Alice */

static uint64_t zigzag(int64_t x)
{
	return (uint64_t)x << 1 ^ (uint64_t)(x >> 63);
}

static int64_t unzigzag(uint64_t x)
{
	return (int64_t)(x >> 1) ^ -(int64_t)(x & 1);
}

static void put_record(struct sim_raw *raw, const struct sim_event *event)
{
	uint64_t record = zigzag(event->tag_ps - raw->last_tag) << 2 |
			  (uint64_t)event->receiver_bit << 1 | event->receiver_basis;

	record = htole64(record);
	memcpy(raw->records + raw->record_end, &record, RECORD_BYTES);
	raw->record_end += RECORD_BYTES;
	raw->last_tag = event->tag_ps;
}

/* Negative errno when the connection is gone. */
static int send_records(struct sim_raw *raw)
{
	while (raw->record_start < raw->record_end) {
		ssize_t n = send(raw->fd, raw->records + raw->record_start,
				 raw->record_end - raw->record_start, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		raw->record_start += (size_t)n;
	}
	raw->record_start = raw->record_end = 0;
	return 0;
}

/* The light that there has been time for. */
static size_t draw(struct sim_raw *raw)
{
	double elapsed_ps;
	uint64_t end_slot, now = now_usec();
	size_t drawn, count = 0, room = MIN(raw->max, (size_t)BATCH);

	if (raw->began_usec == 0)
		raw->began_usec = now;
	elapsed_ps = (double)(now - raw->began_usec) * 1e6 * raw->settings.pace;
	end_slot = (uint64_t)(elapsed_ps / raw->settings.optics.period_ps);
	drawn = sim_optics_draw(raw->optics, end_slot, raw->events, room);
	raw->next_usec = drawn < room ? now + GATHER_USEC : 0;
	for (size_t i = 0; i < drawn; i++) {
		const struct sim_event *e = &raw->events[i];

		put_record(raw, e);
		if (e->slot < raw->settings.optics.sync_slots)
			continue;
		raw->detections[count++] = (struct detection){
			.time = e->slot,
			.basis = e->sender_basis,
			.bit = e->sender_bit,
			.intensity = e->intensity,
		};
	}
	return count;
}

static int on_alice_time(sd_event_source *source, uint64_t usec, void *userdata);

/* Draws nothing while bob does not take what was drawn. */
static void transmit(struct sim_raw *raw)
{
	size_t count;

	if (raw->done && raw->record_end == 0 && now_usec() >= raw->next_usec) {
		count = draw(raw);
		if (send_records(raw) < 0) {
			end(raw, "the simulated light reaches nobody any more");
			return;
		}
		if (count > 0) {
			answer(raw, count);
			return;
		}
	}
	if (raw->done && set_timer(raw, GATHER_USEC, on_alice_time) < 0)
		end(raw, "no timer");
}

static int on_alice_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct sim_raw *raw = userdata;

	if (raw->record_end > 0 && send_records(raw) < 0)
		end(raw, "the simulated light reaches nobody any more");
	else
		transmit(raw);
	return 0;
}

/* Bob */

static size_t take_records(struct sim_raw *raw)
{
	size_t whole = raw->record_end / RECORD_BYTES, rest = raw->record_end % RECORD_BYTES;

	for (size_t i = 0; i < whole; i++) {
		uint64_t record;

		memcpy(&record, raw->records + i * RECORD_BYTES, RECORD_BYTES);
		record = le64toh(record);
		raw->last_tag += unzigzag(record >> 2);
		raw->detections[i] = (struct detection){
			.time = (uint64_t)raw->last_tag,
			.basis = record & 1,
			.bit = record >> 1 & 1,
		};
	}
	memmove(raw->records, raw->records + whole * RECORD_BYTES, rest);
	raw->record_end = rest;
	return whole;
}

static void receive(struct sim_raw *raw)
{
	size_t room = MIN(raw->max, (size_t)BATCH) * RECORD_BYTES - raw->record_end;
	ssize_t n = recv(raw->fd, raw->records + raw->record_end, room, 0);
	size_t count;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end(raw, "the simulated light has gone out");
		return;
	}
	raw->record_end += (size_t)n;
	count = take_records(raw);
	if (count == 0)
		return;
	sd_event_source_set_io_events(raw->io, 0);
	answer(raw, count);
}

/* Session */

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct sim_raw *raw = userdata;
	uint8_t byte;

	if (raw->transmits) { /* bob says nothing: he hangs up */
		if (recv(raw->fd, &byte, 1, 0) == 0 || revents & (EPOLLERR | EPOLLHUP))
			end(raw, "the simulated light reaches nobody any more");
	} else if (raw->done) {
		receive(raw);
	} else if (revents & (EPOLLERR | EPOLLHUP)) {
		end(raw, "the simulated light has gone out");
	}
	return 0;
}

static int begin(struct sim_raw *raw)
{
	struct sim_optics_parameters optics = raw->settings.optics;
	int r = sd_event_add_io(raw->event, &raw->io, raw->fd, raw->transmits ? EPOLLIN : 0, on_io,
				raw);

	if (r < 0)
		return r;
	raw->last_tag = 0;
	raw->began_usec = raw->next_usec = 0; /* the light begins when it is first asked for */
	if (!raw->transmits)
		return 0;
	if (!raw->settings.has_seed &&
	    getrandom(&optics.seed, sizeof(optics.seed), 0) != sizeof(optics.seed))
		return -EIO;
	return sim_optics_new(&optics, &raw->optics);
}

static void connected(struct sim_raw *raw)
{
	raw->timer = sd_event_source_disable_unref(raw->timer);
	if (begin(raw) < 0) {
		end(raw, "no resources for the simulation");
		return;
	}
	for (enum device_state state = DEVICE_CONNECTED;
	     state <= DEVICE_SESSION_STARTED && raw->fd >= 0; state++)
		enter(raw, state);
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct sim_raw *raw = userdata;

	raw->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (raw->fd < 0)
		return 0;
	/* One light at a time. */
	raw->listener = sd_event_source_disable_unref(raw->listener);
	closep(&raw->listen_fd);
	raw->listen_fd = -1;
	connected(raw);
	return 0;
}

static int resolve(const struct sim_raw *raw, struct addrinfo **ret)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST, /* never waits for a name server */
	};

	return getaddrinfo(raw->host, raw->port, &hints, ret) == 0 ? 0 : -EADDRNOTAVAIL;
}

static int listen_for_light(struct sim_raw *raw)
{
	struct addrinfo *address;
	const int one = 1;
	int r = resolve(raw, &address);

	if (r < 0)
		return r;
	raw->listen_fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (raw->listen_fd < 0 ||
	    setsockopt(raw->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(raw->listen_fd, address->ai_addr, address->ai_addrlen) < 0 ||
	    listen(raw->listen_fd, 1) < 0)
		r = -errno;
	freeaddrinfo(address);
	if (r < 0)
		return r;
	return sd_event_add_io(raw->event, &raw->listener, raw->listen_fd, EPOLLIN, on_accept, raw);
}

static int on_dial_time(sd_event_source *source, uint64_t usec, void *userdata);

static int on_dialled(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct sim_raw *raw = userdata;
	int error = 0;
	socklen_t size = sizeof(error);

	raw->listener = sd_event_source_disable_unref(raw->listener);
	getsockopt(raw->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error == 0) {
		connected(raw);
		return 0;
	}
	closep(&raw->fd);
	raw->fd = -1;
	if (set_timer(raw, REDIAL_USEC, on_dial_time) < 0)
		end(raw, "no timer");
	return 0;
}

static int dial(struct sim_raw *raw)
{
	struct addrinfo *address;
	int r = resolve(raw, &address);

	if (r < 0)
		return r;
	raw->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (raw->fd < 0 ||
	    (connect(raw->fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS))
		r = -errno;
	freeaddrinfo(address);
	if (r < 0) {
		closep(&raw->fd);
		raw->fd = -1;
		return set_timer(raw, REDIAL_USEC, on_dial_time);
	}
	return sd_event_add_io(raw->event, &raw->listener, raw->fd, EPOLLOUT, on_dialled, raw);
}

static int on_dial_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct sim_raw *raw = userdata;
	int r = dial(raw);

	if (r < 0)
		end(raw, "the other side cannot be dialled");
	return 0;
}

static int raw_start_session(struct device *device)
{
	struct sim_raw *raw = from_device(device);
	int r;

	if (device->state != DEVICE_INACTIVE)
		return -EBUSY;
	device->state = DEVICE_LISTENING;
	r = raw->transmits ? dial(raw) : listen_for_light(raw);
	if (r < 0)
		hang_up(raw);
	return r < 0 ? r : 0;
}

static void raw_end_session(struct device *device)
{
	hang_up(from_device(device));
}

static void raw_close(struct device *device)
{
	_cleanup_(sim_raw_freep) struct sim_raw *raw = device ? from_device(device) : NULL;
}

static int raw_get_detections(struct device *device, size_t max, device_detections_t done,
			      void *userdata)
{
	struct sim_raw *raw = from_device(device);

	if (device->state != DEVICE_SESSION_STARTED)
		return -ENOTCONN;
	if (raw->done)
		return -EBUSY;
	if (max == 0)
		return -EINVAL;
	raw->done = done;
	raw->done_userdata = userdata;
	raw->max = max;
	if (raw->transmits)
		return set_timer(raw, 0, on_alice_time);
	return sd_event_source_set_io_events(raw->io, EPOLLIN);
}

static void raw_describe_source(const struct device *device, struct detection_source *ret)
{
	const struct sim_raw *raw = from_device(device);
	const struct sim_optics_parameters *optics = &raw->settings.optics;

	*ret = (struct detection_source){
		.transmits = raw->transmits,
		.intensity_count = optics->intensity_count,
		.time_is_tag = !raw->transmits,
		.period_ps = optics->period_ps,
		.sync_seed = optics->sync_seed,
		.sync_slots = optics->sync_slots,
		.sync_word = sim_optics_sync_word,
	};
	memcpy(ret->mean_photons, optics->mean_photons, sizeof(ret->mean_photons));
	memcpy(ret->probability, optics->probability, sizeof(ret->probability));
}

static int check_url(const struct device_url *url, char **ret_what)
{
	const char *missing = NULL;
	int r = device_url_check_parameters(url, sim_raw_parameters, ret_what);

	if (r < 0)
		return r;
	if (!url->side_is_given)
		missing = "side: alice or bob is expected";
	else if (url->port == 0)
		missing = "mode=raw: sim://HOST:PORT, where bob is reached, is expected";
	if (!missing)
		return 0;
	return asprintf(ret_what, "%s", missing) < 0 ? -ENOMEM : -EINVAL;
}

static int raw_open(sd_event *event, const struct device_url *url,
		    const struct device_handler *handler, void *userdata, char **ret_what,
		    struct device **ret)
{
	_cleanup_(sim_raw_freep) struct sim_raw *raw = calloc(1, sizeof(*raw));
	int r;

	if (!raw)
		return -ENOMEM;
	raw->fd = raw->listen_fd = -1;
	raw->device.driver = &sim_raw_driver;
	raw->event = sd_event_ref(event);
	raw->handler = *handler;
	raw->userdata = userdata;
	r = check_url(url, ret_what);
	if (r >= 0)
		r = sim_raw_url_read(url, &raw->settings, ret_what);
	if (r < 0)
		return r;
	raw->transmits = url->side == DEVICE_SIDE_ALICE;
	raw->host = strdup(url->host);
	snprintf(raw->port, sizeof(raw->port), "%u", url->port);
	raw->records = secret_malloc(BATCH * RECORD_BYTES);
	raw->events = secret_malloc(BATCH * sizeof(*raw->events));
	raw->detections = secret_malloc(BATCH * sizeof(*raw->detections));
	if (!raw->host || !raw->records || !raw->events || !raw->detections)
		return -ENOMEM;
	*ret = &TAKE_PTR(raw)->device;
	return 0;
}

const struct driver sim_raw_driver = {
	.scheme = "sim",
	.description = "simulated pair of devices that give detections",
	.yield = DRIVER_YIELDS_DETECTIONS,
	.parameters = sim_raw_parameters,
	.open = raw_open,
	.close = raw_close,
	.start_session = raw_start_session,
	.end_session = raw_end_session,
	.get_detections = raw_get_detections,
	.describe_source = raw_describe_source,
};
