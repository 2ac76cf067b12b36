/* SPDX-License-Identifier: MIT */

/*
 * The paths that were started: kept on disk, and made known to multihop, for each peer as one set.
 * How they are started, over all their sites, is path-job.c's.
 */

#include "qkd-keyringd/path-manager-private.h"

#include "qkd-keyringd/path-file.h"

static bool is_same_way_or_back(const struct path *a, const struct path *b)
{
	struct path reverse;

	path_reverse(a, &reverse);
	return path_equal(a, b) || path_equal(&reverse, b);
}

struct started_path *path_manager_find(const struct path_manager *manager, const struct path *path)
{
	LIST_FOREACH (link, &manager->started) {
		struct started_path *started = LIST_ENTRY(link, struct started_path, link);

		if (is_same_way_or_back(&started->definition.path, path))
			return started;
	}
	return NULL;
}

static struct path_override *find_override(const struct path_manager *manager, const char *peer)
{
	LIST_FOREACH (link, &manager->overrides) {
		struct path_override *override = LIST_ENTRY(link, struct path_override, link);

		if (str_equal(override->peer, peer))
			return override;
	}
	return NULL;
}

const struct path_definition *path_manager_get(const struct path_manager *manager, size_t i)
{
	LIST_FOREACH (link, &manager->started)
		if (i-- == 0)
			return &LIST_ENTRY(link, struct started_path, link)->definition;
	return NULL;
}

/* As seen from here, when this site is an end of it: else false. */
static bool from_here(const struct path_manager *manager, const struct path *path, struct path *ret)
{
	int at = path_find(path, manager->site);

	if (at == 0)
		*ret = *path;
	else if ((size_t)at + 1 == path->count)
		path_reverse(path, ret);
	return at == 0 || (size_t)at + 1 == path->count;
}

static void add_to_set(struct path_set *set, const struct path *path,
		       const struct path_definition *definition)
{
	if (set->count == PATH_SET_MAX)
		return;
	set->choices[set->count++] =
		(struct path_choice){.path = *path, .weight = definition->weight};
	set->stock = MAX(set->stock, definition->stock);
	set->disjoint = MAX(set->disjoint, definition->disjoint);
}

/* All that was started with a peer; a link alone needs no building. */
static struct path_set collect(const struct path_manager *manager, const char *peer)
{
	struct path_set set = {.disjoint = 1};
	struct path path;

	LIST_FOREACH (link, &manager->started) {
		const struct path_definition *definition =
			&LIST_ENTRY(link, struct started_path, link)->definition;

		if (definition->path.count > 2 && from_here(manager, &definition->path, &path) &&
		    str_equal(path.sites[path.count - 1], peer))
			add_to_set(&set, &path, definition);
	}
	return set;
}

static void apply(struct path_manager *manager, const char *peer)
{
	const struct path_override *override = find_override(manager, peer);
	struct path_set set = override ? override->set : collect(manager, peer);

	if (multihop_set(manager->multihop, peer, &set) < 0)
		log_warning("paths to site %s are not used: it is none of our peers", peer);
}

static void apply_path(struct path_manager *manager, const struct path *path)
{
	struct path here;

	if (from_here(manager, path, &here))
		apply(manager, here.sites[here.count - 1]);
}

static json_t *started_to_json(const struct started_path *started)
{
	const struct path_definition *d = &started->definition;

	return json_pack("{s:o, s:I, s:I, s:I, s:b, s:b}", "sites", path_to_json(&d->path),
			 "weight", (json_int_t)d->weight, "stock", (json_int_t)d->stock, "disjoint",
			 (json_int_t)d->disjoint, "began_left", started->began[0], "began_right",
			 started->began[1]);
}

static json_t *to_json(const struct path_manager *manager)
{
	json_t *paths = json_array(), *sets = json_object();
	int r = paths && sets ? 0 : -1;

	LIST_FOREACH (link, &manager->started)
		if (r >= 0)
			r = json_array_append_new(paths, started_to_json(LIST_ENTRY(
								 link, struct started_path, link)));
	LIST_FOREACH (link, &manager->overrides) {
		const struct path_override *override = LIST_ENTRY(link, struct path_override, link);

		if (r >= 0)
			r = json_object_set_new(sets, override->peer,
						path_set_to_json(&override->set));
	}
	if (r >= 0)
		return json_pack("{s:o, s:o}", "paths", paths, "sets", sets);
	json_decref(paths);
	json_decref(sets);
	return NULL;
}

static int save(const struct path_manager *manager)
{
	json_t *document = to_json(manager);
	int r = document ? path_file_write(manager->state, document) : -ENOMEM;

	json_decref(document);
	return r;
}

static int new_started(struct path_manager *manager, const struct path_definition *definition,
		       struct started_path **ret)
{
	struct started_path *started = calloc(1, sizeof(*started));
	int r = started ? multihop_allow(manager->multihop, &definition->path) : -ENOMEM;

	if (r < 0) {
		free(started);
		return r;
	}
	started->definition = *definition;
	list_init(&started->link);
	list_append(&manager->started, &started->link);
	manager->started_count++;
	*ret = started;
	return 0;
}

static void free_started(struct path_manager *manager, struct started_path *started)
{
	multihop_forbid(manager->multihop, &started->definition.path);
	list_remove(&started->link);
	manager->started_count--;
	free(started);
}

static bool is_same(const struct started_path *started, const struct path_definition *definition,
		    bool began_left, bool began_right)
{
	const struct path_definition *old = &started->definition;

	return old->weight == definition->weight && old->stock == definition->stock &&
	       old->disjoint == definition->disjoint && started->began[0] >= began_left &&
	       started->began[1] >= began_right;
}

int path_manager_add(struct path_manager *manager, const struct path_definition *definition,
		     const bool began[static 2])
{
	struct started_path *started = path_manager_find(manager, &definition->path);
	bool is_new = !started, turned;
	int r = started ? 0 : new_started(manager, definition, &started);

	if (r < 0)
		return r;
	/* It may have been started from its other end before. */
	turned = !path_equal(&started->definition.path, &definition->path);
	if (!is_new && is_same(started, definition, began[turned], began[!turned]))
		return 0;
	started->definition.weight = definition->weight;
	started->definition.stock = definition->stock;
	started->definition.disjoint = definition->disjoint;
	started->began[0] |= began[turned];
	started->began[1] |= began[!turned];
	r = save(manager);
	if (r < 0 && is_new)
		free_started(manager, started);
	else
		apply_path(manager, &definition->path);
	return r;
}

static bool is_used_by_another(const struct path_manager *manager, const struct started_path *one,
			       const char *peer)
{
	LIST_FOREACH (link, &manager->started) {
		const struct started_path *other = LIST_ENTRY(link, struct started_path, link);
		int at = path_find(&other->definition.path, manager->site);
		int there = path_find(&other->definition.path, peer);

		if (other != one && at >= 0 && there >= 0 && (at - there == 1 || there - at == 1))
			return true;
	}
	return false;
}

static void stop_hops(const struct path_manager *manager, const struct started_path *started)
{
	const struct path *path = &started->definition.path;
	int at = path_find(path, manager->site);

	for (int i = 0; i < 2; i++) {
		int neighbour = i ? at + 1 : at - 1;

		if (started->began[i] && neighbour >= 0 && (size_t)neighbour < path->count &&
		    !is_used_by_another(manager, started, path->sites[neighbour]))
			manager->hops->stop(path->sites[neighbour], manager->userdata);
	}
}

/* An override goes with the last of its paths. */
static void prune(struct path_manager *manager, const struct path *path)
{
	LIST_FOREACH (link, &manager->overrides) {
		struct path_override *override = LIST_ENTRY(link, struct path_override, link);

		for (size_t i = 0; i < override->set.count; i++)
			if (is_same_way_or_back(&override->set.choices[i].path, path))
				override->set.choices[i--] =
					override->set.choices[--override->set.count];
		if (override->set.count == 0) {
			list_remove(link);
			free(override);
		}
	}
}

int path_manager_remove(struct path_manager *manager, const struct path *path)
{
	struct started_path *started = path_manager_find(manager, path);
	struct path copy = *path;
	int r;

	if (!started)
		return 0;
	stop_hops(manager, started);
	free_started(manager, started);
	prune(manager, &copy);
	r = save(manager);
	apply_path(manager, &copy);
	return r;
}

static int check_set(const struct path_manager *manager, const struct path_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (!path_manager_find(manager, &set->choices[i].path))
			return -ENOENT;
	return path_set_check(set);
}

int path_manager_set(struct path_manager *manager, const char *peer, const struct path_set *set)
{
	struct path_override *override = find_override(manager, peer);
	int r = set ? check_set(manager, set) : 0;

	if (r < 0)
		return r;
	if (!issuer_site_peer(manager->issuer, peer))
		return -ENOKEY;
	if (override && !set) {
		list_remove(&override->link);
		free(override);
	} else if (set && !override) {
		override = calloc(1, sizeof(*override));
		if (!override)
			return -ENOMEM;
		snprintf(override->peer, sizeof(override->peer), "%s", peer);
		list_init(&override->link);
		list_append(&manager->overrides, &override->link);
	}
	if (set)
		override->set = *set;
	apply(manager, peer);
	return save(manager);
}

static int load_path(struct path_manager *manager, json_t *json)
{
	struct path_definition d = {};
	struct started_path *started;
	json_int_t weight, stock, disjoint;
	json_t *sites;
	int left, right;

	if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:o, s:I, s:I, s:I, s:b, s:b}", "sites",
			   &sites, "weight", &weight, "stock", &stock, "disjoint", &disjoint,
			   "began_left", &left, "began_right", &right) < 0 ||
	    path_parse(sites, &d.path) < 0 || weight < 1 || weight > PATH_MAX_WEIGHT || stock < 0 ||
	    stock > PATH_MAX_STOCK || disjoint < 1 || disjoint > PATH_MAX_DISJOINT)
		return -EBADMSG;
	d.weight = (uint32_t)weight;
	d.stock = (uint32_t)stock;
	d.disjoint = (uint32_t)disjoint;
	if (new_started(manager, &d, &started) < 0)
		return -ENOMEM;
	started->began[0] = left;
	started->began[1] = right;
	return 0;
}

static int load_set(struct path_manager *manager, const char *peer, const json_t *json)
{
	struct path_override *override;
	struct path_set set;

	if (path_set_parse(json, manager->site, peer, &set) < 0)
		return -EBADMSG;
	override = calloc(1, sizeof(*override));
	if (!override)
		return -ENOMEM;
	snprintf(override->peer, sizeof(override->peer), "%s", peer);
	override->set = set;
	list_init(&override->link);
	list_append(&manager->overrides, &override->link);
	return 0;
}

static int load(struct path_manager *manager)
{
	_cleanup_(json_decrefp) json_t *document = NULL;
	json_t *paths, *sets, *json;
	const char *peer;
	size_t i;
	int r = path_file_read(manager->state, &document);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (json_unpack_ex(document, NULL, JSON_STRICT, "{s:o, s:o}", "paths", &paths, "sets",
			   &sets) < 0)
		return -EBADMSG;
	json_array_foreach (paths, i, json)
		if (r >= 0)
			r = load_path(manager, json);
	json_object_foreach (sets, peer, json)
		if (r >= 0)
			r = load_set(manager, peer, json);
	LIST_FOREACH (link, &manager->started)
		apply_path(manager, &LIST_ENTRY(link, struct started_path, link)->definition.path);
	return r;
}

static int add_timer(struct path_manager *manager)
{
	int r = sd_event_add_time(manager->event, &manager->timer, CLOCK_MONOTONIC, UINT64_MAX, 0,
				  path_job_timer, manager);

	return r < 0 ? r : sd_event_source_set_enabled(manager->timer, SD_EVENT_OFF);
}

int path_manager_new(const struct path_manager_options *options, struct path_manager **ret)
{
	_cleanup_(path_manager_freep) struct path_manager *manager = calloc(1, sizeof(*manager));
	int r;

	if (!manager)
		return -ENOMEM;
	list_init(&manager->started);
	list_init(&manager->overrides);
	list_init(&manager->jobs);
	manager->event = sd_event_ref(options->event);
	manager->issuer = options->issuer;
	manager->multihop = options->multihop;
	manager->state = options->state;
	manager->hops = options->hops;
	manager->userdata = options->userdata;
	snprintf(manager->site, sizeof(manager->site), "%s", options->site);
	r = add_timer(manager);
	if (r >= 0)
		r = load(manager);
	if (r < 0)
		return r;
	multihop_set_commands(manager->multihop, path_job_receive, manager);
	*ret = TAKE_PTR(manager);
	return 0;
}

struct path_manager *path_manager_free(struct path_manager *manager)
{
	if (!manager)
		return NULL;
	multihop_set_commands(manager->multihop, NULL, NULL);
	path_job_free_all(manager);
	while (!list_is_empty(&manager->started))
		free_started(manager, LIST_ENTRY(manager->started.next, struct started_path, link));
	LIST_FOREACH (link, &manager->overrides)
		free(LIST_ENTRY(link, struct path_override, link));
	sd_event_source_disable_unref(manager->timer);
	sd_event_unref(manager->event);
	free(manager);
	return NULL;
}
