/* SPDX-License-Identifier: MIT */

/*
 * A start or a stop of a path that is under way at this site: the links of our hops, then the rest
 * of the path by way of the next site, then the answer to who asked us.
 */

#include "qkd-keyringd/path-manager-private.h"

#define TIMER_USEC  (200 * USEC_PER_MSEC)
#define MARGIN_MSEC 500 /* each site gives up before the one that asked it */

struct path_job {
	struct list link;
	struct path_manager *manager;
	bool is_stop;
	struct path_definition definition;
	size_t at; /* where we stand */
	bool began[2];
	unsigned starting; /* links whose start has not ended */
	int result;        /* the first failure */
	char failed_at[NAME_MAX_CHARS + 1];
	struct site_request next;
	uint64_t deadline_usec;

	/* Who asked: a site, or somebody here; nobody when both are empty. */
	char peer[NAME_MAX_CHARS + 1];
	struct uuid request;
	path_manager_done_t done;
	void *userdata;
};

static const char *neighbour(const struct path_job *job, int side)
{
	const struct path *path = &job->definition.path;

	if (side == 0)
		return job->at > 0 ? path->sites[job->at - 1] : NULL;
	return job->at + 1 < path->count ? path->sites[job->at + 1] : NULL;
}

static void free_job(struct path_job *job)
{
	struct path_manager *manager = job->manager;

	if (job->starting > 0)
		manager->hops->forget(job, manager->userdata);
	if (neighbour(job, 1))
		issuer_path_cancel(manager->issuer, neighbour(job, 1), &job->next);
	list_remove(&job->link);
	manager->job_count--;
	free(job);
}

static void answer(struct path_job *job)
{
	if (*job->peer)
		multihop_answer(job->manager->multihop, job->peer, &job->request, job->result,
				job->failed_at, NULL);
	else if (job->done)
		job->done(job->result, job->failed_at, job->userdata);
}

static int new_job(struct path_manager *manager, const struct path_definition *definition,
		   bool is_stop, uint64_t usec, struct path_job **ret)
{
	struct path_job *job;

	if (manager->job_count >= PATH_MANAGER_MAX_JOBS)
		return -EBUSY;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->manager = manager;
	job->is_stop = is_stop;
	job->definition = *definition;
	job->at = (size_t)path_find(&definition->path, manager->site);
	job->deadline_usec = issuer_path_now(manager->issuer) + usec;
	list_init(&job->link);
	list_append(&manager->jobs, &job->link);
	manager->job_count++;
	(void)sd_event_source_set_time_relative(manager->timer, TIMER_USEC);
	(void)sd_event_source_set_enabled(manager->timer, SD_EVENT_ONESHOT);
	*ret = job;
	return 0;
}

static int ask_next(struct path_job *job);

/* The sites behind us may have come further than we know: they are told to end it, by a job of
 * nobody's. */
static void end_rest(const struct path_job *failed)
{
	struct path_job *job;

	if (!neighbour(failed, 1) || path_manager_find(failed->manager, &failed->definition.path) ||
	    new_job(failed->manager, &failed->definition, true, PATH_MANAGER_USEC, &job) < 0)
		return;
	if (ask_next(job) < 0)
		free_job(job);
}

static void undo(struct path_job *job)
{
	for (int side = 0; side < 2; side++)
		if (job->began[side])
			job->manager->hops->stop(neighbour(job, side), job->manager->userdata);
}

static void finish(struct path_job *job)
{
	if (job->result == 0 && !job->is_stop)
		job->result = path_manager_add(job->manager, &job->definition, job->began);
	if (job->result < 0) {
		if (!*job->failed_at)
			strcpy(job->failed_at, job->manager->site);
		if (!job->is_stop)
			undo(job);
	}
	answer(job);
	free_job(job);
}

static void fail(struct path_job *job, int result, const char *site)
{
	if (job->result == 0) {
		job->result = result;
		snprintf(job->failed_at, sizeof(job->failed_at), "%s", site);
	}
}

static void next_answered(struct site_request *request, const struct site_message *site_message)
{
	struct path_job *job = CONTAINER_OF(request, struct path_job, next);
	_cleanup_(path_message_done) struct path_message message = {};
	int r = multihop_read_answer(site_message, &message);

	if (r < 0)
		fail(job, r, *message.site ? message.site : neighbour(job, 1));
	finish(job);
}

static int ask_next(struct path_job *job)
{
	struct path_manager *manager = job->manager;
	uint64_t now = issuer_path_now(manager->issuer);
	uint64_t left_msec = job->deadline_usec > now ? (job->deadline_usec - now) / USEC_PER_MSEC
						      : 0;
	struct path_message message = {
		.step = job->is_stop ? PATH_STOP : PATH_START,
		.leg_count = 1,
		.legs = {job->definition.path},
		.weight = job->definition.weight,
		.stock = job->definition.stock,
		.disjoint = job->definition.disjoint,
		.wait_msec = (uint32_t)(left_msec > MARGIN_MSEC ? left_msec - MARGIN_MSEC : 0),
	};

	return multihop_ask(manager->multihop, neighbour(job, 1), &job->next, &message,
			    next_answered);
}

/* Our links run: now the rest of the path. */
static void go_on(struct path_job *job)
{
	int r;

	if (job->result < 0 || !neighbour(job, 1)) {
		finish(job);
		return;
	}
	r = ask_next(job);
	if (r < 0) {
		fail(job, r, job->manager->site);
		finish(job);
	}
}

static void hop_started(struct path_job *job, int side, int result, bool began)
{
	job->began[side] = result >= 0 && began;
	if (result < 0)
		fail(job, result, job->manager->site);
	if (--job->starting == 0)
		go_on(job);
}

static void left_started(int result, bool began, void *context)
{
	hop_started(context, 0, result, began);
}

static void right_started(int result, bool began, void *context)
{
	hop_started(context, 1, result, began);
}

static void start(struct path_job *job)
{
	static void (*const done[])(int result, bool began, void *context) = {left_started,
									      right_started};
	struct path_manager *manager = job->manager;

	job->starting = 1; /* nothing goes on before all have begun */
	for (int side = 0; side < 2; side++) {
		if (!neighbour(job, side))
			continue;
		job->starting++;
		manager->hops->start(neighbour(job, side), done[side], job, manager->userdata);
	}
	if (--job->starting == 0)
		go_on(job);
}

static void stop(struct path_job *job)
{
	int r = path_manager_remove(job->manager, &job->definition.path);

	if (r < 0)
		fail(job, r, job->manager->site);
	go_on(job);
}

/* Neighbours and both ends have to be peers: a relay answers the ends directly. */
static int check(const struct path_manager *manager, const struct path *path)
{
	const char *ends[] = {path->sites[0], path->sites[path->count - 1]};
	int at = path_find(path, manager->site);

	if (at < 0)
		return -EINVAL;
	for (int i = at - 1; i <= at + 1; i += 2)
		if (i >= 0 && (size_t)i < path->count &&
		    !issuer_site_peer(manager->issuer, path->sites[i]))
			return -EINVAL;
	for (size_t i = 0; i < ELEMENTSOF(ends); i++)
		if (!str_equal(ends[i], manager->site) &&
		    !issuer_site_peer(manager->issuer, ends[i]))
			return -EINVAL;
	return 0;
}

/* So that we are at its first site. */
static int turn(const struct path_manager *manager, struct path *path)
{
	int at = path_find(path, manager->site);
	struct path reverse;

	if (at > 0) {
		path_reverse(path, &reverse);
		*path = reverse;
	}
	return at == 0 || (size_t)at + 1 == path->count ? check(manager, path) : -EINVAL;
}

static int begin_here(struct path_manager *manager, const struct path_definition *definition,
		      bool is_stop, path_manager_done_t done, void *userdata)
{
	struct path_definition turned = *definition;
	struct path_job *job;
	int r = turn(manager, &turned.path);

	if (r >= 0)
		r = new_job(manager, &turned, is_stop, PATH_MANAGER_USEC, &job);
	if (r < 0)
		return r;
	job->done = done;
	job->userdata = userdata;
	if (is_stop)
		stop(job);
	else
		start(job);
	return 0;
}

int path_manager_start(struct path_manager *manager, const struct path_definition *definition,
		       path_manager_done_t done, void *userdata)
{
	return begin_here(manager, definition, false, done, userdata);
}

int path_manager_stop(struct path_manager *manager, const struct path *path,
		      path_manager_done_t done, void *userdata)
{
	struct path_definition definition = {.path = *path, .weight = 1, .disjoint = 1};

	return begin_here(manager, &definition, true, done, userdata);
}

void path_manager_forget(struct path_manager *manager, void *userdata)
{
	LIST_FOREACH (link, &manager->jobs) {
		struct path_job *job = LIST_ENTRY(link, struct path_job, link);

		if (job->done && job->userdata == userdata)
			job->done = NULL;
	}
}

/* The same question again, on a new connection. */
static struct path_job *find_asked(struct path_manager *manager, const char *peer,
				   const struct uuid *request)
{
	LIST_FOREACH (link, &manager->jobs) {
		struct path_job *job = LIST_ENTRY(link, struct path_job, link);

		if (str_equal(job->peer, peer) && uuid_equal(&job->request, request))
			return job;
	}
	return NULL;
}

void path_job_receive(const char *peer, const struct uuid *request,
		      const struct path_message *message, void *userdata)
{
	struct path_manager *manager = userdata;
	struct path_definition definition = {message->legs[0], message->weight, message->stock,
					     message->disjoint};
	bool is_stop = message->step == PATH_STOP;
	int at = path_find(&definition.path, manager->site);
	struct path_job *job;
	int r = check(manager, &definition.path);

	if (find_asked(manager, peer, request))
		return;
	if (at < 1 || !str_equal(definition.path.sites[at - 1], peer))
		r = -EACCES;
	if (r >= 0)
		r = new_job(manager, &definition, is_stop, message->wait_msec * USEC_PER_MSEC,
			    &job);
	if (r < 0) {
		multihop_answer(manager->multihop, peer, request, r, manager->site, NULL);
		return;
	}
	snprintf(job->peer, sizeof(job->peer), "%s", peer);
	job->request = *request;
	if (is_stop)
		stop(job);
	else
		start(job);
}

static void time_out(struct path_job *job)
{
	struct path_manager *manager = job->manager;
	bool waits_for_links = job->starting > 0;

	if (waits_for_links)
		manager->hops->forget(job, manager->userdata);
	job->starting = 0;
	fail(job, -ETIMEDOUT,
	     waits_for_links || !neighbour(job, 1) ? manager->site : neighbour(job, 1));
	if (!job->is_stop)
		end_rest(job);
	finish(job);
}

int path_job_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct path_manager *manager = userdata;
	uint64_t now = issuer_path_now(manager->issuer);

	LIST_FOREACH (link, &manager->jobs) {
		struct path_job *job = LIST_ENTRY(link, struct path_job, link);

		if (job->deadline_usec <= now)
			time_out(job);
	}
	if (list_is_empty(&manager->jobs))
		return 0;
	(void)sd_event_source_set_time_relative(manager->timer, TIMER_USEC);
	return sd_event_source_set_enabled(manager->timer, SD_EVENT_ONESHOT);
}

void path_job_free_all(struct path_manager *manager)
{
	while (!list_is_empty(&manager->jobs))
		free_job(LIST_ENTRY(manager->jobs.next, struct path_job, link));
}
