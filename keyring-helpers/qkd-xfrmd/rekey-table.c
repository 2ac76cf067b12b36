/* SPDX-License-Identifier: MIT */
/* The associations that a connection has in the kernel, and when each of them goes. */

#include "rekey-private.h"

static bool is_in_use(const struct rekey_machine *m, const struct rekey_sa *sa)
{
	return sa->spi == (sa->direction == REKEY_IN ? m->current.spi_in : m->current.spi_out);
}

/* When generations fail again and again, what they left goes the first that would have gone. */
static void make_room(struct rekey_machine *m)
{
	struct rekey_sa *first = &m->sas[0];

	for (size_t i = 1; i < m->sa_count; i++) {
		struct rekey_sa *sa = &m->sas[i];

		if (is_in_use(m, first) ||
		    (!is_in_use(m, sa) && sa->remove_usec < first->remove_usec))
			first = sa;
	}
	m->hooks->remove(first->direction, first->spi, m->options.userdata);
	rekey_table_drop(m, first);
}

void rekey_table_add(struct rekey_machine *m, enum rekey_direction direction, uint32_t spi,
		     uint64_t added_usec)
{
	if (m->sa_count == REKEY_MAX_SAS)
		make_room(m);
	m->sas[m->sa_count++] = (struct rekey_sa){
		.direction = direction,
		.spi = spi,
		.added_usec = added_usec,
		.remove_usec = added_usec + m->options.hard_usec,
	};
}

struct rekey_sa *rekey_table_find(struct rekey_machine *m, enum rekey_direction direction,
				  uint32_t spi)
{
	for (size_t i = 0; i < m->sa_count; i++)
		if (m->sas[i].direction == direction && m->sas[i].spi == spi)
			return &m->sas[i];
	return NULL;
}

void rekey_table_drop(struct rekey_machine *m, struct rekey_sa *sa)
{
	*sa = m->sas[--m->sa_count];
}

void rekey_table_retire(struct rekey_machine *m, uint64_t now_usec, enum rekey_direction direction,
			uint32_t keep_spi, uint64_t delay_usec)
{
	for (size_t i = 0; i < m->sa_count; i++) {
		struct rekey_sa *sa = &m->sas[i];

		if (sa->direction == direction && sa->spi != keep_spi)
			sa->remove_usec = MIN(sa->remove_usec, now_usec + delay_usec);
	}
}

uint64_t rekey_table_next_usec(const struct rekey_machine *m)
{
	uint64_t next = REKEY_NEVER;

	for (size_t i = 0; i < m->sa_count; i++)
		next = MIN(next, m->sas[i].remove_usec);
	return next;
}

const struct rekey_sa *rekey_table_newest(const struct rekey_machine *m,
					  enum rekey_direction direction)
{
	const struct rekey_sa *newest = NULL;

	for (size_t i = 0; i < m->sa_count; i++)
		if (m->sas[i].direction == direction &&
		    (!newest || m->sas[i].added_usec > newest->added_usec))
			newest = &m->sas[i];
	return newest;
}
