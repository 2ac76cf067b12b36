/* SPDX-License-Identifier: MIT */
/* The end that answers: it takes what it is offered, and asks when it needs more. */

#include "rekey-private.h"

void rekey_follower_want(struct rekey_machine *m, uint64_t now_usec)
{
	m->begin_usec = now_usec + REKEY_WANT_USEC;
	rekey_generation_send(m, REKEY_WANT, NULL);
}

/* A label is served once; asking again would be in vain, or an attacker's wish. */
static bool is_recent(const struct rekey_machine *m, uint64_t generation)
{
	for (size_t i = 0; i < REKEY_RECENT; i++)
		if (m->recent[i] == generation)
			return true;
	return false;
}

static void remember(struct rekey_machine *m, uint64_t generation)
{
	m->recent[m->recent_at] = generation;
	m->recent_at = (m->recent_at + 1) % REKEY_RECENT;
}

/* Whoever cannot prove that they know the current generation costs us a key now and then at most:
 * the other end may have started anew and know none. */
static bool may_fetch(struct rekey_machine *m, uint64_t now_usec,
		      const struct rekey_message *message)
{
	if (m->next.state == REKEY_FETCHING || is_recent(m, message->generation))
		return false;
	if (message->current == m->current.id &&
	    rekey_message_is_proven_current(message, m->current.control))
		return true;
	if (now_usec < m->unproven_usec)
		return false;
	m->unproven_usec = now_usec + REKEY_UNPROVEN_OFFER_USEC;
	return true;
}

/* A generation that was accepted and is offered no more has an inbound association without use. */
static void abandon(struct rekey_machine *m, uint64_t now_usec)
{
	struct rekey_sa *sa = m->next.state == REKEY_ACCEPTED
				      ? rekey_table_find(m, REKEY_IN, m->next.spi_in)
				      : NULL;

	if (sa)
		sa->remove_usec = MIN(sa->remove_usec, now_usec + m->options.drain_usec);
	rekey_generation_done(&m->next);
}

static void fetch(struct rekey_machine *m, uint64_t now_usec, const struct rekey_message *message)
{
	int r;

	abandon(m, now_usec);
	m->give_up_usec = REKEY_NEVER;
	m->next.id = message->generation;
	m->next.state = REKEY_FETCHING;
	m->offer = *message;
	m->began_usec = now_usec;
	remember(m, message->generation);
	/* Long enough for what was begun. */
	m->begin_usec = MAX(m->begin_usec, now_usec + REKEY_GIVE_UP_USEC);
	r = m->hooks->fetch(message->generation, m->options.userdata);
	if (r < 0)
		rekey_generation_give_up(m, now_usec, REKEY_NO_KEY, -r);
}

static int prepare(struct rekey_machine *m, uint64_t now_usec)
{
	_cleanup_(secret_freep) struct secret *in_key = NULL;
	struct rekey_generation *g = &m->next;
	int r = rekey_generation_choose_spi(m, &g->spi_in);

	if (r >= 0)
		r = m->hooks->random(g->nonce_follower, sizeof(g->nonce_follower),
				     m->options.userdata);
	if (r >= 0)
		r = rekey_generation_derive(m, g, REKEY_IN, &in_key);
	if (r >= 0)
		r = rekey_generation_derive(m, g, REKEY_OUT, &g->out_key);
	if (r < 0)
		return r;
	g->key = secret_free(g->key);
	return rekey_generation_install(m, now_usec, REKEY_IN, g->spi_in, in_key);
}

/* The key and a proven offer are there. */
static void accept_offer(struct rekey_machine *m, uint64_t now_usec,
			 const struct rekey_message *offer)
{
	struct rekey_generation *g = &m->next;
	int r;

	g->spi_out = offer->spi;
	memcpy(g->nonce_leader, offer->nonce, sizeof(g->nonce_leader));
	r = prepare(m, now_usec);
	if (r < 0) {
		rekey_generation_give_up(m, now_usec, REKEY_FAILED, -r);
		return;
	}
	g->state = REKEY_ACCEPTED;
	m->give_up_usec = REKEY_NEVER;
	rekey_generation_send(m, REKEY_ACCEPT, g);
}

static void on_known_offer(struct rekey_machine *m, uint64_t now_usec,
			   const struct rekey_message *offer)
{
	struct rekey_generation *g = &m->next;

	if (g->state == REKEY_FETCHING) {
		m->offer = *offer;
		return;
	}
	if (!rekey_message_is_proven(offer, g->control))
		return;
	if (g->state == REKEY_FETCHED)
		accept_offer(m, now_usec, offer);
	else if (offer->spi == g->spi_out &&
		 memcmp(offer->nonce, g->nonce_leader, sizeof(g->nonce_leader)) == 0)
		rekey_generation_send(m, REKEY_ACCEPT, g);
}

static void on_confirm(struct rekey_machine *m, uint64_t now_usec)
{
	struct rekey_generation *g = &m->next;
	int r = rekey_generation_install(m, now_usec, REKEY_OUT, g->spi_out, g->out_key);

	if (r < 0) {
		rekey_generation_give_up(m, now_usec, REKEY_FAILED, -r);
		return;
	}
	rekey_generation_promote(m, now_usec, REKEY_SETTLED);
	rekey_table_retire(m, now_usec, REKEY_IN, m->current.spi_in, m->options.drain_usec);
	rekey_generation_send(m, REKEY_DONE, &m->current);
}

/* Who offers the next generation and proves it with the one that we have accepted, sends by it:
 * their CONFIRM was lost. */
static bool confirms(const struct rekey_machine *m, const struct rekey_message *offer)
{
	return m->next.state == REKEY_ACCEPTED && offer->current == m->next.id &&
	       rekey_message_is_proven_current(offer, m->next.control);
}

static void on_offer(struct rekey_machine *m, uint64_t now_usec, const struct rekey_message *offer)
{
	if (confirms(m, offer))
		on_confirm(m, now_usec);
	if (offer->generation == m->next.id)
		on_known_offer(m, now_usec, offer);
	else if (may_fetch(m, now_usec, offer))
		fetch(m, now_usec, offer);
}

/* Without a proven offer the key waits a while for one: it may have been an impostor's who knew the
 * number, and the true one is on its way. */
void rekey_follower_fetched(struct rekey_machine *m, uint64_t now_usec)
{
	m->next.state = REKEY_FETCHED;
	m->give_up_usec = now_usec + REKEY_GIVE_UP_USEC;
	if (rekey_message_is_proven(&m->offer, m->next.control))
		accept_offer(m, now_usec, &m->offer);
}

void rekey_follower_received(struct rekey_machine *m, uint64_t now_usec,
			     const struct rekey_message *message)
{
	struct rekey_generation *next = &m->next, *current = &m->current;

	if (message->type == REKEY_OFFER) {
		on_offer(m, now_usec, message);
		return;
	}
	if (message->type != REKEY_CONFIRM)
		return;
	if (next->state == REKEY_ACCEPTED && message->generation == next->id &&
	    rekey_message_is_proven(message, next->control))
		on_confirm(m, now_usec);
	else if (current->state == REKEY_SETTLED && message->generation == current->id &&
		 rekey_message_is_proven(message, current->control))
		rekey_generation_send(m, REKEY_DONE, current);
}
