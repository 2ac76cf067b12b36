/* SPDX-License-Identifier: MIT */

/*
 * The life of an operation: it is stepped when something that it waits for has changed, finishes
 * with a result or at its deadline, and its caller is called back from the loop once what it did is
 * recorded.
 */

#include "qkd-keyringd/issuer-private.h"

static void leave_lists(struct issue_operation *operation)
{
	list_remove(&operation->link);
	list_remove(&operation->wait_link);
	list_remove(&operation->supply.link);
}

static void free_operation(struct issue_operation *operation)
{
	leave_lists(operation);
	free(operation->keys);
	free(operation->ids);
	free(operation);
}

int issuer_operation_new(struct issuer *issuer, const char *peer, uint32_t owner,
			 uint64_t deadline_usec, void (*step)(struct issue_operation *operation),
			 struct issue_operation **ret)
{
	struct issuer_store *store = issuer_find_store(issuer, peer);
	struct issue_operation *operation;

	if (issuer->failed)
		return -EIO;
	operation = calloc(1, sizeof(*operation));
	if (!operation)
		return -ENOMEM;
	operation->issuer = issuer;
	operation->store = store;
	operation->owner = owner;
	operation->deadline_usec = deadline_usec;
	operation->step = step;
	list_init(&operation->wait_link);
	list_init(&operation->supply.link);
	list_init(&operation->link);
	list_append(&issuer->operations, &operation->link);
	issuer_loop_deadline(issuer, deadline_usec);
	if (!store)
		issuer_operation_finish(operation, -ENOKEY);
	*ret = operation;
	return 0;
}

/* Lets go of everything but the result. */
static void release(struct issue_operation *operation)
{
	leave_lists(operation);
	if (operation->undo)
		operation->undo(operation);
	operation->undo = NULL;
	if (operation->claim)
		issuer_delivery_unclaim(operation);
	if (operation->store)
		site_request_cancel(operation->store->peer, &operation->request);
}

void issuer_operation_finish(struct issue_operation *operation, int result)
{
	struct issuer *issuer = operation->issuer;

	if (operation->finished)
		return;
	operation->finished = true;
	operation->result = result;
	release(operation);
	list_append(&issuer->finished, &operation->link);
	issuer_loop_flush_soon(issuer);
}

void issuer_operation_wait(struct issue_operation *operation, struct list *list)
{
	list_remove(&operation->wait_link);
	list_append(list, &operation->wait_link);
}

void issuer_operation_wake(struct list *list)
{
	struct list ready;

	list_init(&ready);
	list_move_all(&ready, list);
	while (!list_is_empty(&ready)) {
		struct issue_operation *operation =
			LIST_ENTRY(ready.next, struct issue_operation, wait_link);

		list_remove(&operation->wait_link);
		operation->step(operation);
	}
}

static void call_back(struct issue_operation *operation)
{
	struct issued_key key;

	if (operation->reserved) {
		operation->reserved(operation->result, operation->ids, operation->id_count,
				    operation->userdata);
	} else if (operation->result == 0) {
		issuer_delivery_fill(operation->delivery, &key);
		operation->delivered(0, &key, operation->userdata);
	} else {
		operation->delivered(operation->result, NULL, operation->userdata);
	}
}

void issuer_operation_call_finished(struct issuer *issuer)
{
	struct list ready;

	/* What they start now is called back in the next iteration. */
	list_init(&ready);
	list_move_all(&ready, &issuer->finished);
	while (!list_is_empty(&ready)) {
		struct issue_operation *operation =
			LIST_ENTRY(ready.next, struct issue_operation, link);

		list_remove(&operation->link);
		call_back(operation);
		free_operation(operation);
	}
}

/* Finishing one may finish others, so those that are due are set apart first. */
uint64_t issuer_operation_time_out(struct issuer *issuer, uint64_t now_usec)
{
	struct list due;
	uint64_t next = 0;

	list_init(&due);
	LIST_FOREACH (link, &issuer->operations) {
		struct issue_operation *operation = LIST_ENTRY(link, struct issue_operation, link);

		if (operation->deadline_usec <= now_usec) {
			list_remove(link);
			list_append(&due, link);
		} else if (next == 0 || operation->deadline_usec < next) {
			next = operation->deadline_usec;
		}
	}
	while (!list_is_empty(&due))
		issuer_operation_finish(LIST_ENTRY(due.next, struct issue_operation, link),
					-ETIMEDOUT);
	return next;
}

void issue_operation_cancel(struct issue_operation *operation)
{
	if (!operation->finished)
		release(operation);
	if (operation->delivery)
		delivery_abandon(operation->delivery);
	free_operation(operation);
}

void issuer_operation_free_all(struct issuer *issuer)
{
	/* Cancelling one may finish another. */
	while (!list_is_empty(&issuer->operations))
		issue_operation_cancel(
			LIST_ENTRY(issuer->operations.next, struct issue_operation, link));
	while (!list_is_empty(&issuer->finished))
		issue_operation_cancel(
			LIST_ENTRY(issuer->finished.next, struct issue_operation, link));
}
