/* SPDX-License-Identifier: MIT */
/* The end that drives: it begins generations, offers them and repeats itself until answered. */

#include "rekey-private.h"

static void start_resending(struct rekey_machine *m, uint64_t now_usec)
{
	m->resend_step_usec = REKEY_RESEND_MIN_USEC;
	m->resend_usec = now_usec + m->resend_step_usec;
}

static int choose_id(struct rekey_machine *m, uint64_t *ret)
{
	uint64_t id;
	int r = m->hooks->random(&id, sizeof(id), m->options.userdata);

	if (r < 0)
		return r;
	*ret = id ? id : 1;
	return 0;
}

/* Of CONFIRM to the generation before nothing is repeated any more: the new one makes up for it. */
void rekey_leader_begin(struct rekey_machine *m, uint64_t now_usec)
{
	int r;

	m->begin_usec = REKEY_NEVER;
	if (m->next.state != REKEY_IDLE)
		return;
	m->resend_usec = REKEY_NEVER;
	m->began_usec = now_usec;
	r = choose_id(m, &m->next.id);
	if (r >= 0) {
		m->next.state = REKEY_FETCHING;
		r = m->hooks->fetch(m->next.id, m->options.userdata);
	}
	if (r < 0)
		rekey_generation_give_up(m, now_usec, REKEY_NO_KEY, -r);
}

void rekey_leader_fetched(struct rekey_machine *m, uint64_t now_usec)
{
	struct rekey_generation *g = &m->next;
	int r = rekey_generation_choose_spi(m, &g->spi_in);

	if (r >= 0)
		r = m->hooks->random(g->nonce_leader, sizeof(g->nonce_leader), m->options.userdata);
	if (r < 0) {
		rekey_generation_give_up(m, now_usec, REKEY_FAILED, -r);
		return;
	}
	g->state = REKEY_OFFERED;
	m->give_up_usec = now_usec + REKEY_GIVE_UP_USEC;
	start_resending(m, now_usec);
	rekey_generation_send(m, REKEY_OFFER, g);
}

static int install(struct rekey_machine *m, uint64_t now_usec, enum rekey_direction direction)
{
	_cleanup_(secret_freep) struct secret *key = NULL;
	int r = rekey_generation_derive(m, &m->next, direction, &key);

	if (r < 0)
		return r;
	return rekey_generation_install(m, now_usec, direction,
					direction == REKEY_IN ? m->next.spi_in : m->next.spi_out,
					key);
}

static void withdraw_inbound(struct rekey_machine *m)
{
	struct rekey_sa *sa = rekey_table_find(m, REKEY_IN, m->next.spi_in);

	if (!sa)
		return;
	m->hooks->remove(REKEY_IN, sa->spi, m->options.userdata);
	rekey_table_drop(m, sa);
}

static void on_accept(struct rekey_machine *m, uint64_t now_usec,
		      const struct rekey_message *message)
{
	struct rekey_generation *g = &m->next;
	int r;

	g->spi_out = message->spi;
	memcpy(g->nonce_follower, message->nonce, sizeof(g->nonce_follower));
	r = install(m, now_usec, REKEY_IN);
	if (r >= 0)
		r = install(m, now_usec, REKEY_OUT);
	if (r < 0) {
		withdraw_inbound(m);
		rekey_generation_give_up(m, now_usec, REKEY_FAILED, -r);
		return;
	}
	rekey_generation_promote(m, now_usec, REKEY_CONFIRMED);
	start_resending(m, now_usec);
	rekey_generation_send(m, REKEY_CONFIRM, &m->current);
}

static void on_done(struct rekey_machine *m, uint64_t now_usec)
{
	m->current.state = REKEY_SETTLED;
	if (m->next.state != REKEY_OFFERED)
		m->resend_usec = REKEY_NEVER;
	rekey_table_retire(m, now_usec, REKEY_IN, m->current.spi_in, m->options.drain_usec);
}

/* A generation that is being made will do for who wants one; so will one that was just made. */
static void on_want(struct rekey_machine *m, uint64_t now_usec, const struct rekey_message *message)
{
	bool proven = m->current.control && message->current == m->current.id &&
		      rekey_message_is_proven_current(message, m->current.control);
	const struct rekey_sa *newest = rekey_table_newest(m, REKEY_OUT);
	uint64_t earliest = newest ? newest->added_usec + REKEY_SPACING_USEC : now_usec;

	if (m->next.state != REKEY_IDLE || m->failures > 0)
		return;
	if (!proven && now_usec < m->unproven_usec)
		return;
	if (!proven)
		m->unproven_usec = now_usec + REKEY_UNPROVEN_WANT_USEC;
	m->begin_usec = MIN(m->begin_usec, MAX(now_usec, earliest));
	if (m->begin_usec <= now_usec)
		rekey_leader_begin(m, now_usec);
}

void rekey_leader_received(struct rekey_machine *m, uint64_t now_usec,
			   const struct rekey_message *message)
{
	struct rekey_generation *next = &m->next, *current = &m->current;

	if (message->type == REKEY_WANT) {
		on_want(m, now_usec, message);
		return;
	}
	if (message->type == REKEY_ACCEPT && next->state == REKEY_OFFERED &&
	    message->generation == next->id && rekey_message_is_proven(message, next->control))
		on_accept(m, now_usec, message);
	else if (message->type == REKEY_DONE && current->state == REKEY_CONFIRMED &&
		 message->generation == current->id &&
		 rekey_message_is_proven(message, current->control))
		on_done(m, now_usec);
}

void rekey_leader_resend(struct rekey_machine *m, uint64_t now_usec)
{
	m->resend_step_usec = MIN(2 * m->resend_step_usec, REKEY_RESEND_MAX_USEC);
	m->resend_usec = now_usec + m->resend_step_usec;
	if (m->next.state == REKEY_OFFERED)
		rekey_generation_send(m, REKEY_OFFER, &m->next);
	else if (m->next.state == REKEY_IDLE && m->current.state == REKEY_CONFIRMED)
		rekey_generation_send(m, REKEY_CONFIRM, &m->current);
	else
		m->resend_usec = REKEY_NEVER;
}
