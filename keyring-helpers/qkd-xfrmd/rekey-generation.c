/* SPDX-License-Identifier: MIT */
/* One generation of keys: its secrets, what is derived from them, its way into the kernel. */

#include "rekey-private.h"

void rekey_generation_done(struct rekey_generation *g)
{
	secret_free(g->key);
	secret_free(g->control);
	secret_free(g->out_key);
	*g = (struct rekey_generation){.state = REKEY_IDLE};
}

int rekey_generation_derive(const struct rekey_machine *m, const struct rekey_generation *g,
			    enum rekey_direction direction, struct secret **ret)
{
	struct sa_derive_context context = {
		.connection = m->connection,
		.generation = g->id,
		.direction = m->options.leader == (direction == REKEY_OUT)
				     ? SA_DERIVE_FROM_LEADER
				     : SA_DERIVE_FROM_FOLLOWER,
		.spi = direction == REKEY_IN ? g->spi_in : g->spi_out,
	};

	memcpy(context.nonce_leader, g->nonce_leader, sizeof(context.nonce_leader));
	memcpy(context.nonce_follower, g->nonce_follower, sizeof(context.nonce_follower));
	return sa_derive_key(g->key, &context, ret);
}

/* Into the table first: what the kernel may have is never forgotten. */
int rekey_generation_install(struct rekey_machine *m, uint64_t now_usec,
			     enum rekey_direction direction, uint32_t spi, const struct secret *key)
{
	int r;

	rekey_table_add(m, direction, spi, now_usec);
	r = m->hooks->install(direction, spi, key, m->options.userdata);
	if (r < 0) {
		if (r != -EEXIST) /* that one is somebody else's */
			m->hooks->remove(direction, spi, m->options.userdata);
		rekey_table_drop(m, rekey_table_find(m, direction, spi));
	}
	return r;
}

/* From beginning to beginning, so that how long it takes does not add up. The follower asks when
 * the leader is late, halfway to the hard lifetime. */
static uint64_t next_begin(const struct rekey_machine *m, uint64_t now_usec)
{
	const struct rekey_options *o = &m->options;
	uint64_t after = o->leader ? o->rekey_usec
				   : o->rekey_usec + (o->hard_usec - o->rekey_usec) / 2;
	uint64_t earliest = now_usec + REKEY_SPACING_USEC;

	return MAX(m->began_usec + after, earliest);
}

void rekey_generation_promote(struct rekey_machine *m, uint64_t now_usec, enum rekey_state state)
{
	bool secured = m->current.spi_out != 0;

	rekey_generation_done(&m->current);
	m->current = m->next;
	m->next = (struct rekey_generation){.state = REKEY_IDLE};
	m->current.state = state;
	m->current.key = secret_free(m->current.key);
	m->current.out_key = secret_free(m->current.out_key);
	rekey_table_retire(m, now_usec, REKEY_OUT, m->current.spi_out, REKEY_LINGER_USEC);
	m->begin_usec = next_begin(m, now_usec);
	m->give_up_usec = REKEY_NEVER;
	m->failures = 0;
	m->hooks->tell(secured ? REKEY_RENEWED : REKEY_SECURED, 0, m->options.userdata);
}

void rekey_generation_give_up(struct rekey_machine *m, uint64_t now_usec, enum rekey_event event,
			      int error)
{
	uint64_t backoff = REKEY_BACKOFF_MIN_USEC << MIN(m->failures, 8u);

	rekey_generation_done(&m->next);
	m->failures++;
	m->give_up_usec = m->resend_usec = REKEY_NEVER;
	m->begin_usec = now_usec + MIN(backoff, REKEY_BACKOFF_MAX_USEC);
	m->hooks->tell(event, error, m->options.userdata);
}

int rekey_generation_choose_spi(struct rekey_machine *m, uint32_t *ret)
{
	uint32_t spi;
	int r = m->hooks->random(&spi, sizeof(spi), m->options.userdata);

	if (r < 0)
		return r;
	*ret = spi < REKEY_SPI_MIN ? spi + REKEY_SPI_MIN : spi;
	return 0;
}

void rekey_generation_send(struct rekey_machine *m, enum rekey_message_type type,
			   const struct rekey_generation *g)
{
	bool leads = m->options.leader, has_spi = type == REKEY_OFFER || type == REKEY_ACCEPT;
	struct rekey_message message = {
		.type = type,
		.generation = g ? g->id : 0,
		.current = m->current.control ? m->current.id : 0,
		.spi = has_spi ? g->spi_in : 0,
	};
	uint8_t bytes[REKEY_MESSAGE_BYTES];

	memcpy(message.connection, m->connection, sizeof(message.connection));
	if (has_spi)
		memcpy(message.nonce, leads ? g->nonce_leader : g->nonce_follower,
		       sizeof(message.nonce));
	if (rekey_message_encode(&message, g ? g->control : NULL, m->current.control, bytes) == 0)
		m->hooks->send(bytes, m->options.userdata);
}
