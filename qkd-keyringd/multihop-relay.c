/* SPDX-License-Identifier: MIT */

/*
 * Between the ends: a relay gets keys bound by its left neighbour, binds as many of its own to the
 * right, and sends the XOR of the two to the end that the path names, and to nobody else. The
 * binding goes on at once; the bytes are read when it is on its way. Both keys are destroyed on
 * record before the XOR leaves, and their bytes are wiped here, the XOR when the end has it.
 */

#include "qkd-keyringd/multihop-private.h"

struct relay {
	struct id_node node;
	struct list link;
	struct multihop *multihop;
	struct path_message bind; /* of the left neighbour; keys are a copy until they are taken */
	const char *left, *right, *end;
	struct site_keys right_keys;
	struct supply_waiter supply; /* for keys of our own to the right */
	struct site_request ask, combined;
	struct list combining; /* the XOR is still to be made */
	struct uuid request;   /* the left neighbour's binding */
	bool owes;             /* its answer */
	bool asked, bound, done;
	uint64_t deadline_usec;
};

static void free_relay(struct relay *relay)
{
	struct issuer *issuer = relay->multihop->issuer;

	issuer_path_cancel(issuer, relay->right, &relay->ask);
	issuer_path_cancel(issuer, relay->end, &relay->combined);
	issuer_hop_end(issuer, relay->right, &relay->right_keys, relay->bound);
	site_keys_done(&relay->right_keys);
	list_remove(&relay->combining);
	list_remove(&relay->link);
	list_remove(&relay->supply.link);
	id_table_remove(&relay->multihop->relays, &relay->node);
	path_message_done(&relay->bind);
	free(relay);
}

/* Kept until the deadline, so that a binding that is asked again is known. */
static void finish(struct relay *relay)
{
	if (!relay->bound || !list_is_empty(&relay->combining) ||
	    site_request_is_pending(&relay->combined))
		return;
	issuer_hop_end(relay->multihop->issuer, relay->right, &relay->right_keys, true);
	site_keys_done(&relay->right_keys);
	relay->done = true;
}

static void combined(struct site_request *request, const struct site_message *answer)
{
	finish(CONTAINER_OF(request, struct relay, combined));
}

/* The XOR, or (bytes NULL) why there is none. */
static void tell_end(struct relay *relay, int error, struct secret *bytes)
{
	struct path_message message = {
		.step = PATH_COMBINED,
		.build = relay->node.id,
		.leg = relay->bind.leg,
		.error = (uint32_t)-error,
		.bytes = bytes,
	};

	if (error < 0)
		strcpy(message.site, relay->multihop->site);
	issuer_path_cancel(relay->multihop->issuer, relay->end, &relay->combined);
	/* The end's own deadline tells it if this cannot be said. */
	(void)multihop_ask(relay->multihop, relay->end, &relay->combined, &message, combined);
}

/* Not before its keys are taken, or are not to be: then they are not forgotten at one site only. */
static void answer_left(struct relay *relay, int r)
{
	if (relay->owes)
		multihop_acknowledge(relay->multihop, relay->left, &relay->request, r);
	relay->owes = false;
}

static void fail(struct relay *relay, int error)
{
	if (relay->done)
		return;
	relay->done = true;
	answer_left(relay, error);
	list_remove(&relay->supply.link);
	list_remove(&relay->combining);
	tell_end(relay, error, NULL);
}

static void bound(struct site_request *request, const struct site_message *site_message)
{
	struct relay *relay = CONTAINER_OF(request, struct relay, ask);
	_cleanup_(path_message_done) struct path_message answer = {};
	int r = multihop_read_answer(site_message, &answer);

	if (r < 0) {
		fail(relay, r);
		return;
	}
	relay->bound = true;
	finish(relay);
}

static int bind_right(struct relay *relay)
{
	struct path_message message = relay->bind;

	message.keys = relay->right_keys;
	relay->asked = true;
	return multihop_ask(relay->multihop, relay->right, &relay->ask, &message, bound);
}

static int choose_right(struct relay *relay)
{
	struct issuer *issuer = relay->multihop->issuer;
	size_t count = relay->bind.keys.count;
	int r;

	if (relay->bind.push && issuer_path_available(issuer, relay->right) < MULTIHOP_SPARE_KEYS)
		return -EBUSY;
	r = issuer_hop_choose(issuer, relay->right, relay->bind.bits, count, count, &relay->node.id,
			      &relay->right_keys);
	if (r == -EAGAIN)
		(void)issuer_hop_wait(issuer, relay->right, &relay->supply, relay->bind.bits);
	return r;
}

static void count_relayed(struct relay *relay)
{
	struct multihop *multihop = relay->multihop;
	struct known_path *known = multihop_find_known(multihop, &relay->bind.legs[0]);

	multihop_count(multihop, MULTIHOP_STATISTIC_RELAYED, relay->right_keys.count);
	if (known)
		known->relayed += relay->right_keys.count;
}

static int combine(struct relay *relay)
{
	struct issuer *issuer = relay->multihop->issuer;
	_cleanup_(secret_freep) struct secret *left = NULL, *right = NULL;
	int r = issuer_hop_take(issuer, relay->left, &relay->bind.keys, &left);

	answer_left(relay, r);
	if (r >= 0)
		r = issuer_hop_read(issuer, relay->right, &relay->right_keys, relay->bind.bits,
				    &right);
	if (r >= 0 && left->size_bytes != right->size_bytes)
		r = -EINVAL;
	if (r < 0)
		return r;
	multihop_xor(left, right);
	count_relayed(relay);
	tell_end(relay, 0, left);
	return 0;
}

static void combine_or_fail(struct relay *relay)
{
	int r = combine(relay);

	if (r < 0)
		fail(relay, r);
}

/* The end needs both messages of the last relay: they leave together. */
static void combine_soon(struct relay *relay)
{
	if (str_equal(relay->right, relay->end)) {
		combine_or_fail(relay);
		return;
	}
	list_append(&relay->multihop->combining, &relay->combining);
	multihop_read_soon(relay->multihop);
}

void multihop_relay_combine(struct multihop *multihop)
{
	while (!list_is_empty(&multihop->combining)) {
		struct relay *relay = LIST_ENTRY(multihop->combining.next, struct relay, combining);

		list_remove(&relay->combining);
		combine_or_fail(relay);
	}
}

/* Goes on as far as it can; what is missing makes it step again. */
static void step(struct relay *relay)
{
	int r;

	if (relay->done || relay->asked)
		return;
	r = issuer_hop_look(relay->multihop->issuer, relay->left, &relay->bind.keys);
	if (r >= 0)
		r = choose_right(relay);
	if (r == -EAGAIN)
		return;
	if (r >= 0)
		r = bind_right(relay);
	if (r < 0)
		fail(relay, r);
	else
		combine_soon(relay);
}

static void supply_ready(struct supply_waiter *waiter)
{
	step(CONTAINER_OF(waiter, struct relay, supply));
}

/* Takes the message's keys. */
static int new_relay(struct multihop *multihop, struct path_message *message, struct relay **ret)
{
	struct relay *relay;
	int at, r;

	if (multihop->relays.count >= MULTIHOP_MAX_SERVED)
		return -ENOBUFS;
	relay = calloc(1, sizeof(*relay));
	if (!relay)
		return -ENOMEM;
	relay->node.id = message->build;
	r = id_table_add(&multihop->relays, &relay->node);
	if (r < 0) {
		free(relay);
		return r;
	}
	relay->multihop = multihop;
	relay->bind = *message;
	message->keys = (struct site_keys){};
	at = path_find(&relay->bind.legs[0], multihop->site);
	relay->left = relay->bind.legs[0].sites[at - 1];
	relay->right = relay->bind.legs[0].sites[at + 1];
	relay->end = relay->bind.legs[0].sites[relay->bind.legs[0].count - 1];
	relay->deadline_usec = issuer_path_now(multihop->issuer) + MULTIHOP_SERVE_USEC;
	relay->supply.ready = supply_ready;
	list_init(&relay->supply.link);
	list_init(&relay->combining);
	list_init(&relay->link);
	list_append(&multihop->relaying, &relay->link);
	*ret = relay;
	return 0;
}

static bool is_of(const struct relay *relay, const struct path_message *message)
{
	return relay->bind.leg == message->leg &&
	       path_equal(&relay->bind.legs[0], &message->legs[0]);
}

void multihop_relay_bind(struct multihop *multihop, const char *peer, const struct uuid *request,
			 struct path_message *message)
{
	struct id_node *node = id_table_find(&multihop->relays, &message->build);
	struct relay *relay = node ? CONTAINER_OF(node, struct relay, node) : NULL;
	int r = 0;

	if (relay) {
		r = is_of(relay, message) ? 0 : -EEXIST;
		multihop_acknowledge(multihop, peer, request, r);
		return;
	}
	r = new_relay(multihop, message, &relay);
	if (r < 0) {
		multihop_acknowledge(multihop, peer, request, r);
		return;
	}
	relay->request = *request;
	relay->owes = true;
	step(relay);
	multihop_tick_soon(multihop);
}

void multihop_relay_arrived(struct multihop *multihop)
{
	LIST_FOREACH (link, &multihop->relaying)
		step(LIST_ENTRY(link, struct relay, link));
}

void multihop_relay_lost(struct multihop *multihop, const char *peer)
{
	LIST_FOREACH (link, &multihop->relaying) {
		struct relay *relay = LIST_ENTRY(link, struct relay, link);

		if (!str_equal(relay->right, peer) || !site_request_is_pending(&relay->ask))
			continue;
		issuer_path_cancel(multihop->issuer, peer, &relay->ask);
		fail(relay, -ECONNRESET);
	}
}

uint64_t multihop_relay_time_out(struct multihop *multihop, uint64_t now_usec)
{
	LIST_FOREACH (link, &multihop->relaying) {
		struct relay *relay = LIST_ENTRY(link, struct relay, link);

		if (relay->deadline_usec > now_usec)
			return relay->deadline_usec;
		free_relay(relay);
	}
	return 0;
}

void multihop_relay_free_all(struct multihop *multihop)
{
	while (!list_is_empty(&multihop->relaying))
		free_relay(LIST_ENTRY(multihop->relaying.next, struct relay, link));
}
