/* SPDX-License-Identifier: MIT */

/*
 * The issuer as an object: what it is made of, in which order it starts and ends, and what it tells
 * of itself. How keys are chosen, marked and handed out is in the files named issuer-*.c; the map
 * is in issuer-private.h.
 */

#include "qkd-keyringd/issuer-private.h"

#include <time.h>

#include "common/events.h"
#include "common/pool.h"

#define LOW_WATER_CLEAR 4 /* that part more than the mark ends it */

struct issuer_store *issuer_find_store(const struct issuer *issuer, const char *peer)
{
	for (size_t i = 0; i < issuer->store_count; i++)
		if (str_equal(issuer->stores[i]->peer_name, peer))
			return issuer->stores[i];
	return NULL;
}

uint64_t issuer_now(const struct issuer *issuer)
{
	uint64_t usec = 0;

	(void)sd_event_now(issuer->event, CLOCK_MONOTONIC, &usec);
	return usec;
}

uint64_t issuer_clock(const struct issuer *issuer)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* Random when the process starts, then counted: as unique, and cheaper, than a random one each. */
struct uuid issuer_new_request(struct issuer *issuer)
{
	for (size_t i = sizeof(issuer->next_request.bytes); i-- > 8;)
		if (++issuer->next_request.bytes[i])
			break;
	return issuer->next_request;
}

static void signal_low_water(struct issuer_store *store)
{
	struct issuer *issuer = store->issuer;
	uint64_t available = store_counts(store->store)->available_own;
	/* A stock that hovers around the mark is told of once. */
	uint64_t clear = issuer->low_water_keys + issuer->low_water_keys / LOW_WATER_CLEAR;
	bool low = available < (store->low ? clear : issuer->low_water_keys);

	if (low && !store->low && !issuer->starting && issuer->handler->on_low_water)
		issuer->handler->on_low_water(store->peer_name, available, issuer->userdata);
	store->low = low;
}

void issuer_store_changed(struct issuer_store *store)
{
	signal_low_water(store);
	if (store->changed)
		return;
	store->changed = true;
	issuer_loop_chores(store->issuer);
}

static void tell_paths(struct issuer_store *store, bool connected)
{
	const struct issuer *issuer = store->issuer;

	if (issuer->paths)
		issuer->paths->on_connection(store->peer_name, connected, issuer->paths_userdata);
}

static void on_connected(struct site_peer *peer, const struct site_message *hello, void *userdata)
{
	struct issuer_store *store = userdata;

	log_event(LOG_INFO, EVENT_PEER_CONNECTED, &(struct log_fields){.peer = store->peer_name},
		  "connected with site %s", store->peer_name);
	issuer_reconcile_begin(store, hello);
	store->want_refused = store->lease_expected = false;
	tell_paths(store, true);
	issuer_supply_wake(store);
	issuer_store_changed(store);
}

static void on_lost(struct site_peer *peer, const char *reason, void *userdata)
{
	struct issuer_store *store = userdata;

	log_event(LOG_NOTICE, EVENT_PEER_LOST, &(struct log_fields){.peer = store->peer_name},
		  "connection with site %s lost: %s", store->peer_name, reason);
	issuer_reconcile_stop(store);
	issuer_serve_drop_held(store);
	issuer_label_home_lost(store);
	tell_paths(store, false);
	if (store->issuer->network)
		site_network_lost(store->issuer->network, peer, reason);
	issuer_store_changed(store);
}

static void on_request(struct site_peer *peer, const struct site_message *message, void *userdata)
{
	issuer_serve_request(userdata, message);
}

static void on_outbox(struct site_peer *peer, void *userdata)
{
	struct issuer_store *store = userdata;

	issuer_loop_flush_soon(store->issuer);
}

static const struct site_peer_handler peer_handler = {
	.on_connected = on_connected,
	.on_lost = on_lost,
	.on_request = on_request,
	.on_outbox = on_outbox,
};

static void free_reservation_node(struct id_node *node, void *userdata)
{
	reservation_free(CONTAINER_OF(node, struct reservation, node));
}

static struct issuer_store *issuer_store_free(struct issuer_store *store)
{
	if (!store)
		return NULL;
	issuer_reconcile_stop(store);
	issuer_serve_drop_held(store);
	issuer_serve_drop_late(store);
	issuer_tell_free_all(store);
	issuer_lease_free_all(store);
	site_peer_free(store->peer);
	id_table_foreach(&store->reservations, free_reservation_node, NULL);
	id_table_done(&store->reservations);
	id_table_done(&store->parts);
	free(store->doomed);
	label_table_done(&store->labels);
	for (size_t i = 0; i < store->directory_count; i++)
		issuer_directory_free(store->directories[i]);
	free(store->directories);
	store_free(store->store);
	free(store);
	return NULL;
}
DEFINE_CLEANUP(struct issuer_store *, issuer_store_free);

static int add_store(struct issuer *issuer, const char *peer)
{
	_cleanup_(issuer_store_freep) struct issuer_store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return -ENOMEM;
	store->issuer = issuer;
	store->leads = site_is_leader(issuer->site, peer);
	store->differ_limit =
		(struct log_ratelimit){.interval_usec = USEC_PER_SEC * 60, .burst = 5};
	list_init(&store->supply);
	list_init(&store->seeking);
	list_init(&store->held);
	list_init(&store->late);
	list_init(&store->withdrawals);
	list_init(&store->told);
	list_init(&store->leases);
	issuer_lease_init(store);
	list_init(&store->comparisons);
	r = store_new(store->leads, &store->store);
	if (r >= 0)
		r = site_peer_new(peer, &peer_handler, store, &store->peer);
	if (r < 0)
		return r;
	store->peer_name = site_peer_name(store->peer);
	issuer->stores[issuer->store_count++] = TAKE_PTR(store);
	return 0;
}

static int add_stores(struct issuer *issuer, const struct issuer_options *options)
{
	int r = 0;

	if (options->peer_count > ISSUE_MAX_PEERS)
		return -E2BIG;
	issuer->stores = calloc(options->peer_count + 1, sizeof(struct issuer_store *));
	if (!issuer->stores)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < options->peer_count; i++)
		r = add_store(issuer, options->peers[i].site);
	return r;
}

static const struct site_message *hello(struct site_peer *peer, void *userdata)
{
	static struct site_message message;
	struct issuer *issuer = userdata;
	const struct issuer_store *store = issuer_find_store(issuer, site_peer_name(peer));

	message = (struct site_message){
		.type = SITE_HELLO,
		.version = SITE_PROTOCOL_VERSION,
		.log = issue_log_start(issuer->log)->log,
		.known_log = store->peer_log,
		.known_position = store->peer_position,
	};
	strcpy(message.site, issuer->site);
	return &message;
}

static int start_network(struct issuer *issuer, const struct issuer_options *options)
{
	struct site_network_options network = {
		.event = issuer->event,
		.site = issuer->site,
		.listen = options->listen,
		.identity = options->identity,
		.hello = hello,
		.userdata = issuer,
	};
	int r;

	if (!options->identity)
		return 0;
	r = site_network_new(&network, &issuer->network);
	for (size_t i = 0; r >= 0 && i < issuer->store_count; i++)
		r = site_network_add(issuer->network, issuer->stores[i]->peer,
				     options->peers[i].address);
	return r;
}

static int fail(char **ret_what, int result, const char *what)
{
	if (asprintf(ret_what, "%s: %s", what, strerror(-result)) < 0)
		*ret_what = NULL;
	return result;
}

static int drop_stray(const char *peer, const struct uuid *id, void *userdata)
{
	struct issuer *issuer = userdata;
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct store_place place;
	enum store_key_state state;

	if (!store || !store_find(store->store, id, &place))
		return 0; /* linkd may have deposited it a moment ago */
	state = store_state(store->store, place);
	if (state == STORE_KEY_ISSUED || state == STORE_KEY_DESTROYED)
		return pool_discard(issuer->pool, peer, id);
	return 0;
}

static int read_boot_id(struct uuid *ret)
{
	char text[UUID_CHARS + 1] = {};
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	size_t chars;

	if (!file)
		return -errno;
	chars = fread(text, 1, UUID_CHARS, file);
	fclose(file);
	return chars == UUID_CHARS ? uuid_parse(text, ret) : -EBADMSG;
}

static int make_ids(struct issuer *issuer, const struct issuer_options *options)
{
	int r = uuid_new_random(&issuer->next_request);

	if (r < 0)
		return r;
	/* Without one, every start counts as one after a power cut. */
	if (options->boot)
		issuer->boot = *options->boot;
	else if (read_boot_id(&issuer->boot) < 0)
		return uuid_new_random(&issuer->boot);
	return 0;
}

static int start(struct issuer *issuer, const struct issuer_options *options, char **ret_what)
{
	int r = make_ids(issuer, options);

	if (r < 0)
		return fail(ret_what, r, "cannot make a request id");
	r = issuer_loop_start(issuer);
	if (r < 0)
		return fail(ret_what, r, "cannot watch for events");
	r = issuer_directory_scan_all(issuer);
	if (r < 0)
		return fail(ret_what, r, "cannot read the key directories");
	r = issuer_replay(issuer);
	if (r < 0)
		return fail(ret_what, r, "cannot read the issue record");
	if (issuer->pool && pool_foreach(issuer->pool, drop_stray, issuer) < 0)
		log_warning("cannot look through the pool of unissued keys");
	r = start_network(issuer, options);
	if (r < 0)
		return fail(ret_what, r, "cannot reach the network");
	return 0;
}

int issuer_new(const struct issuer_options *options, char **ret_what, struct issuer **ret)
{
	static const struct issuer_handler no_handler;
	_cleanup_(issuer_freep) struct issuer *issuer = calloc(1, sizeof(*issuer));
	int r;

	if (!issuer)
		return fail(ret_what, -ENOMEM, "cannot start");
	list_init(&issuer->operations);
	list_init(&issuer->finished);
	list_init(&issuer->deliveries);
	list_init(&issuer->notices);
	issuer->starting = true;
	issuer->event = sd_event_ref(options->event);
	issuer->state = options->state;
	issuer->keys = options->keys;
	issuer->pool = options->pool;
	issuer->label_ttl_sec = options->label_ttl_sec ?: ISSUE_LABEL_TTL_DEFAULT_SEC;
	issuer->reservation_sec = options->reservation_sec ?: ISSUE_RESERVATION_SEC;
	issuer->run_ahead_keys = options->run_ahead_keys ?: ISSUE_RUN_AHEAD_DEFAULT;
	issuer->low_water_keys = options->low_water_keys;
	issuer->handler = options->handler ?: &no_handler;
	issuer->userdata = options->userdata;
	issuer->site = strdup(options->site);
	r = issuer->site ? add_stores(issuer, options) : -ENOMEM;
	if (r >= 0)
		r = keyfile_erase_new(options->keys, &issuer->erase);
	if (r < 0)
		return fail(ret_what, r, "cannot start");
	r = start(issuer, options, ret_what);
	if (r < 0)
		return r;
	issuer->starting = false;
	*ret = TAKE_PTR(issuer);
	return 0;
}

static void detach_deliveries(struct issuer *issuer)
{
	LIST_FOREACH (link, &issuer->deliveries) {
		struct delivery *delivery = LIST_ENTRY(link, struct delivery, link);

		list_remove(link);
		delivery->reservation = NULL;
		delivery->issuer = NULL;
	}
}

/* What has no record now was not handed out: the marks that run ahead need burn nothing. */
static void close_log(struct issuer *issuer)
{
	if (!issuer->log || issuer->failed || issuer->starting)
		return;
	(void)issuer_directory_erase(issuer);
	if (issuer_path_sync(issuer) < 0 || issue_log_clean(issuer->log) < 0 ||
	    issue_log_write(issuer->log) < 0 || issue_log_sync(issuer->log) < 0)
		log_warning("the issue record could not be closed in order");
}

static void end_stores(struct issuer *issuer)
{
	if (issuer->starting)
		return;
	for (size_t i = 0; i < issuer->store_count; i++) {
		issuer_withdraw_give_up(issuer->stores[i]);
		issuer_tell_flush(issuer->stores[i]);
	}
	(void)issuer_loop_flush(issuer);
}

struct issuer *issuer_free(struct issuer *issuer)
{
	if (!issuer)
		return NULL;
	if (!issuer->starting)
		issuer_operation_free_all(issuer);
	detach_deliveries(issuer);
	end_stores(issuer);
	site_network_free(issuer->network);
	issuer->network = NULL;
	close_log(issuer);
	issuer->log = issue_log_free(issuer->log); /* lets go of who waits, in the stores */
	for (size_t i = 0; i < issuer->store_count; i++)
		issuer_store_free(issuer->stores[i]);
	free(issuer->stores);
	keyfile_erase_free(issuer->erase);
	issuer_loop_stop(issuer);
	sd_event_unref(issuer->event);
	free(issuer->absent);
	free(issuer->uids);
	free(issuer->site);
	free(issuer);
	return NULL;
}

void issuer_set_identity(struct issuer *issuer, struct channel_identity *identity)
{
	if (issuer->network)
		site_network_set_identity(issuer->network, identity);
}

int issuer_rescan(struct issuer *issuer)
{
	return issuer_directory_scan_all(issuer);
}

int issuer_attach(struct issuer *issuer, const char *peer, struct site_transport *transport)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);

	return store ? site_peer_attach(store->peer, transport, hello(store->peer, issuer))
		     : -ENOKEY;
}

struct site_peer *issuer_site_peer(struct issuer *issuer, const char *peer)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);

	return store ? store->peer : NULL;
}

size_t issuer_store_count(const struct issuer *issuer)
{
	return issuer->store_count;
}

int issuer_store_status(const struct issuer *issuer, size_t i, struct store_status *ret)
{
	const struct issuer_store *store;
	const struct store_counts *counts;

	if (i >= issuer->store_count)
		return -ENOENT;
	store = issuer->stores[i];
	counts = store_counts(store->store);
	*ret = (struct store_status){
		.peer = store->peer_name,
		.peer_error = issuer->network ? site_network_trouble(issuer->network, store->peer)
					      : "",
		.connected = site_peer_is_connected(store->peer),
		.key_bits = store->directory_count ? store_key_bits(store->store, 0) : 0,
		.available_own = counts->available_own,
		.available_peer = counts->available_peer,
		.reserved = counts->state[STORE_KEY_RESERVED],
		.delivering = counts->state[STORE_KEY_DELIVERING],
		.issued = counts->state[STORE_KEY_ISSUED],
		.destroyed = counts->state[STORE_KEY_DESTROYED],
		.labels = store->labels.count,
		.lost_ahead = store->lost_ahead,
		.alternatives = store->alternatives,
		.directories = (unsigned)store->directory_count,
	};
	return 0;
}

struct statistic *issuer_record_statistics(struct issuer *issuer)
{
	return issue_log_statistics(issuer->log);
}

int issuer_keys_agreed(struct issuer *issuer, const char *name, uint64_t first, uint64_t count)
{
	struct issuer_directory *directory;
	int r = issuer_directory_open(issuer, name, &directory);

	if (r < 0 || !directory)
		return r;
	if (directory->scanned == UINT64_MAX)
		(void)store_directory_first(issuer->keys, &directory->on_disk, &directory->scanned);
	return issuer_directory_scan(directory);
}
