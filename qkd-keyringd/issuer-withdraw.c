/* SPDX-License-Identifier: MIT */

/*
 * A mark that nobody waits for any more, and that the peer may or may not have made: the key is
 * neither issued nor given back until the peer has said which. Never marked, it is available again;
 * marked, it is destroyed at both sites.
 *
 * If we crash meanwhile, the key is below the mark that runs ahead, without a record of its own,
 * and is burnt at the next start.
 */

#include "qkd-keyringd/issuer-private.h"

struct withdrawal {
	struct list link;
	struct issuer_store *store;
	struct site_request request;
	size_t count;
	struct reservation **keys;
};

static void end_withdrawal(struct withdrawal *withdrawal)
{
	list_remove(&withdrawal->link);
	site_request_cancel(withdrawal->store->peer, &withdrawal->request);
	free(withdrawal->keys);
	free(withdrawal);
}

static bool was_never_marked(const char *verdicts, size_t count)
{
	return strnlen(verdicts, count) == count &&
	       strspn(verdicts, (char[]){SITE_VERDICT_NEVER, '\0'}) >= count;
}

/* A letter for each key, and all of what makes up one have one fate. */
static void withdrawn(struct site_request *request, const struct site_message *answer)
{
	struct withdrawal *withdrawal = CONTAINER_OF(request, struct withdrawal, request);
	const char *verdicts = answer->verdicts;

	for (size_t i = 0; i < withdrawal->count; i++) {
		size_t count = reservation_key_count(withdrawal->keys[i]);

		if (was_never_marked(verdicts, count))
			reservation_release(withdrawal->keys[i]);
		else
			reservation_destroy(
				withdrawal->keys[i]); /* told, should it be lost there */
		verdicts += strnlen(verdicts, count);
	}
	end_withdrawal(withdrawal);
}

static int ask(struct withdrawal *withdrawal)
{
	_cleanup_(site_message_done) struct site_message message = {
		.type = SITE_WITHDRAW,
		.request = issuer_new_request(withdrawal->store->issuer),
		.id = withdrawal->keys[0]->request,
	};
	int r = reservation_list(withdrawal->keys, withdrawal->count, &message.keys);

	return r < 0 ? r
		     : site_peer_ask(withdrawal->store->peer, &withdrawal->request, &message,
				     withdrawn);
}

/* It cannot be found out: destroyed is always right. */
static void destroy_keys(struct reservation **keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		reservation_destroy(keys[i]);
}

void issuer_withdraw(struct issuer_store *store, struct reservation **keys, size_t count)
{
	struct withdrawal *withdrawal = calloc(1, sizeof(*withdrawal));
	int r = -ENOMEM;

	if (withdrawal) {
		withdrawal->store = store;
		withdrawal->count = count;
		withdrawal->keys = keys;
		list_init(&withdrawal->link);
		list_append(&store->withdrawals, &withdrawal->link);
		r = ask(withdrawal);
	}
	if (r >= 0)
		return;
	destroy_keys(keys, count);
	if (withdrawal)
		end_withdrawal(withdrawal);
	else
		free(keys);
}

void issuer_withdraw_give_up(struct issuer_store *store)
{
	while (!list_is_empty(&store->withdrawals)) {
		struct withdrawal *withdrawal =
			LIST_ENTRY(store->withdrawals.next, struct withdrawal, link);

		destroy_keys(withdrawal->keys, withdrawal->count);
		end_withdrawal(withdrawal);
	}
}
