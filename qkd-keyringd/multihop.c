/* SPDX-License-Identifier: MIT */

/*
 * The building of keys over paths as an object: what it knows of paths, when it does something, and
 * which part of it a message is for.
 */

#include "qkd-keyringd/multihop-private.h"

#include "common/events.h"

/* Before the issuer's flush of the same iteration, after all that is ready. */
#define PRIORITY_PUMP (SD_EVENT_PRIORITY_NORMAL + 5)
/* After that flush, and before it waits for the disk: the next site works meanwhile. */
#define PRIORITY_READ (SD_EVENT_PRIORITY_NORMAL + 15)

#define COUNTER(n, u, h)                                                    \
	{                                                                   \
		"multihop." n, STATISTICS_COUNTER, STATISTICS_INTEGER, u, h \
	}

const struct statistics_definition multihop_definitions[MULTIHOP_STATISTIC_COUNT_] = {
	[MULTIHOP_STATISTIC_BUILT] = COUNTER("built", "keys", "keys built over paths, begun here"),
	[MULTIHOP_STATISTIC_FAILED] = COUNTER("failed", "builds", "builds that came to nothing"),
	[MULTIHOP_STATISTIC_UNEQUAL] =
		COUNTER("unequal", "builds", "those whose ends held different keys"),
	[MULTIHOP_STATISTIC_RELAYED] =
		COUNTER("relayed", "keys", "pairs of keys combined for others"),
	[MULTIHOP_STATISTIC_REFUSED] =
		COUNTER("refused", "requests", "requests of other sites about paths not served"),
	[MULTIHOP_STATISTIC_LATENCY] = {"multihop.latency", STATISTICS_SUMMARY, STATISTICS_TIME,
					"seconds", "from the begin of a build to its keys"},
};

struct statistic *multihop_statistics(struct multihop *multihop)
{
	return multihop->statistics;
}

void multihop_count(struct multihop *multihop, enum multihop_statistic which, uint64_t value)
{
	statistics_update(&multihop->statistics[which], value);
}

static struct route *find_route(const struct multihop *multihop, const char *peer)
{
	LIST_FOREACH (link, &multihop->routes) {
		struct route *route = LIST_ENTRY(link, struct route, link);

		if (str_equal(route->peer, peer))
			return route;
	}
	return NULL;
}

/* In either direction. */
struct known_path *multihop_find_known(const struct multihop *multihop, const struct path *path)
{
	struct path reverse;

	path_reverse(path, &reverse);
	LIST_FOREACH (link, &multihop->known) {
		struct known_path *known = LIST_ENTRY(link, struct known_path, link);

		if (path_equal(&known->path, path) || path_equal(&known->path, &reverse))
			return known;
	}
	return NULL;
}

bool multihop_is_usable(const struct path *path, void *userdata)
{
	struct multihop *multihop = userdata;
	const struct known_path *known = multihop_find_known(multihop, path);

	return known && known->rests_until_usec <= issuer_path_now(multihop->issuer);
}

static void tell(struct multihop *multihop, struct known_path *known, bool up)
{
	char text[PATH_TEXT_MAX];

	known->down = !up;
	path_format(&known->path, text);
	if (up)
		log_event(LOG_NOTICE, EVENT_PATH_UP, NULL, "path %s gives keys again", text);
	else
		log_event(LOG_WARNING, EVENT_PATH_DOWN, NULL,
			  "path %s gives no keys; it is tried again from time to time", text);
	if (multihop->on_path)
		multihop->on_path(&known->path, up, multihop->userdata);
}

void multihop_path_failed(struct multihop *multihop, struct known_path *known, bool rests)
{
	known->failed++;
	if (++known->failures < MULTIHOP_MAX_TRIES && !rests)
		return;
	known->rest_usec = MIN(MAX(known->rest_usec * 2, (uint64_t)MULTIHOP_REST_USEC),
			       (uint64_t)MULTIHOP_REST_MAX_USEC);
	known->rests_until_usec = issuer_path_now(multihop->issuer) + known->rest_usec;
	if (!known->down)
		tell(multihop, known, false);
	multihop_tick_soon(multihop);
}

void multihop_path_worked(struct multihop *multihop, struct known_path *known)
{
	known->failures = 0;
	known->rest_usec = known->rests_until_usec = 0;
	if (known->down)
		tell(multihop, known, true);
}

int multihop_allow(struct multihop *multihop, const struct path *path)
{
	struct known_path *known = multihop_find_known(multihop, path);

	if (known) {
		known->users++;
		return 0;
	}
	if (multihop->known_count >= MULTIHOP_MAX_PATHS)
		return -ENOSPC;
	known = calloc(1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	known->path = *path;
	known->users = 1;
	list_init(&known->link);
	list_append(&multihop->known, &known->link);
	multihop->known_count++;
	multihop_pump_soon(multihop);
	return 0;
}

static void forget_path(struct multihop *multihop, struct known_path *known)
{
	list_remove(&known->link);
	multihop->known_count--;
	free(known);
}

void multihop_forbid(struct multihop *multihop, const struct path *path)
{
	struct known_path *known = multihop_find_known(multihop, path);

	if (known && --known->users == 0)
		forget_path(multihop, known);
}

static void supply_ready(struct supply_waiter *waiter)
{
	multihop_pump_soon(CONTAINER_OF(waiter, struct route, supply)->multihop);
}

static struct route *new_route(struct multihop *multihop, const char *peer)
{
	struct route *route = calloc(1, sizeof(*route));

	if (!route)
		return NULL;
	route->multihop = multihop;
	snprintf(route->peer, sizeof(route->peer), "%s", peer);
	list_init(&route->supply.link);
	route->supply.ready = supply_ready;
	list_init(&route->link);
	list_append(&multihop->routes, &route->link);
	multihop_build_check(route);
	return route;
}

int multihop_set(struct multihop *multihop, const char *peer, const struct path_set *set)
{
	struct route *route = find_route(multihop, peer);

	if (!issuer_site_peer(multihop->issuer, peer))
		return -ENOKEY;
	if (!route)
		route = new_route(multihop, peer);
	if (!route)
		return -ENOMEM;
	route->set = set ? *set : (struct path_set){};
	multihop_pump_soon(multihop);
	return 0;
}

const struct path_set *multihop_get(const struct multihop *multihop, const char *peer)
{
	const struct route *route = find_route(multihop, peer);

	return route && route->set.count > 0 ? &route->set : NULL;
}

int multihop_path_status(const struct multihop *multihop, const struct path *path,
			 struct multihop_path_status *ret)
{
	const struct known_path *known = multihop_find_known(multihop, path);

	if (!known)
		return -ENOENT;
	*ret = (struct multihop_path_status){
		.path = known->path,
		.up = !known->down,
		.built = known->built,
		.relayed = known->relayed,
		.failures = known->failed,
	};
	return 0;
}

void multihop_set_commands(struct multihop *multihop,
			   void (*receive)(const char *peer, const struct uuid *request,
					   const struct path_message *message, void *userdata),
			   void *userdata)
{
	multihop->receive = receive;
	multihop->receive_userdata = userdata;
}

void multihop_xor(struct secret *a, const struct secret *b)
{
	for (size_t i = 0; i < MIN(a->size_bytes, b->size_bytes); i++)
		a->bytes[i] ^= b->bytes[i];
}

int multihop_ask(struct multihop *multihop, const char *peer, struct site_request *request,
		 const struct path_message *message,
		 void (*answered)(struct site_request *request, const struct site_message *answer))
{
	json_t *body = path_message_build(message);
	int r = body ? issuer_path_ask(multihop->issuer, peer, request, body,
				       path_message_size_bytes(message), answered)
		     : -ENOMEM;

	json_decref(body);
	return r;
}

void multihop_answer(struct multihop *multihop, const char *peer, const struct uuid *request,
		     int error, const char *site, const struct secret *tag)
{
	struct path_message message = {
		.step = PATH_ANSWER,
		.error = (uint32_t)-error,
		.bytes = (struct secret *)tag,
	};

	snprintf(message.site, sizeof(message.site), "%s", site);
	if (error < 0)
		multihop_count(multihop, MULTIHOP_STATISTIC_REFUSED, 1);
	issuer_path_answer(multihop->issuer, peer, request, path_message_build(&message), true);
}

void multihop_acknowledge(struct multihop *multihop, const char *peer, const struct uuid *request,
			  int error)
{
	struct path_message message = {.step = PATH_ANSWER};

	if (error < 0)
		multihop_answer(multihop, peer, request, error, multihop->site, NULL);
	else
		issuer_path_answer(multihop->issuer, peer, request, path_message_build(&message),
				   false);
}

int multihop_read_answer(const struct site_message *answer, struct path_message *ret)
{
	struct path_message message;

	if (path_message_verify(answer->body, &message) < 0)
		return -EBADMSG;
	if (message.step != PATH_ANSWER) {
		path_message_done(&message);
		return -EBADMSG;
	}
	*ret = message;
	return -(int)message.error;
}

/* What the issuer tells. */

static bool on_want(const char *peer, uint32_t bits, void *userdata)
{
	struct multihop *multihop = userdata;
	struct route *route = find_route(multihop, peer);

	if (!route || route->set.count == 0)
		return false;
	multihop_pump_soon(multihop);
	for (size_t i = 0; i < route->set.count; i++)
		if (multihop_is_usable(&route->set.choices[i].path, multihop))
			return true;
	return false;
}

static void on_connection(const char *peer, bool connected, void *userdata)
{
	struct multihop *multihop = userdata;
	struct route *route = find_route(multihop, peer);

	if (connected && route)
		multihop_build_check(route);
	if (connected) {
		multihop_pump_soon(multihop);
		return;
	}
	multihop_build_lost(multihop, peer);
	multihop_relay_lost(multihop, peer);
}

static void on_arrived(const char *peer, void *userdata)
{
	struct multihop *multihop = userdata;

	multihop_relay_arrived(multihop);
	multihop_end_arrived(multihop);
	multihop_pump_soon(multihop);
}

static void on_changed(const char *peer, void *userdata)
{
	struct multihop *multihop = userdata;
	const struct route *route = find_route(multihop, peer);

	if (route && route->set.stock > 0)
		multihop_pump_soon(multihop);
}

static void on_synced(void *userdata)
{
	multihop_end_synced(userdata);
}

static void on_unsettled(const char *peer, void *userdata)
{
	struct route *route = find_route(userdata, peer);

	if (route)
		multihop_build_check(route);
}

/* A binding is for a relay, or for the end. */
static void route_bind(struct multihop *multihop, const char *peer, const struct uuid *request,
		       struct path_message *message)
{
	const struct path *path = &message->legs[0];
	int at = path_find(path, multihop->site);

	if (at < 1 || !str_equal(path->sites[at - 1], peer) || !multihop_find_known(multihop, path))
		multihop_answer(multihop, peer, request, -EACCES, multihop->site, NULL);
	else if ((size_t)at + 1 == path->count)
		multihop_end_bind(multihop, peer, request, message);
	else
		multihop_relay_bind(multihop, peer, request, message);
}

static void dispatch(struct multihop *multihop, const char *peer, const struct uuid *request,
		     struct path_message *message)
{
	switch (message->step) {
	case PATH_BUILD:
		return multihop_end_build(multihop, peer, request, message);
	case PATH_BIND:
		return route_bind(multihop, peer, request, message);
	case PATH_COMBINED:
		return multihop_end_combined(multihop, peer, request, message);
	case PATH_KEEP:
		return multihop_end_keep(multihop, peer, request, message);
	case PATH_START:
	case PATH_STOP:
		if (!multihop->receive)
			break;
		multihop->receive(peer, request, message, multihop->receive_userdata);
		return;
	case PATH_ANSWER:
	case PATH_STEP_COUNT_:
		break;
	}
	multihop_answer(multihop, peer, request, -EINVAL, multihop->site, NULL);
}

static void on_message(const char *peer, const struct site_message *site_message, void *userdata)
{
	struct multihop *multihop = userdata;
	_cleanup_(path_message_done) struct path_message message = {};
	int r = path_message_verify(site_message->body, &message);

	if (r < 0)
		multihop_answer(multihop, peer, &site_message->request, -EINVAL, multihop->site,
				NULL);
	else
		dispatch(multihop, peer, &site_message->request, &message);
}

static const struct issuer_paths issuer_paths = {
	.want = on_want,
	.on_message = on_message,
	.on_connection = on_connection,
	.on_arrived = on_arrived,
	.on_changed = on_changed,
	.on_synced = on_synced,
	.on_unsettled = on_unsettled,
};

/* When it does something. */

void multihop_pump_soon(struct multihop *multihop)
{
	(void)sd_event_source_set_enabled(multihop->pump, SD_EVENT_ONESHOT);
}

static int on_pump(sd_event_source *source, void *userdata)
{
	struct multihop *multihop = userdata;

	LIST_FOREACH (link, &multihop->routes)
		multihop_build_pump(LIST_ENTRY(link, struct route, link));
	return 0;
}

static void read_keys(struct multihop *multihop)
{
	multihop_build_read(multihop);
	multihop_relay_combine(multihop);
}

void multihop_read_soon(struct multihop *multihop)
{
	(void)sd_event_source_set_enabled(multihop->read, SD_EVENT_ONESHOT);
}

static int on_read(sd_event_source *source, void *userdata)
{
	read_keys(userdata);
	return 0;
}

void multihop_tick_soon(struct multihop *multihop)
{
	if (sd_event_source_get_enabled(multihop->tick, NULL) > 0)
		return;
	(void)sd_event_source_set_time(multihop->tick,
				       issuer_path_now(multihop->issuer) + MULTIHOP_TICK_USEC);
	(void)sd_event_source_set_enabled(multihop->tick, SD_EVENT_ONESHOT);
}

static bool some_path_rests(const struct multihop *multihop, uint64_t now_usec)
{
	LIST_FOREACH (link, &multihop->known)
		if (LIST_ENTRY(link, struct known_path, link)->rests_until_usec > now_usec)
			return true;
	return false;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct multihop *multihop = userdata;
	uint64_t now = issuer_path_now(multihop->issuer), next;

	read_keys(multihop); /* in a busy loop, something else always comes first */
	next = multihop_build_time_out(multihop, now);
	next |= multihop_relay_time_out(multihop, now);
	next |= multihop_end_time_out(multihop, now);
	multihop_pump_soon(multihop);
	if (next || some_path_rests(multihop, now))
		multihop_tick_soon(multihop);
	return 0;
}

static int add_defer(struct multihop *multihop, int64_t priority, sd_event_handler_t handler,
		     sd_event_source **ret)
{
	int r = sd_event_add_defer(multihop->event, ret, handler, multihop);

	if (r >= 0)
		r = sd_event_source_set_priority(*ret, priority);
	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_sources(struct multihop *multihop)
{
	int r = add_defer(multihop, PRIORITY_PUMP, on_pump, &multihop->pump);

	if (r >= 0)
		r = add_defer(multihop, PRIORITY_READ, on_read, &multihop->read);
	if (r >= 0)
		r = sd_event_add_time(multihop->event, &multihop->tick, CLOCK_MONOTONIC, UINT64_MAX,
				      USEC_PER_MSEC, on_tick, multihop);
	return r < 0 ? r : sd_event_source_set_enabled(multihop->tick, SD_EVENT_OFF);
}

int multihop_new(const struct multihop_options *options, struct multihop **ret)
{
	_cleanup_(multihop_freep) struct multihop *multihop = calloc(1, sizeof(*multihop));
	int r;

	if (!multihop)
		return -ENOMEM;
	list_init(&multihop->known);
	list_init(&multihop->routes);
	list_init(&multihop->building);
	list_init(&multihop->relaying);
	list_init(&multihop->ending);
	list_init(&multihop->reading);
	list_init(&multihop->combining);
	list_init(&multihop->keeping);
	multihop->failed_limit =
		(struct log_ratelimit){.interval_usec = 60 * USEC_PER_SEC, .burst = 10};
	multihop->event = sd_event_ref(options->event);
	multihop->issuer = options->issuer;
	snprintf(multihop->site, sizeof(multihop->site), "%s", options->site);
	multihop->on_path = options->on_path;
	multihop->userdata = options->userdata;
	r = add_sources(multihop);
	if (r < 0)
		return r;
	issuer_set_paths(multihop->issuer, &issuer_paths, multihop);
	*ret = TAKE_PTR(multihop);
	return 0;
}

static void free_routes(struct multihop *multihop)
{
	while (!list_is_empty(&multihop->routes)) {
		struct route *route = LIST_ENTRY(multihop->routes.next, struct route, link);

		multihop_build_free_route(route);
		list_remove(&route->supply.link);
		list_remove(&route->link);
		free(route);
	}
}

struct multihop *multihop_free(struct multihop *multihop)
{
	if (!multihop)
		return NULL;
	issuer_set_paths(multihop->issuer, NULL, NULL);
	multihop_build_free_all(multihop);
	multihop_relay_free_all(multihop);
	multihop_end_free_all(multihop);
	free_routes(multihop);
	while (!list_is_empty(&multihop->known))
		forget_path(multihop, LIST_ENTRY(multihop->known.next, struct known_path, link));
	id_table_done(&multihop->builds);
	id_table_done(&multihop->relays);
	id_table_done(&multihop->endings);
	sd_event_source_disable_unref(multihop->pump);
	sd_event_source_disable_unref(multihop->read);
	sd_event_source_disable_unref(multihop->tick);
	sd_event_unref(multihop->event);
	free(multihop);
	return NULL;
}
