/* SPDX-License-Identifier: MIT */

/*
 * The other end of a build: what the last hop and the relays of each path contribute is put
 * together, in whichever order it comes. The first end alone says which sites have to. Nothing is
 * kept on disk before that end has seen from the tag that both hold the same keys; until then, and
 * for a limited time, they are in this memory only.
 */

#include "qkd-keyringd/multihop-private.h"

struct ending;

/* What one site gives for one path. */
struct contribution {
	struct list link;
	uint32_t leg;
	bool is_hop; /* the last hop's key itself */
	char site[NAME_MAX_CHARS + 1];
	struct secret *bytes;  /* NULL: its keys have not arrived */
	struct site_keys keys; /* the last hop's, until then */
	struct uuid request;   /* its binding, answered when they are taken */
	bool owes;
};

struct ending {
	struct id_node node;
	struct list link;
	struct multihop *multihop;
	bool announced;              /* the first end has told what it is to be */
	struct path_message message; /* what it told */
	struct uuid request;         /* its question, to be answered */
	struct list contributions;
	size_t contribution_count;
	struct secret *keys; /* when complete */
	int error;
	char failed_at[NAME_MAX_CHARS + 1];
	uint64_t deadline_usec;
};

/* An acknowledgement that waits for the disk. */
struct keeping {
	struct list link;
	struct issue_log_waiter waiter;
	struct multihop *multihop;
	struct uuid request;
	char peer[NAME_MAX_CHARS + 1];
};

static void free_contribution(struct contribution *contribution)
{
	list_remove(&contribution->link);
	secret_free(contribution->bytes);
	site_keys_done(&contribution->keys);
	free(contribution);
}

/* Whoever has bound keys that were not taken tells that they are over. */
static void answer_bind(struct ending *ending, struct contribution *contribution, int r)
{
	if (contribution->owes)
		multihop_acknowledge(ending->multihop, contribution->site, &contribution->request,
				     r);
	contribution->owes = false;
}

static void drop_contributions(struct ending *ending)
{
	while (!list_is_empty(&ending->contributions)) {
		struct contribution *contribution =
			LIST_ENTRY(ending->contributions.next, struct contribution, link);

		answer_bind(ending, contribution, -ESTALE);
		free_contribution(contribution);
	}
}

static void free_ending(struct ending *ending)
{
	drop_contributions(ending);
	list_remove(&ending->link);
	id_table_remove(&ending->multihop->endings, &ending->node);
	secret_free(ending->keys);
	free(ending);
}

static int find_or_add(struct multihop *multihop, const struct uuid *build, struct ending **ret)
{
	struct id_node *node = id_table_find(&multihop->endings, build);
	struct ending *ending;
	int r;

	if (node) {
		*ret = CONTAINER_OF(node, struct ending, node);
		return 0;
	}
	if (multihop->endings.count >= MULTIHOP_MAX_SERVED)
		return -ENOBUFS;
	ending = calloc(1, sizeof(*ending));
	if (!ending)
		return -ENOMEM;
	ending->node.id = *build;
	r = id_table_add(&multihop->endings, &ending->node);
	if (r < 0) {
		free(ending);
		return r;
	}
	ending->multihop = multihop;
	ending->deadline_usec = issuer_path_now(multihop->issuer) + MULTIHOP_SERVE_USEC;
	list_init(&ending->contributions);
	list_init(&ending->link);
	list_append(&multihop->ending, &ending->link);
	multihop_tick_soon(multihop);
	*ret = ending;
	return 0;
}

static struct contribution *find_contribution(const struct ending *ending, const char *site,
					      uint32_t leg, bool is_hop)
{
	LIST_FOREACH (link, &ending->contributions) {
		struct contribution *contribution = LIST_ENTRY(link, struct contribution, link);

		if (contribution->leg == leg && contribution->is_hop == is_hop &&
		    str_equal(contribution->site, site))
			return contribution;
	}
	return NULL;
}

static const char *initiator(const struct ending *ending)
{
	return ending->message.legs[0].sites[0];
}

/* Answers the first end; a question that it asks again is answered again. */
static void answer(struct ending *ending)
{
	struct multihop *multihop = ending->multihop;
	_cleanup_(secret_freep) struct secret *tag = NULL;
	int r = ending->error;

	if (r == 0)
		r = secret_new(PATH_MESSAGE_TAG_BYTES, &tag);
	if (r >= 0)
		r = path_tag(&ending->message, ending->keys, tag->bytes);
	if (r < 0 && !*ending->failed_at)
		strcpy(ending->failed_at, multihop->site);
	multihop_answer(multihop, initiator(ending), &ending->request, r,
			r < 0 ? ending->failed_at : "", r < 0 ? NULL : tag);
}

static size_t size_bytes(const struct ending *ending)
{
	return (size_t)ending->message.count * ending->message.bits / 8;
}

/* NULL, or the site that is still to contribute; -EBADMSG for a contribution of another size. */
static int check_leg(const struct ending *ending, uint32_t leg, const char **ret_missing)
{
	const struct path *path = &ending->message.legs[leg];

	for (size_t i = 1; i < path->count; i++) {
		bool is_hop = i + 1 == path->count;
		const char *site = path->sites[is_hop ? i - 1 : i];
		struct contribution *contribution = find_contribution(ending, site, leg, is_hop);

		if (!contribution || !contribution->bytes)
			*ret_missing = site;
		else if (contribution->bytes->size_bytes != size_bytes(ending))
			return -EBADMSG;
	}
	return 0;
}

/* Only what the announced paths name counts. */
static void add_up(struct ending *ending)
{
	for (uint32_t leg = 0; leg < ending->message.leg_count; leg++) {
		const struct path *path = &ending->message.legs[leg];

		for (size_t i = 1; i < path->count; i++) {
			bool is_hop = i + 1 == path->count;
			const struct contribution *contribution = find_contribution(
				ending, path->sites[is_hop ? i - 1 : i], leg, is_hop);

			multihop_xor(ending->keys, contribution->bytes);
		}
	}
}

static int complete(struct ending *ending)
{
	const char *missing = NULL;
	int r = 0;

	for (uint32_t leg = 0; r >= 0 && leg < ending->message.leg_count; leg++)
		r = check_leg(ending, leg, &missing);
	if (r < 0 || missing)
		return r < 0 ? r : -EAGAIN;
	r = secret_new(size_bytes(ending), &ending->keys);
	if (r < 0)
		return r;
	add_up(ending);
	drop_contributions(ending);
	return 0;
}

static void fail(struct ending *ending, int error, const char *site)
{
	if (ending->error || ending->keys)
		return;
	ending->error = error;
	snprintf(ending->failed_at, sizeof(ending->failed_at), "%s", site);
	drop_contributions(ending);
	if (ending->announced)
		answer(ending);
}

static void step(struct ending *ending)
{
	int r;

	if (!ending->announced || ending->keys || ending->error)
		return;
	r = complete(ending);
	if (r == 0)
		answer(ending);
	else if (r != -EAGAIN)
		fail(ending, r, ending->multihop->site);
}

/* Keys that it names and that are ours to build with this site. */
static int check_build(const struct multihop *multihop, const char *peer,
		       const struct path_message *message)
{
	if (message->count <= path_tag_keys(message->bits))
		return -EINVAL;
	for (size_t i = 0; i < message->leg_count; i++) {
		const struct path *path = &message->legs[i];

		if (!str_equal(path->sites[0], peer) ||
		    !str_equal(path->sites[path->count - 1], multihop->site) ||
		    !multihop_find_known(multihop, path))
			return -EACCES;
		for (size_t j = 0; j < i; j++)
			if (!path_is_disjoint(path, &message->legs[j]))
				return -EINVAL;
	}
	return 0;
}

void multihop_end_build(struct multihop *multihop, const char *peer, const struct uuid *request,
			struct path_message *message)
{
	struct ending *ending;
	int r = check_build(multihop, peer, message);

	if (r >= 0)
		r = find_or_add(multihop, &message->build, &ending);
	if (r >= 0 && ending->announced && !str_equal(initiator(ending), peer))
		r = -EACCES;
	if (r < 0) {
		multihop_answer(multihop, peer, request, r, multihop->site, NULL);
		return;
	}
	if (!ending->announced)
		ending->message = *message; /* owns nothing */
	ending->announced = true;
	ending->request = *request;
	if (ending->keys || ending->error)
		answer(ending);
	else
		step(ending);
}

/* NULL when there is one of that site already, or no room. */
static struct contribution *add_contribution(struct ending *ending, const char *site, uint32_t leg,
					     bool is_hop)
{
	struct contribution *contribution;

	if (ending->keys || ending->error || find_contribution(ending, site, leg, is_hop) ||
	    ending->contribution_count >= PATH_MAX_DISJOINT * PATH_MAX_SITES)
		return NULL;
	contribution = calloc(1, sizeof(*contribution));
	if (!contribution)
		return NULL;
	contribution->leg = leg;
	contribution->is_hop = is_hop;
	snprintf(contribution->site, sizeof(contribution->site), "%s", site);
	list_init(&contribution->link);
	list_append(&ending->contributions, &contribution->link);
	ending->contribution_count++;
	return contribution;
}

/* The last hop's key. */
static int take(struct ending *ending, struct contribution *contribution)
{
	return issuer_hop_take(ending->multihop->issuer, contribution->site, &contribution->keys,
			       &contribution->bytes);
}

/* 0 while they have not arrived, too. */
static int take_bound(struct ending *ending, struct contribution *contribution)
{
	int r = take(ending, contribution);

	if (r == -EAGAIN)
		return 0;
	answer_bind(ending, contribution, r);
	return r;
}

void multihop_end_bind(struct multihop *multihop, const char *peer, const struct uuid *request,
		       struct path_message *message)
{
	struct contribution *contribution = NULL;
	struct ending *ending;
	int r = find_or_add(multihop, &message->build, &ending);

	if (r >= 0)
		contribution = add_contribution(ending, peer, message->leg, true);
	if (!contribution) { /* it is over: who has bound the keys tells that they are, too */
		multihop_acknowledge(multihop, peer, request, r < 0 ? r : -ESTALE);
		return;
	}
	contribution->keys = message->keys;
	message->keys = (struct site_keys){};
	contribution->request = *request;
	contribution->owes = true;
	r = take_bound(ending, contribution);
	if (r < 0)
		fail(ending, r, peer);
	else
		step(ending);
}

void multihop_end_combined(struct multihop *multihop, const char *peer, const struct uuid *request,
			   struct path_message *message)
{
	struct contribution *contribution;
	struct ending *ending;
	int r = find_or_add(multihop, &message->build, &ending);

	multihop_acknowledge(multihop, peer, request, 0);
	if (r < 0)
		return;
	if (message->error || !message->bytes) { /* its XOR may have come before */
		fail(ending, message->error ? -(int)message->error : -EBADMSG, peer);
		return;
	}
	contribution = add_contribution(ending, peer, message->leg, false);
	if (!contribution)
		return;
	contribution->bytes = TAKE_PTR(message->bytes);
	step(ending);
}

static void acknowledge(struct keeping *keeping)
{
	multihop_answer(keeping->multihop, keeping->peer, &keeping->request, 0, "", NULL);
	list_remove(&keeping->waiter.link);
	list_remove(&keeping->link);
	free(keeping);
}

static void on_disk(struct issue_log_waiter *waiter)
{
	acknowledge(CONTAINER_OF(waiter, struct keeping, waiter));
}

void multihop_end_synced(struct multihop *multihop)
{
	LIST_FOREACH (link, &multihop->keeping)
		acknowledge(LIST_ENTRY(link, struct keeping, link));
}

/* hurry: somebody waits for it. */
static void acknowledge_on_disk(struct multihop *multihop, const char *peer,
				const struct uuid *request, bool hurry)
{
	struct keeping *keeping = calloc(1, sizeof(*keeping));

	if (!keeping)
		return; /* asked again on the next connection */
	keeping->multihop = multihop;
	keeping->request = *request;
	snprintf(keeping->peer, sizeof(keeping->peer), "%s", peer);
	list_init(&keeping->link);
	list_append(&multihop->keeping, &keeping->link);
	issue_log_waiter_init(&keeping->waiter, on_disk);
	if (hurry)
		issuer_path_on_disk(multihop->issuer, &keeping->waiter);
	else
		issuer_path_sync_soon(multihop->issuer);
}

static int append(struct multihop *multihop, const char *peer, const struct path_message *message,
		  const struct issuer_path_place *place)
{
	struct id_node *node = id_table_find(&multihop->endings, &message->build);
	struct ending *ending = node ? CONTAINER_OF(node, struct ending, node) : NULL;
	size_t count = message->keys.count;
	int r;

	if (!ending || !ending->keys || !str_equal(initiator(ending), peer) ||
	    ending->message.bits != message->bits ||
	    count != ending->message.count - path_tag_keys(message->bits))
		return -ESTALE;
	r = issuer_path_append(multihop->issuer, peer, place, false, message->keys.ids,
			       ending->keys, count);
	if (r >= 0)
		free_ending(ending);
	return r;
}

void multihop_end_keep(struct multihop *multihop, const char *peer, const struct uuid *request,
		       struct path_message *message)
{
	struct issuer_path_place place = {
		.store = message->keys.store,
		.generation = message->keys.generation,
		.bits = message->bits,
		.first = message->first,
	};
	size_t count = message->keys.count;
	int r = 0;

	if (count == 0)
		r = issuer_path_append(multihop->issuer, peer, &place, false, NULL, NULL, 0);
	else if (!issuer_path_has(multihop->issuer, peer, &place, message->keys.ids, count))
		r = append(multihop, peer, message, &place);
	if (r < 0)
		multihop_answer(multihop, peer, request, r, multihop->site, NULL);
	else
		acknowledge_on_disk(multihop, peer, request, count == 0);
}

static void arrived(struct ending *ending)
{
	LIST_FOREACH (link, &ending->contributions) {
		struct contribution *contribution = LIST_ENTRY(link, struct contribution, link);
		int r = contribution->bytes ? 0 : take_bound(ending, contribution);

		if (r < 0) {
			fail(ending, r, contribution->site);
			return;
		}
	}
	step(ending);
}

void multihop_end_arrived(struct multihop *multihop)
{
	LIST_FOREACH (link, &multihop->ending) {
		struct ending *ending = LIST_ENTRY(link, struct ending, link);

		if (!list_is_empty(&ending->contributions))
			arrived(ending);
	}
}

uint64_t multihop_end_time_out(struct multihop *multihop, uint64_t now_usec)
{
	LIST_FOREACH (link, &multihop->ending) {
		struct ending *ending = LIST_ENTRY(link, struct ending, link);

		if (ending->deadline_usec > now_usec)
			return ending->deadline_usec;
		free_ending(ending);
	}
	return 0;
}

void multihop_end_free_all(struct multihop *multihop)
{
	LIST_FOREACH (link, &multihop->keeping) {
		struct keeping *keeping = LIST_ENTRY(link, struct keeping, link);

		list_remove(&keeping->waiter.link);
		list_remove(link);
		free(keeping);
	}
	while (!list_is_empty(&multihop->ending))
		free_ending(LIST_ENTRY(multihop->ending.next, struct ending, link));
}
