/* SPDX-License-Identifier: MIT */

/* The network of issuers: frames are texts in queues, delivered by the loop. */

#include "tests/unit/support/issuer-net.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <time.h>

#include "common/keyfile.h"
#include "common/log.h"

struct net_end {
	struct site_transport transport;
	struct issuer_net *net;
	struct net_site *from, *to;
	struct net_end **slot;
	sd_event_source *source;
	char **frames; /* on their way to `to` */
	size_t count;
};

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static size_t index_of(const struct issuer_net *net, const char *name)
{
	for (size_t i = 0; i < net->count; i++)
		if (str_equal(net->sites[i].name, name))
			return i;
	cr_assert_fail("no site %s", name);
	abort();
}

struct net_site *net_site(struct issuer_net *net, const char *name)
{
	return &net->sites[index_of(net, name)];
}

static int end_send(struct site_transport *transport, const json_t *frame)
{
	struct net_end *end = CONTAINER_OF(transport, struct net_end, transport);
	struct issuer_net *net = end->net;
	char **larger, *text = json_dumps(frame, JSON_COMPACT), *changed = text;

	cr_assert_not_null(text);
	if (net->change)
		changed = net->change(end->from->name, end->to->name, text, net->userdata);
	if (changed != text)
		free(text);
	if (!changed)
		return 0;
	larger = reallocarray(end->frames, end->count + 1, sizeof(char *));
	cr_assert_not_null(larger);
	end->frames = larger;
	end->frames[end->count++] = changed;
	sd_event_source_set_enabled(end->source, SD_EVENT_ONESHOT);
	return 0;
}

static void end_close(struct site_transport *transport)
{
	struct net_end *end = CONTAINER_OF(transport, struct net_end, transport);

	if (*end->slot == end)
		*end->slot = NULL;
	sd_event_source_disable_unref(end->source);
	for (size_t i = 0; i < end->count; i++)
		free(end->frames[i]);
	free(end->frames);
	free(end);
}

static struct site_peer *peer_of(struct net_site *site, const struct net_site *other)
{
	return site->issuer ? issuer_site_peer(site->issuer, other->name) : NULL;
}

static int deliver(sd_event_source *source, void *userdata)
{
	struct net_end *end = userdata;
	struct net_site *from = end->from, *to = end->to;
	struct net_end **slot = end->slot;
	char **frames = TAKE_PTR(end->frames);
	size_t count = end->count;

	end->count = 0;
	for (size_t i = 0; i < count; i++) {
		json_t *json = json_loads(frames[i], 0, NULL);

		cr_assert_not_null(json);
		if (*slot == end && peer_of(to, from))
			site_peer_receive(peer_of(to, from), json);
		json_decref(json);
		free(frames[i]);
	}
	free(frames);
	return 0;
}

static void add_end(struct issuer_net *net, size_t from, size_t to)
{
	struct net_end *end = calloc(1, sizeof(*end));

	cr_assert_not_null(end);
	end->transport.send = end_send;
	end->transport.close = end_close;
	end->net = net;
	end->from = &net->sites[from];
	end->to = &net->sites[to];
	end->slot = &net->ends[from][to];
	cr_assert(sd_event_add_defer(net->event, &end->source, deliver, end) >= 0);
	sd_event_source_set_enabled(end->source, SD_EVENT_OFF);
	net->ends[from][to] = end;
}

void net_cut(struct issuer_net *net, const char *a, const char *b)
{
	struct net_site *one = net_site(net, a), *two = net_site(net, b);

	if (peer_of(one, two))
		site_peer_lost(peer_of(one, two), "cut");
	if (peer_of(two, one))
		site_peer_lost(peer_of(two, one), "cut");
}

void net_join(struct issuer_net *net, const char *a, const char *b)
{
	size_t i = index_of(net, a), j = index_of(net, b);

	if (!net->sites[i].issuer || !net->sites[j].issuer)
		return;
	net_cut(net, a, b);
	add_end(net, i, j);
	add_end(net, j, i);
	cr_assert(issuer_attach(net->sites[i].issuer, b, &net->ends[i][j]->transport) >= 0);
	cr_assert(issuer_attach(net->sites[j].issuer, a, &net->ends[j][i]->transport) >= 0);
}

static void on_path(const struct path *path, bool up, void *userdata)
{
	struct net_site *site = userdata;

	if (up)
		site->up++;
	else
		site->down++;
}

static char *find_running(struct net_site *site, const char *peer)
{
	for (size_t i = 0; i < NET_MAX_SITES; i++)
		if (str_equal(site->running[i], peer))
			return site->running[i];
	return NULL;
}

bool net_link_runs(struct issuer_net *net, const char *site, const char *peer)
{
	return find_running(net_site(net, site), peer);
}

static void start_hop(const char *peer, void (*done)(int result, bool began, void *context),
		      void *context, void *userdata)
{
	struct net_site *site = userdata;
	bool runs = find_running(site, peer);

	if (site->broken && str_equal(site->broken, peer)) {
		done(-ENODEV, false, context);
		return;
	}
	if (!runs)
		strcpy(find_running(site, ""), peer);
	done(0, !runs, context);
}

static void forget_hops(void *context, void *userdata)
{
}

static void stop_hop(const char *peer, void *userdata)
{
	char *running = find_running(userdata, peer);

	cr_assert_not_null(running, "%s is stopped and does not run", peer);
	*running = '\0';
}

static const struct path_hops hops = {start_hop, forget_hops, stop_hop};

static void start_paths(struct net_site *site)
{
	struct path_manager_options options = {
		.event = site->net->event,
		.issuer = site->issuer,
		.multihop = site->multihop,
		.state = memory_storage_storage(site->state),
		.site = site->name,
		.hops = &hops,
		.userdata = site,
	};

	cr_assert(path_manager_new(&options, &site->paths) >= 0);
}

static void start_site(struct net_site *site)
{
	struct issuer_net *net = site->net;
	struct issuer_peer peers[NET_MAX_SITES];
	struct issuer_options options = {
		.event = net->event,
		.site = site->name,
		.boot = &site->boot,
		.state = memory_storage_storage(site->state),
		.keys = memory_storage_storage(site->keys),
		.peers = peers,
	};
	struct multihop_options multihop = {
		.event = net->event,
		.site = site->name,
		.on_path = on_path,
		.userdata = site,
	};
	_cleanup_(freep) char *what = NULL;
	int r;

	for (size_t i = 0; i < net->count; i++)
		if (&net->sites[i] != site)
			peers[options.peer_count++] =
				(struct issuer_peer){.site = net->sites[i].name};
	r = issuer_new(&options, &what, &site->issuer);
	cr_assert(r >= 0, "%s: %s", site->name, what);
	multihop.issuer = site->issuer;
	cr_assert(multihop_new(&multihop, &site->multihop) >= 0);
	start_paths(site);
}

void net_stop_site(struct issuer_net *net, const char *name)
{
	struct net_site *site = net_site(net, name);

	for (size_t i = 0; i < net->count; i++)
		if (&net->sites[i] != site)
			net_cut(net, name, net->sites[i].name);
	site->paths = path_manager_free(site->paths);
	site->multihop = multihop_free(site->multihop);
	site->issuer = issuer_free(site->issuer);
}

static struct memory_storage *crashed(struct memory_storage *memory, enum memory_crash crash)
{
	struct memory_storage *copy;

	cr_assert(memory_storage_new(&copy) >= 0);
	cr_assert(memory_storage_copy(copy, memory) >= 0);
	memory_storage_crash(copy, crash, NULL, NULL);
	return copy;
}

void net_restart_site(struct issuer_net *net, const char *name, enum memory_crash crash)
{
	struct net_site *site = net_site(net, name);
	struct memory_storage *state = crashed(site->state, crash);
	struct memory_storage *keys = crashed(site->keys, crash);

	net_stop_site(net, name); /* on the disks that are thrown away */
	memory_storage_free(site->state);
	memory_storage_free(site->keys);
	site->state = state;
	site->keys = keys;
	if (crash != MEMORY_CRASH_PROCESS)
		site->boot.bytes[0]++;
	start_site(site);
	for (size_t i = 0; i < net->count; i++)
		if (&net->sites[i] != site)
			net_join(net, name, net->sites[i].name);
}

void net_init(struct issuer_net *net, size_t count, const char *const *names)
{
	*net = (struct issuer_net){.count = count};
	log_set_max_level(-1);
	cr_assert(sd_event_new(&net->event) >= 0);
	for (size_t i = 0; i < count; i++) {
		net->sites[i] = (struct net_site){.net = net, .name = names[i]};
		cr_assert(memory_storage_new(&net->sites[i].state) >= 0);
		cr_assert(memory_storage_new(&net->sites[i].keys) >= 0);
	}
}

void net_start(struct issuer_net *net)
{
	for (size_t i = 0; i < net->count; i++)
		start_site(&net->sites[i]);
	for (size_t i = 0; i < net->count; i++)
		for (size_t j = 0; j < i; j++)
			net_join(net, net->sites[i].name, net->sites[j].name);
	net_run_for(net, 20 * USEC_PER_MSEC);
}

void net_done(struct issuer_net *net)
{
	for (size_t i = 0; i < net->count; i++) {
		net_stop_site(net, net->sites[i].name);
		memory_storage_free(net->sites[i].state);
		memory_storage_free(net->sites[i].keys);
	}
	sd_event_unref(net->event);
}

static void write_at(struct storage *storage, const char *path, uint64_t offset, const void *bytes,
		     size_t size_bytes)
{
	int file = storage->ops->open(storage, path, STORAGE_WRITE | STORAGE_CREATE);

	cr_assert(file >= 0);
	cr_assert(storage->ops->write_at(storage, file, bytes, size_bytes, offset) >= 0);
	cr_assert(storage->ops->sync(storage, file) >= 0);
	storage->ops->close(storage, file);
}

static void link_name(const char *a, const char *b, char *ret)
{
	sprintf(ret, "%s-%s", strcmp(a, b) < 0 ? a : b, strcmp(a, b) < 0 ? b : a);
}

/* What both sides derive: the same for a pair of names and a number. */
static uint8_t derive(const char *link, uint64_t sequence, size_t i)
{
	uint64_t hash = 1469598103934665603u ^ sequence * 1099511628211u ^ i << 32;

	for (const char *p = link; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 1099511628211u;
	hash ^= hash >> 29;
	return (uint8_t)((hash * 0xbf58476d1ce4e5b9u) >> 56);
}

void net_key(const char *a, const char *b, uint64_t sequence, uint8_t ret[static NET_KEY_BYTES])
{
	char link[2 * NAME_MAX_CHARS + 2];

	link_name(a, b, link);
	for (size_t i = 0; i < NET_KEY_BYTES; i++)
		ret[i] = derive(link, sequence, i);
}

static void write_store(struct storage *keys, const char *link, const char *peer)
{
	struct keyfile_store store = {.key_bits = NET_KEY_BYTES * 8};

	for (size_t i = 0; i < sizeof(store.uuid.bytes); i++)
		store.uuid.bytes[i] = derive(link, UINT64_MAX, i);
	strcpy(store.link, link);
	strcpy(store.peer, peer);
	keys->ops->make_directory(keys, peer);
	cr_assert(keyfile_store_write(keys, peer, &store) >= 0);
	cr_assert(keys->ops->sync_directory(keys, ".") >= 0);
}

static void write_line(struct storage *keys, const char *link, const char *peer, uint64_t sequence)
{
	size_t stride = keyfile_stride(NET_KEY_BYTES * 8);
	char path[KEYFILE_NAME_MAX], line[NET_KEY_BYTES * 2 + 1], id[UUID_CHARS + 2];
	uint8_t key[NET_KEY_BYTES];
	struct uuid uuid;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = derive(link, sequence, i);
	for (size_t i = 0; i < sizeof(uuid.bytes); i++)
		uuid.bytes[i] = derive(link, sequence, 1000 + i);
	keyfile_build_line(key, sizeof(key), line);
	uuid_format(&uuid, id);
	id[UUID_CHARS] = '\n';
	cr_assert(keyfile_ids_path(peer, peer, keyfile_number(sequence), path) >= 0);
	write_at(keys, path, keyfile_offset(sequence, KEYFILE_ID_STRIDE), id, KEYFILE_ID_STRIDE);
	cr_assert(keyfile_path(peer, peer, keyfile_number(sequence), path) >= 0);
	write_at(keys, path, keyfile_offset(sequence, stride), line, sizeof(line));
}

static void add_at(struct net_site *site, const char *peer, uint64_t first, uint64_t count)
{
	struct storage *keys = memory_storage_storage(site->keys);
	char link[2 * NAME_MAX_CHARS + 2];

	link_name(site->name, peer, link);
	if (first == 0)
		write_store(keys, link, peer);
	for (uint64_t i = 0; i < count; i++)
		write_line(keys, link, peer, first + i);
	cr_assert(keys->ops->sync_directory(keys, peer) >= 0);
	if (site->issuer)
		cr_assert(issuer_keys_agreed(site->issuer, peer, first, count) >= 0);
}

void net_add_keys(struct issuer_net *net, const char *a, const char *b, uint64_t count)
{
	size_t i = MIN(index_of(net, a), index_of(net, b));
	size_t j = MAX(index_of(net, a), index_of(net, b));
	uint64_t first = net->written[i][j];

	add_at(&net->sites[i], net->sites[j].name, first, count);
	add_at(&net->sites[j], net->sites[i].name, first, count);
	net->written[i][j] += count;
}

static void add_to_set(struct net_site *site, const char *peer, const struct path *path,
		       uint32_t weight)
{
	const struct path_set *old = multihop_get(site->multihop, peer);
	struct path_set set = old ? *old : (struct path_set){.disjoint = 1};

	set.choices[set.count++] = (struct path_choice){.path = *path, .weight = weight};
	cr_assert(multihop_set(site->multihop, peer, &set) >= 0);
}

void net_path(struct issuer_net *net, uint32_t weight, ...)
{
	struct path path = {}, reverse;
	const char *name;
	va_list names;

	va_start(names, weight);
	while ((name = va_arg(names, const char *)))
		strcpy(path.sites[path.count++], name);
	va_end(names);
	path_reverse(&path, &reverse);
	for (size_t i = 0; i < path.count; i++)
		cr_assert(multihop_allow(net_site(net, path.sites[i])->multihop, &path) >= 0);
	add_to_set(net_site(net, path.sites[0]), reverse.sites[0], &path, weight);
	add_to_set(net_site(net, reverse.sites[0]), path.sites[0], &reverse, weight);
}

static void on_path_done(int result, const char *site, void *userdata)
{
	struct net_answer *answer = userdata;

	cr_assert_not(answer->done);
	answer->done = true;
	answer->result = result;
	strcpy(answer->site, site);
}

static void wait_for_answer(struct issuer_net *net, struct net_answer *answer)
{
	uint64_t end = now_usec() + PATH_MANAGER_USEC + USEC_PER_SEC;

	while (!answer->done && now_usec() < end)
		cr_assert(sd_event_run(net->event, 10 * USEC_PER_MSEC) >= 0);
	cr_assert(answer->done);
}

static void read_names(va_list names, struct path *ret)
{
	const char *name;

	*ret = (struct path){};
	while ((name = va_arg(names, const char *)))
		strcpy(ret->sites[ret->count++], name);
}

struct net_answer net_start_path(struct issuer_net *net, uint32_t weight, ...)
{
	struct path_definition definition = {.weight = weight, .disjoint = 1};
	struct net_answer answer = {};
	va_list names;

	va_start(names, weight);
	read_names(names, &definition.path);
	va_end(names);
	cr_assert(path_manager_start(net_site(net, definition.path.sites[0])->paths, &definition,
				     on_path_done, &answer) >= 0);
	wait_for_answer(net, &answer);
	return answer;
}

struct net_answer net_stop_path(struct issuer_net *net, ...)
{
	struct net_answer answer = {};
	struct path path;
	va_list names;

	va_start(names, net);
	read_names(names, &path);
	va_end(names);
	cr_assert(path_manager_stop(net_site(net, path.sites[0])->paths, &path, on_path_done,
				    &answer) >= 0);
	wait_for_answer(net, &answer);
	return answer;
}

void net_set(struct issuer_net *net, const char *site, const char *peer, const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	struct path_set set;

	cr_assert_not_null(json);
	cr_assert(path_set_parse(json, site, peer, &set) >= 0);
	cr_assert(multihop_set(net_site(net, site)->multihop, peer, &set) >= 0);
	json_decref(json);
}

static void delivered(int result, const struct issued_key *key, void *userdata)
{
	struct net_result *ret = userdata;

	cr_assert_not(ret->done);
	ret->done = true;
	ret->result = result;
	if (result < 0)
		return;
	cr_assert_eq(key->key_bits, NET_KEY_BYTES * 8);
	ret->id = key->id;
	memcpy(ret->key, key->key->bytes, NET_KEY_BYTES);
	delivery_report(key->delivery, true);
}

static void reserved(int result, const struct uuid *ids, size_t count, void *userdata)
{
	struct net_result *ret = userdata;

	ret->done = true;
	ret->result = result;
	ret->count = count;
	if (count > 0)
		ret->id = ids[0];
}

void net_ask_label(struct issuer_net *net, const char *site, const char *peer, const char *label,
		   struct net_result *ret)
{
	cr_assert(issuer_deliver_label(net_site(net, site)->issuer, peer, label, 0, 0, 1000,
				       now_usec() + NET_WAIT, delivered, ret,
				       &ret->operation) >= 0);
}

void net_ask_new(struct issuer_net *net, const char *site, const char *peer, struct net_result *ret)
{
	cr_assert(issuer_reserve_new(net_site(net, site)->issuer, peer, 0, 1, 1000,
				     now_usec() + NET_WAIT, reserved, ret, &ret->operation) >= 0);
}

void net_ask_id(struct issuer_net *net, const char *site, const char *peer, const struct uuid *id,
		struct net_result *ret)
{
	cr_assert(issuer_deliver_id(net_site(net, site)->issuer, peer, id, 0, 1000,
				    now_usec() + NET_WAIT, delivered, ret, &ret->operation) >= 0);
}

int net_finish(struct issuer_net *net, struct net_result *result)
{
	uint64_t end = now_usec() + NET_WAIT + USEC_PER_SEC;

	while (!result->done && now_usec() < end)
		cr_assert(sd_event_run(net->event, 10 * USEC_PER_MSEC) >= 0);
	cr_assert(result->done);
	return result->result;
}

void net_run_for(struct issuer_net *net, uint64_t usec)
{
	uint64_t end = now_usec() + usec, now;

	while ((now = now_usec()) < end)
		cr_assert(sd_event_run(net->event, end - now) >= 0);
}

struct store_status net_status(struct issuer_net *net, const char *site, const char *peer)
{
	struct issuer *issuer = net_site(net, site)->issuer;
	struct store_status status;

	for (size_t i = 0; i < issuer_store_count(issuer); i++) {
		cr_assert(issuer_store_status(issuer, i, &status) >= 0);
		if (str_equal(status.peer, peer))
			return status;
	}
	cr_assert_fail("no store of %s", peer);
	abort();
}
