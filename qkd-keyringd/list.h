/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Doubly linked lists whose links are members of what they link. A link that is in no list points
 * at itself, so removing it twice does no harm.
 */

#include "common/macros.h"

struct list {
	struct list *next, *previous;
};

static inline void list_init(struct list *list)
{
	list->next = list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *list, struct list *link)
{
	link->next = list;
	link->previous = list->previous;
	list->previous->next = link;
	list->previous = link;
}

static inline void list_remove(struct list *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	list_init(link);
}

/* Moves all links of from to the end of to. */
static inline void list_move_all(struct list *to, struct list *from)
{
	while (!list_is_empty(from)) {
		struct list *link = from->next;

		list_remove(link);
		list_append(to, link);
	}
}

#define LIST_ENTRY(link, type, member) CONTAINER_OF(link, type, member)
/* The body may remove the current link, but no other. */
#define LIST_FOREACH(link, head)                                                         \
	for (struct list *link = (head)->next, *list_next_ = link->next; link != (head); \
	     link = list_next_, list_next_ = link->next)
