/* SPDX-License-Identifier: MIT */

/*
 * One link, from the events of its parts to the calls of its parts. The sync machine decides about
 * transactions; what is here is only who is asked next, what is told to whom, and what is logged.
 */

#include "qkd-linkd/link-private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/file.h>
#include <systemd/sd-daemon.h>

#include "common/events.h"
#include "common/log.h"

/* The disk failed or contradicts itself: nobody knows what it holds until it is read again. */
void link_check(struct link *link, int r)
{
	struct log_fields fields = {.error = -r};

	if (r >= 0 || link->is_ending)
		return;
	link->is_ending = true;
	log_event(LOG_CRIT, EVENT_DISK_FAILED, &fields, "%s in %s; ending, to recover from it",
		  r == -EBADMSG ? "Journal and key files contradict each other" : strerror(-r),
		  link->config->home);
	sd_event_exit(link->event, EXIT_FAILURE);
}

uint64_t link_now(const struct link *link)
{
	uint64_t now = 0;

	sd_event_now(link->event, CLOCK_MONOTONIC, &now);
	return now;
}

/* The leader: as many calls to the device as transactions may begin. */
void link_pump(struct link *link)
{
	if (!link->is_ending && link_config_is_leader(link->config))
		link_device_ask(link->device, sync_machine_room(link->machine),
				link->config->keys_per_transaction);
}

/* Flush */

static void flush(struct link *link)
{
	uint64_t begun_usec = statistics_clock_usec();

	link->wants_flush = false;
	sd_event_source_set_enabled(link->flush, SD_EVENT_OFF);
	if (link->is_ending)
		return;
	link_check(link, sync_machine_flush(link->machine));
	statistics_update(&link->statistics.values[LINK_STATISTIC_FLUSH],
			  statistics_clock_usec() - begun_usec);
	link_tell_agreed(link);
	link_pump(link);
}

/* Has the lowest priority, so it comes when nothing else is pending. */
static int on_flush(sd_event_source *source, void *userdata)
{
	flush(userdata);
	return 0;
}

/* A peer that never pauses does not keep a flush waiting. */
void link_flush_if_late(struct link *link)
{
	if (link->wants_flush && link_now(link) - link->flush_wanted_usec > LINK_FLUSH_LATEST_USEC)
		flush(link);
}

static int on_wake(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link *link = userdata;

	if (link->is_ending)
		return 0;
	link_check(link, sync_machine_timer(link->machine));
	link_pump(link);
	return 0;
}

/* The device */

static void on_device_state(enum device_state state, void *userdata)
{
	struct link *link = userdata;
	struct log_fields fields = {.peer = link->config->peer};
	/* Each new try of a device that fails ends in the same state. */
	bool matters = (state == DEVICE_SESSION_STARTED || state == DEVICE_INACTIVE) &&
		       state != link->told_state;

	if (matters)
		link->told_state = state;
	log_event(matters ? LOG_INFO : LOG_DEBUG, EVENT_LINK_STATE, &fields, "Link %s is %s",
		  link->config->link, device_state_name(state));
	link_status_changed(link);
	link_pump(link);
}

static void on_device_keys(struct key_batch *keys, void *userdata)
{
	struct link *link = userdata;

	if (link->is_ending) {
		key_batch_free(keys);
		return;
	}
	link_check(link, sync_machine_keys(link->machine, keys));
	link_pump(link);
	link_flush_if_late(link);
}

static void on_device_fetched(uint64_t txn, int result, struct key_batch *keys, void *userdata)
{
	struct link *link = userdata;

	if (link->is_ending) {
		key_batch_free(keys);
		return;
	}
	link_check(link, sync_machine_fetched(link->machine, txn, result, keys));
	link_flush_if_late(link);
}

static void on_device_resumed(void *userdata)
{
	link_pump(userdata);
}

/* The peer */

static void on_peer_connected(void *userdata)
{
	struct link *link = userdata;
	struct device *distilled = link_device_distilled(link->device);

	if (link->is_ending)
		return;
	link_check(link, sync_machine_connect(link->machine));
	if (distilled)
		distilled_device_connected(distilled);
}

static int on_peer_binary(const uint8_t *bytes, size_t size_bytes, void *userdata)
{
	struct link *link = userdata;
	struct device *distilled = link_device_distilled(link->device);

	return distilled ? distilled_device_receive(distilled, bytes, size_bytes) : -EBADMSG;
}

static void on_peer_message(const struct sync_message *message, void *userdata)
{
	struct link *link = userdata;

	if (link->is_ending)
		return;
	link_check(link, sync_machine_receive(link->machine, message));
	link_pump(link);
	link_flush_if_late(link);
}

static void on_peer_lost(const char *reason, void *userdata)
{
	struct link *link = userdata;
	struct log_fields fields = {.peer = link->config->peer};
	bool was_connected = sync_machine_is_connected(link->machine);

	sync_machine_disconnected(link->machine);
	if (link_device_distilled(link->device))
		distilled_device_disconnected(link_device_distilled(link->device));
	if (was_connected)
		log_event(LOG_NOTICE, EVENT_PEER_LOST, &fields, "Connection with %s ended: %s",
			  link->config->peer, reason);
	link_status_changed(link);
}

/* Distillation */

static int send_binary(const void *bytes, size_t size_bytes, void *userdata)
{
	struct link *link = userdata;

	return link->peer ? link_peer_send_binary(link->peer, bytes, size_bytes) : -ENOTCONN;
}

static void reconnect(const char *reason, void *userdata)
{
	struct link *link = userdata;

	if (link->peer && !link->is_ending)
		link_peer_reconnect(link->peer, reason);
}

static int open_device(struct link *link, const struct link_device_handler *handler)
{
	static const struct distilled_device_peer peer = {.send = send_binary,
							  .reconnect = reconnect};
	const struct distilled_device_settings distillation = {
		.storage = link->journal,
		.secret_path = link->config->distill_secret,
		.block_frames = link->config->distill_frames,
		.window = link->config->distill_window,
		.count_both_directions = link->config->distill_count_both,
	};
	int r = link_device_new(link->event, link->config->device, link->config->runtime,
				&distillation, handler, link, &link->device);

	if (r >= 0 && link_device_distilled(link->device))
		distilled_device_set_peer(link_device_distilled(link->device), &peer, link);
	return r;
}

/* Beginning and end */

static int open_home(struct link *link)
{
	const char *home = link->config->home;
	char path[PATH_MAX];
	int r;

	r = storage_new_directory(home, &link->state);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/%s", home, KEYFILE_HOME_SUBPATH);
	r = storage_new_directory(path, &link->keys);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/links/%s", home, link->config->link);
	r = storage_new_directory(path, &link->journal);
	if (r < 0)
		return r;
	strncat(path, "/lock", sizeof(path) - strlen(path) - 1);
	link->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (link->lock_fd < 0)
		return -errno;
	return flock(link->lock_fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static int open_machine(struct link *link)
{
	const struct link_config *config = link->config;
	struct sync_settings settings = {
		.role = link_config_is_leader(config) ? SYNC_LEADER : SYNC_FOLLOWER,
		.link = config->link,
		.peer = config->peer,
		.key_bits = link_device_key_bits(link->device),
		.window = (unsigned)config->window,
		.hold_usec = config->hold_sec * USEC_PER_SEC,
		.store_limit = config->store_limit_keys,
		.keys_per_transaction = (unsigned)config->keys_per_transaction,
		.foreign_consumer = config->consumer == LINK_CONSUMER_FILES,
		.confirm = config->confirm,
	};
	uint64_t torn_bytes = 0;
	unsigned open;
	int r;

	r = sync_machine_new(&settings, &link_sync_ops, link, link->journal, link->keys,
			     link->state, &torn_bytes, &link->machine);
	if (r < 0)
		return r;
	open = sync_machine_open(link->machine);
	if (open > 0 || torn_bytes > 0)
		log_event(LOG_NOTICE, EVENT_RECOVERED, NULL,
			  "Recovered: %u transactions open, %" PRIu64 " bytes of the journal torn",
			  open, torn_bytes);
	return 0;
}

void link_open_pool(struct link *link)
{
	const struct link_config *config = link->config;
	int r;

	if (config->consumer != LINK_CONSUMER_KEYRING || config->deposit_cap == 0)
		return;
	r = deposit_new(config->kernel_shared ? config->site : NULL, config->peer,
			config->deposit_cap, link_now(link), &link->deposit);
	if (r < 0)
		log_warning("No keys go into the kernel's pool: %s", strerror(-r));
}

static int open_sources(struct link *link)
{
	int r = sd_event_add_defer(link->event, &link->flush, on_flush, link);

	if (r >= 0)
		r = sd_event_source_set_enabled(link->flush, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_priority(link->flush, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_add_time(link->event, &link->wake, CLOCK_MONOTONIC, UINT64_MAX, 1,
				      on_wake, link);
	if (r >= 0)
		r = sd_event_source_set_enabled(link->wake, SD_EVENT_OFF);
	return r;
}

static int open_parts(struct link *link)
{
	static const struct link_device_handler device_handler = {
		.on_state = on_device_state,
		.on_keys = on_device_keys,
		.on_fetched = on_device_fetched,
		.on_resumed = on_device_resumed,
	};
	static const struct link_peer_handler peer_handler = {
		.on_connected = on_peer_connected,
		.on_message = on_peer_message,
		.on_binary = on_peer_binary,
		.on_lost = on_peer_lost,
	};
	int r;

	r = open_home(link);
	if (r < 0) {
		log_event(LOG_ERR, EVENT_START_FAILED, &(struct log_fields){.error = -r},
			  "Cannot use %s: %s", link->config->home,
			  r == -EWOULDBLOCK ? "another daemon runs this link" : strerror(-r));
		return r;
	}
	r = open_device(link, &device_handler);
	if (r < 0)
		return r;
	r = open_machine(link);
	if (r < 0) {
		struct log_fields fields = {.error = -r};

		log_event(LOG_CRIT,
			  r == -EACCES || r == -EPERM ? EVENT_START_FAILED : EVENT_DISK_FAILED,
			  &fields, "Cannot recover from %s/links/%s: %s", link->config->home,
			  link->config->link, strerror(-r));
		return r;
	}
	link_open_pool(link);
	r = link_peer_new(link->event, link->config, &peer_handler, link, &link->peer);
	if (r >= 0)
		r = link_statistics_open(link);
	if (r >= 0 && !str_equal(link->config->bus, "none"))
		r = link_bus_new(link->event, link->config->bus, link, &link->bus);
	return r;
}

int link_new(sd_event *event, struct link_config *config, const char *file, char *const *arguments,
	     struct link **ret)
{
	_cleanup_(link_freep) struct link *link = calloc(1, sizeof(*link));
	int r;

	if (!link) {
		link_config_free(config);
		return -ENOMEM;
	}
	link->event = sd_event_ref(event);
	link->config = config;
	link->file = file;
	link->arguments = arguments;
	link->lock_fd = -1;
	link_parameters_init(link);
	link->violation_limit =
		(struct log_ratelimit){.interval_usec = 60 * USEC_PER_SEC, .burst = 5};
	link->disk_limit = (struct log_ratelimit){.interval_usec = 60 * USEC_PER_SEC, .burst = 1};
	r = open_sources(link);
	if (r >= 0)
		r = open_parts(link);
	if (r >= 0)
		r = link_device_start(link->device);
	if (r < 0)
		return r;
	log_event(LOG_INFO, EVENT_DAEMON_STARTED, NULL,
		  "Link %s with %s (we %s), device %s, keys in %s", config->link, config->peer,
		  link_config_is_leader(config) ? "lead" : "follow", link_device_id(link->device),
		  secret_backing());
	link_status_changed(link);
	*ret = TAKE_PTR(link);
	return 0;
}

struct link *link_free(struct link *link)
{
	if (!link)
		return NULL;
	if (link->machine && !link->is_ending) {
		link->is_ending = true; /* the loop takes nothing more */
		(void)sync_machine_flush(link->machine);
	}
	link->is_ending = true;
	link_bus_free(link->bus);
	link_statistics_close(link);
	link_peer_free(link->peer);
	link_device_free(link->device);
	sync_machine_free(link->machine);
	deposit_free(link->deposit);
	sd_event_source_disable_unref(link->flush);
	sd_event_source_disable_unref(link->wake);
	sd_event_source_disable_unref(link->status_timer);
	sd_event_source_disable_unref(link->signal_timer);
	storage_free(link->journal);
	storage_free(link->keys);
	storage_free(link->state);
	closep(&link->lock_fd);
	link_config_free(link->config);
	sd_event_unref(link->event);
	free(link);
	return NULL;
}

/* What others ask */

int link_start(struct link *link)
{
	return link_device_start(link->device);
}

void link_stop(struct link *link)
{
	link_device_stop(link->device);
}
