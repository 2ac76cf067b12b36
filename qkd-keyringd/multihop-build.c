/* SPDX-License-Identifier: MIT */

/*
 * Where a build begins: keys of the first hop of each of its paths are chosen and bound, the other
 * end is told to build with us, and puts together what the relays send it. Its answer carries a tag
 * over the keys; only when that is ours, too, are the keys kept at both ends.
 */

#include "qkd-keyringd/multihop-private.h"

#include <openssl/crypto.h>

#include "common/events.h"

struct build;

struct build_leg {
	struct build *build;
	struct known_path *known;
	const char *next; /* the first relay, or the end */
	struct site_keys keys;
	struct site_request bind;
	bool bound;
};

struct build {
	struct list link;
	struct route *route;
	bool push;
	struct path_message message; /* PATH_BUILD; owns nothing */
	struct build_leg legs[PATH_MAX_DISJOINT];
	struct secret *keys; /* the tag's last; NULL: not read yet */
	struct list reading;
	bool under_way;
	struct site_request ask, keep;
	struct issuer_path_place place;
	struct uuid *ids;
	uint64_t deadline_usec, begun_usec;
};

static size_t key_count(const struct build *build)
{
	return build->message.count - path_tag_keys(build->message.bits);
}

static void end_leg(struct build *build, struct build_leg *leg)
{
	struct issuer *issuer = build->route->multihop->issuer;

	if (!leg->next)
		return;
	issuer_path_cancel(issuer, leg->next, &leg->bind);
	issuer_hop_end(issuer, leg->next, &leg->keys, leg->bound);
	site_keys_done(&leg->keys);
	leg->next = NULL;
}

/* The keys are not under way any more. */
static void settle_account(struct build *build)
{
	struct route *route = build->route;

	if (!build->under_way)
		return;
	build->under_way = false;
	route->building -= key_count(build);
	route->builds--;
}

static void free_build(struct build *build)
{
	struct route *route = build->route;
	struct issuer *issuer = route->multihop->issuer;

	settle_account(build);
	for (size_t i = 0; i < build->message.leg_count; i++)
		end_leg(build, &build->legs[i]);
	issuer_path_cancel(issuer, route->peer, &build->ask);
	issuer_path_cancel(issuer, route->peer, &build->keep);
	list_remove(&build->link);
	list_remove(&build->reading);
	secret_free(build->keys);
	free(build->ids);
	free(build);
}

static void log_failure(struct build *build, int result, const char *site)
{
	struct multihop *multihop = build->route->multihop;
	char text[PATH_TEXT_MAX];
	unsigned suppressed;

	if (!log_ratelimit_pass(&multihop->failed_limit, &suppressed))
		return;
	path_format(&build->message.legs[0], text);
	log_event(LOG_WARNING, EVENT_PATH_FAILED,
		  &(struct log_fields){.peer = build->route->peer, .error = -result},
		  "no key over %s: %s at site %s (%u more)", text, strerror(-result), site,
		  suppressed);
}

/* The one of its paths that has this site, or all. */
static void blame(struct build *build, const char *site, bool rests)
{
	struct multihop *multihop = build->route->multihop;

	for (size_t i = 0; i < build->message.leg_count; i++) {
		struct known_path *known = multihop_find_known(multihop, &build->message.legs[i]);
		int at = path_find(&build->message.legs[i], site);

		if (known && (at > 0 || build->message.leg_count == 1))
			multihop_path_failed(multihop, known, rests);
	}
}

static void fail_build(struct build *build, int result, const char *site)
{
	struct multihop *multihop = build->route->multihop;

	multihop_count(multihop, MULTIHOP_STATISTIC_FAILED, 1);
	/* A hop that is short of keys now is no fault, and a lost connection is one only when it
	 * does not come back: then the next builds time out. */
	if (result != -EBUSY && result != -ECONNRESET) {
		log_failure(build, result, site);
		blame(build, site, result == -EACCES);
	}
	free_build(build);
	multihop_tick_soon(multihop);
	multihop_pump_soon(multihop);
}

/* Some relay did not give what the keys of its hops make. */
static void fail_unequal(struct build *build)
{
	struct multihop *multihop = build->route->multihop;
	char text[PATH_TEXT_MAX];

	multihop_count(multihop, MULTIHOP_STATISTIC_UNEQUAL, 1);
	for (size_t i = 0; i < build->message.leg_count; i++) {
		path_format(&build->message.legs[i], text);
		log_event(LOG_ERR, EVENT_PATH_UNEQUAL,
			  &(struct log_fields){.peer = build->route->peer},
			  "the ends of path %s got different keys from its relays; they are "
			  "destroyed",
			  text);
	}
	multihop_count(multihop, MULTIHOP_STATISTIC_FAILED, 1);
	blame(build, build->route->peer, true);
	free_build(build);
}

static void kept(struct site_request *request, const struct site_message *answer)
{
	struct build *build = CONTAINER_OF(request, struct build, keep);
	struct route *route = build->route;
	struct issuer *issuer = route->multihop->issuer;
	struct path_message message = {};

	if (multihop_read_answer(answer, &message) < 0)
		issuer_path_stale(issuer, route->peer, &build->place);
	else
		issuer_path_settled(issuer, route->peer, &build->place, key_count(build));
	path_message_done(&message);
	multihop_pump_soon(route->multihop);
	free_build(build);
}

static int make_ids(struct build *build)
{
	int r = 0;

	build->ids = calloc(key_count(build), sizeof(*build->ids));
	if (!build->ids)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < key_count(build); i++)
		r = uuid_new_random(&build->ids[i]);
	return r;
}

/* Told first, so that a mark of one of them follows it on the same connection. */
static int tell_keep(struct build *build)
{
	struct path_message message = {
		.step = PATH_KEEP,
		.build = build->message.build,
		.bits = build->message.bits,
		.first = build->place.first,
		.keys = {.store = build->place.store,
			 .generation = build->place.generation,
			 .count = key_count(build),
			 .ids = build->ids},
	};

	return multihop_ask(build->route->multihop, build->route->peer, &build->keep, &message,
			    kept);
}

static int keep(struct build *build)
{
	struct route *route = build->route;
	struct issuer *issuer = route->multihop->issuer;
	_cleanup_(secret_freep) struct secret *keys = NULL;
	int r = make_ids(build);

	if (r >= 0)
		r = issuer_path_next(issuer, route->peer, build->message.bits, &build->place);
	if (r >= 0)
		r = tell_keep(build);
	if (r < 0)
		return r;
	settle_account(build);
	keys = TAKE_PTR(build->keys);
	r = issuer_path_append(issuer, route->peer, &build->place, true, build->ids, keys,
			       key_count(build));
	if (r < 0)
		issuer_path_stale(issuer, route->peer, &build->place);
	return r;
}

static void note_success(struct build *build)
{
	struct multihop *multihop = build->route->multihop;

	multihop_count(multihop, MULTIHOP_STATISTIC_BUILT, key_count(build));
	multihop_count(multihop, MULTIHOP_STATISTIC_LATENCY,
		       statistics_clock_usec() - build->begun_usec);
	for (size_t i = 0; i < build->message.leg_count; i++) {
		struct known_path *known = multihop_find_known(multihop, &build->message.legs[i]);

		/* The other end has seen all of them. */
		build->legs[i].bound = true;
		end_leg(build, &build->legs[i]);
		if (!known)
			continue;
		known->built += key_count(build);
		multihop_path_worked(multihop, known);
	}
}

static int read_leg(struct build *build, const struct build_leg *leg)
{
	_cleanup_(secret_freep) struct secret *bytes = NULL;
	int r = issuer_hop_read(build->route->multihop->issuer, leg->next, &leg->keys,
				build->message.bits, &bytes);

	if (r < 0)
		return r;
	if (build->keys)
		multihop_xor(build->keys, bytes);
	else
		build->keys = TAKE_PTR(bytes);
	return 0;
}

/* Of all hops that it begins with. */
static int read_keys(struct build *build)
{
	int r = 0;

	if (list_is_empty(&build->reading))
		return 0;
	list_remove(&build->reading);
	for (size_t i = 0; r >= 0 && i < build->message.leg_count; i++)
		r = read_leg(build, &build->legs[i]);
	return r;
}

void multihop_build_read(struct multihop *multihop)
{
	while (!list_is_empty(&multihop->reading)) {
		struct build *build = LIST_ENTRY(multihop->reading.next, struct build, reading);
		int r = read_keys(build);

		if (r < 0)
			fail_build(build, r, multihop->site);
	}
}

static void built(struct site_request *request, const struct site_message *site_message)
{
	struct build *build = CONTAINER_OF(request, struct build, ask);
	_cleanup_(path_message_done) struct path_message answer = {};
	uint8_t tag[PATH_MESSAGE_TAG_BYTES];
	int r = multihop_read_answer(site_message, &answer);

	if (r < 0) {
		fail_build(build, r, *answer.site ? answer.site : build->route->peer);
		return;
	}
	r = read_keys(build);
	if (r >= 0)
		r = path_tag(&build->message, build->keys, tag);
	if (r >= 0 && (!answer.bytes || answer.bytes->size_bytes != sizeof(tag) ||
		       CRYPTO_memcmp(answer.bytes->bytes, tag, sizeof(tag)) != 0)) {
		fail_unequal(build);
		return;
	}
	if (r >= 0) {
		note_success(build);
		r = keep(build);
	}
	if (r < 0)
		fail_build(build, r, build->route->multihop->site);
}

static void bound(struct site_request *request, const struct site_message *site_message)
{
	struct build_leg *leg = CONTAINER_OF(request, struct build_leg, bind);
	_cleanup_(path_message_done) struct path_message answer = {};
	int r = multihop_read_answer(site_message, &answer);

	if (r < 0)
		fail_build(leg->build, r, *answer.site ? answer.site : leg->next);
	else
		leg->bound = true;
}

static uint32_t wait_msec(void)
{
	return MULTIHOP_BUILD_USEC / USEC_PER_MSEC;
}

static int bind_leg(struct build *build, size_t i)
{
	struct build_leg *leg = &build->legs[i];
	struct path_message message = {
		.step = PATH_BIND,
		.build = build->message.build,
		.leg = (uint32_t)i,
		.bits = build->message.bits,
		.wait_msec = wait_msec(),
		.push = build->push,
		.leg_count = 1,
		.legs = {build->message.legs[i]},
		.keys = leg->keys,
	};

	return multihop_ask(build->route->multihop, leg->next, &leg->bind, &message, bound);
}

/* The first leg says how many there are. */
static int choose_leg(struct build *build, size_t i, size_t wanted)
{
	struct multihop *multihop = build->route->multihop;
	struct build_leg *leg = &build->legs[i];
	const char *next = build->message.legs[i].sites[1];
	uint32_t bits = build->message.bits;
	size_t tag_keys = path_tag_keys(bits), max = i ? build->message.count : wanted + tag_keys;
	int r;

	if (build->push && issuer_path_available(multihop->issuer, next) < MULTIHOP_SPARE_KEYS)
		return -EBUSY;
	r = issuer_hop_choose(multihop->issuer, next, bits, i ? max : tag_keys + 1, max,
			      &build->message.build, &leg->keys);
	if (r == -EAGAIN && !build->push)
		(void)issuer_hop_wait(multihop->issuer, next, &build->route->supply, bits);
	if (r < 0)
		return r;
	leg->build = build;
	leg->next = next;
	build->message.count = (uint32_t)leg->keys.count;
	return 0;
}

static int send_all(struct build *build)
{
	struct route *route = build->route;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < build->message.leg_count; i++)
		r = bind_leg(build, i);
	if (r >= 0)
		r = multihop_ask(route->multihop, route->peer, &build->ask, &build->message, built);
	return r;
}

/* Keys of one hop are not wasted while another one has none. */
static int look_ahead(struct build *build)
{
	struct multihop *multihop = build->route->multihop;
	uint32_t bits = build->message.bits;

	for (size_t i = 0; i < build->message.leg_count; i++) {
		const char *next = build->message.legs[i].sites[1];

		if (issuer_path_available(multihop->issuer, next) >
		    path_tag_keys(bits) + (i ? MULTIHOP_BATCH_KEYS : 0))
			continue;
		if (!build->push)
			(void)issuer_hop_wait(multihop->issuer, next, &build->route->supply, bits);
		return -EAGAIN;
	}
	return 0;
}

static int choose_and_send(struct build *build, size_t wanted)
{
	int r = look_ahead(build);

	for (size_t i = 0; r >= 0 && i < build->message.leg_count; i++)
		r = choose_leg(build, i, wanted);
	if (r < 0)
		return r;
	build->under_way = true;
	build->route->building += key_count(build);
	build->route->builds++;
	list_append(&build->route->multihop->reading, &build->reading);
	multihop_read_soon(build->route->multihop);
	return send_all(build);
}

static struct build *new_build(struct route *route, struct path_choice *const *choices, bool push)
{
	struct multihop *multihop = route->multihop;
	struct build *build = calloc(1, sizeof(*build));

	if (!build)
		return NULL;
	build->route = route;
	build->push = push;
	build->begun_usec = statistics_clock_usec();
	build->deadline_usec = issuer_path_now(multihop->issuer) + MULTIHOP_BUILD_USEC;
	build->message = (struct path_message){
		.step = PATH_BUILD,
		.build = issuer_path_new_id(multihop->issuer),
		.bits = issuer_hop_bits(multihop->issuer, choices[0]->path.sites[1]),
		.wait_msec = wait_msec(),
		.leg_count = route->set.disjoint,
	};
	for (size_t i = 0; i < build->message.leg_count; i++)
		build->message.legs[i] = choices[i]->path;
	list_init(&build->link);
	list_init(&build->reading);
	list_append(&multihop->building, &build->link);
	return build;
}

/* How many were begun; 0: not now. */
static size_t begin(struct route *route, size_t wanted, bool push)
{
	struct multihop *multihop = route->multihop;
	struct path_choice *choices[PATH_MAX_DISJOINT];
	struct build *build;
	size_t begun;

	if (route->builds >= MULTIHOP_MAX_BUILDS ||
	    !issuer_path_is_connected(multihop->issuer, route->peer) ||
	    !path_set_pick(&route->set, multihop_is_usable, multihop, choices))
		return 0;
	build = new_build(route, choices, push);
	if (!build)
		return 0;
	if (build->message.bits == 0 || choose_and_send(build, wanted) < 0) {
		free_build(build);
		return 0;
	}
	begun = key_count(build);
	path_set_charge(&route->set, choices, begun, multihop_is_usable, multihop);
	multihop_tick_soon(multihop);
	return begun;
}

/* As many as are waited for and not under way yet; then the stock. */
void multihop_build_pump(struct route *route)
{
	struct issuer *issuer = route->multihop->issuer;
	size_t waiting, begun;
	uint64_t there;

	if (route->set.count == 0)
		return;
	waiting = issuer_path_waiting(issuer, route->peer);
	while (waiting > route->building) {
		begun = begin(route, MIN(waiting - route->building, (size_t)MULTIHOP_BATCH_KEYS),
			      false);
		if (begun == 0)
			return;
	}
	there = issuer_path_available(issuer, route->peer) + route->building;
	while (there < route->set.stock) {
		size_t wanted =
			(size_t)MIN(route->set.stock - there, (uint64_t)MULTIHOP_BATCH_KEYS);

		begun = begin(route, wanted, true);
		if (begun == 0)
			break;
		there += begun;
	}
	if (there < route->set.stock)
		multihop_tick_soon(route->multihop);
}

static void checked(struct site_request *request, const struct site_message *answer)
{
	struct route *route = CONTAINER_OF(request, struct route, check);
	struct issuer *issuer = route->multihop->issuer;
	_cleanup_(path_message_done) struct path_message message = {};

	if (multihop_read_answer(answer, &message) < 0)
		issuer_path_stale(issuer, route->peer, &route->checked);
	else
		issuer_path_settled(issuer, route->peer, &route->checked, 0);
}

/* Whether the peer has on its disk what we have built for it before. */
void multihop_build_check(struct route *route)
{
	struct multihop *multihop = route->multihop;
	struct path_message message = {.step = PATH_KEEP};

	if (site_request_is_pending(&route->check) ||
	    !issuer_path_current(multihop->issuer, route->peer, &route->checked))
		return;
	message.bits = route->checked.bits;
	message.first = route->checked.first;
	message.keys.store = route->checked.store;
	message.keys.generation = route->checked.generation;
	(void)multihop_ask(multihop, route->peer, &route->check, &message, checked);
}

/* Those that the other end has not answered. */
uint64_t multihop_build_time_out(struct multihop *multihop, uint64_t now_usec)
{
	LIST_FOREACH (link, &multihop->building) {
		struct build *build = LIST_ENTRY(link, struct build, link);

		if (build->deadline_usec > now_usec)
			return build->deadline_usec;
		if (build->under_way)
			fail_build(build, -ETIMEDOUT, build->route->peer);
	}
	return 0;
}

static bool waits_for(const struct build *build, const char *site)
{
	for (size_t i = 0; i < build->message.leg_count; i++)
		if (build->legs[i].next && str_equal(build->legs[i].next, site) &&
		    site_request_is_pending(&build->legs[i].bind))
			return true;
	return false;
}

void multihop_build_lost(struct multihop *multihop, const char *peer)
{
	LIST_FOREACH (link, &multihop->building) {
		struct build *build = LIST_ENTRY(link, struct build, link);

		if (waits_for(build, peer))
			fail_build(build, -ECONNRESET, peer);
	}
}

void multihop_build_free_all(struct multihop *multihop)
{
	while (!list_is_empty(&multihop->building))
		free_build(LIST_ENTRY(multihop->building.next, struct build, link));
}

void multihop_build_free_route(struct route *route)
{
	issuer_path_cancel(route->multihop->issuer, route->peer, &route->check);
}
