/* SPDX-License-Identifier: MIT */
/* The rekeying machine's life: start, timers, and what the kernel tells. */

#include "rekey-private.h"

int rekey_machine_new(const struct rekey_options *options, struct rekey_machine **ret)
{
	struct rekey_machine *m;

	if (strlen(options->connection) >= REKEY_MESSAGE_NAME_BYTES ||
	    options->hard_usec <= options->rekey_usec)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	snprintf(m->connection, sizeof(m->connection), "%s", options->connection);
	m->options = *options;
	m->options.connection = m->connection;
	m->hooks = options->hooks;
	m->begin_usec = m->resend_usec = m->give_up_usec = REKEY_NEVER;
	*ret = m;
	return 0;
}

struct rekey_machine *rekey_machine_free(struct rekey_machine *m)
{
	if (!m)
		return NULL;
	rekey_generation_done(&m->next);
	rekey_generation_done(&m->current);
	free(m);
	return NULL;
}

/* Begins, or asks for it. */
static void begin(struct rekey_machine *m, uint64_t now_usec)
{
	if (m->options.leader)
		rekey_leader_begin(m, now_usec);
	else
		rekey_follower_want(m, now_usec);
}

/* Soon, but not more often than the spacing, and not before what a failure has to wait. */
static void hasten(struct rekey_machine *m, uint64_t now_usec)
{
	const struct rekey_sa *newest = rekey_table_newest(m, REKEY_OUT);
	uint64_t when = newest ? MAX(now_usec, newest->added_usec + REKEY_SPACING_USEC) : now_usec;

	if (m->next.state == REKEY_IDLE && m->failures == 0)
		m->begin_usec = MIN(m->begin_usec, when);
}

void rekey_machine_adopt(struct rekey_machine *m, uint64_t now_usec, enum rekey_direction direction,
			 uint32_t spi, uint64_t age_usec, bool spent)
{
	rekey_table_add(m, direction, spi, now_usec - MIN(age_usec, now_usec));
	rekey_table_find(m, direction, spi)->spent = spent;
}

void rekey_machine_start(struct rekey_machine *m, uint64_t now_usec)
{
	const struct rekey_sa *out = rekey_table_newest(m, REKEY_OUT);
	const struct rekey_sa *in = rekey_table_newest(m, REKEY_IN);

	m->begin_usec = now_usec;
	if (out) {
		m->current.state = REKEY_SETTLED;
		m->current.spi_out = out->spi;
		m->current.spi_in = in ? in->spi : 0;
		m->begin_usec = MAX(now_usec, out->added_usec + m->options.rekey_usec);
		rekey_table_retire(m, now_usec, REKEY_OUT, out->spi, REKEY_LINGER_USEC);
		if (out->spent)
			hasten(m, now_usec);
	}
	rekey_machine_timer(m, now_usec);
}

void rekey_machine_fetched(struct rekey_machine *m, uint64_t now_usec, uint64_t generation,
			   int result, struct secret *key)
{
	struct rekey_generation *g = &m->next;
	_cleanup_(secret_freep) struct secret *owned = key;

	if (g->state != REKEY_FETCHING || g->id != generation)
		return;
	if (result >= 0)
		result = sa_derive_control(owned, m->connection, generation, &g->control);
	if (result < 0) {
		rekey_generation_give_up(m, now_usec, REKEY_NO_KEY, -result);
		return;
	}
	g->key = TAKE_PTR(owned);
	if (m->options.leader)
		rekey_leader_fetched(m, now_usec);
	else
		rekey_follower_fetched(m, now_usec);
}

void rekey_machine_received(struct rekey_machine *m, uint64_t now_usec,
			    const struct rekey_message *message)
{
	if (!str_equal(message->connection, m->connection))
		return;
	if (m->options.leader)
		rekey_leader_received(m, now_usec, message);
	else
		rekey_follower_received(m, now_usec, message);
}

/* One that comes right after an association was installed was asked before. */
void rekey_machine_acquire(struct rekey_machine *m, uint64_t now_usec)
{
	hasten(m, now_usec);
	rekey_machine_timer(m, now_usec);
}

/* The association is gone from the kernel. */
static void lost(struct rekey_machine *m, uint64_t now_usec, enum rekey_direction direction,
		 uint32_t spi)
{
	if (direction != REKEY_OUT || spi != m->current.spi_out)
		return;
	m->current.spi_out = 0;
	m->hooks->tell(REKEY_BLOCKED, 0, m->options.userdata);
	hasten(m, now_usec);
}

void rekey_machine_expired(struct rekey_machine *m, uint64_t now_usec,
			   enum rekey_direction direction, uint32_t spi, bool hard)
{
	struct rekey_sa *sa = rekey_table_find(m, direction, spi);

	if (!sa)
		return;
	if (hard) {
		rekey_table_drop(m, sa);
		lost(m, now_usec, direction, spi);
	} else if (direction == REKEY_OUT && spi == m->current.spi_out) {
		hasten(m, now_usec);
	}
	rekey_machine_timer(m, now_usec);
}

static void remove_due(struct rekey_machine *m, uint64_t now_usec)
{
	for (size_t i = m->sa_count; i-- > 0;) {
		struct rekey_sa sa = m->sas[i];

		if (sa.remove_usec > now_usec)
			continue;
		rekey_table_drop(m, &m->sas[i]);
		m->hooks->remove(sa.direction, sa.spi, m->options.userdata);
		lost(m, now_usec, sa.direction, sa.spi);
	}
}

void rekey_machine_timer(struct rekey_machine *m, uint64_t now_usec)
{
	remove_due(m, now_usec);
	if (m->give_up_usec <= now_usec)
		rekey_generation_give_up(m, now_usec, REKEY_SILENT, 0);
	if (m->resend_usec <= now_usec)
		rekey_leader_resend(m, now_usec);
	if (m->begin_usec <= now_usec)
		begin(m, now_usec);
}

uint64_t rekey_machine_next_usec(const struct rekey_machine *m)
{
	uint64_t next = MIN(m->begin_usec, rekey_table_next_usec(m));
	uint64_t other = MIN(m->give_up_usec, m->resend_usec);

	return MIN(next, other);
}

bool rekey_machine_is_secured(const struct rekey_machine *m)
{
	return m->current.spi_out != 0;
}

uint32_t rekey_machine_outbound(const struct rekey_machine *m)
{
	return m->current.spi_out;
}
