/* SPDX-License-Identifier: MIT */

/*
 * Keys that the peer has destroyed before linkd has told of them here: destroyed on arrival. They
 * are on record before the peer's word is acknowledged, because it does not tell again, and an
 * unerased line would stay behind.
 */

#include "qkd-keyringd/issuer-private.h"

struct doomed_key {
	struct uuid store;
	uint32_t generation;
	uint64_t sequence;
};

static void forget_oldest(struct issuer_store *store, size_t count)
{
	store->doomed_count -= count;
	memmove(store->doomed, store->doomed + count, store->doomed_count * sizeof(*store->doomed));
}

/* What never comes makes room: a line that nobody erases is unsightly, not unsafe. */
static int add(struct issuer_store *store, const struct issue_list *list)
{
	if (!store->doomed) {
		store->doomed = calloc(ISSUER_MAX_DOOMED, sizeof(*store->doomed));
		if (!store->doomed)
			return -ENOMEM;
	}
	if (store->doomed_count + list->count > ISSUER_MAX_DOOMED)
		forget_oldest(store, store->doomed_count + list->count - ISSUER_MAX_DOOMED);
	for (size_t i = 0; i < list->count; i++)
		store->doomed[store->doomed_count++] =
			(struct doomed_key){list->store, list->generation, list->sequences[i]};
	return 0;
}

int issuer_doom_absent(struct issuer_store *store, const struct site_keys *keys)
{
	struct issuer *issuer = store->issuer;
	struct issue_list list = {
		.kind = ISSUE_LIST_DOOMED,
		.request = issuer_new_request(issuer),
		.store = keys->store,
		.generation = keys->generation,
	};
	struct store_place place;
	bool gone;
	int r;

	strcpy(list.peer, store->peer_name);
	for (size_t i = 0; i < keys->count; i++)
		if (issuer_directory_look_up(store, &keys->store, keys->generation,
					     keys->sequences[i], &place,
					     &gone) == STORE_KEY_ABSENT &&
		    !gone)
			list.sequences[list.count++] = keys->sequences[i];
	if (list.count == 0)
		return 0;
	r = add(store, &list);
	if (r < 0)
		return r;
	issuer_check_log(issuer, issue_log_list(issuer->log, &list));
	return 0;
}

int issuer_doom_replay(struct issuer_store *store, const struct issue_list *list)
{
	return add(store, list);
}

/* False: it may still come. */
static bool settle_one(struct issuer_store *store, const struct doomed_key *doomed)
{
	struct store_place place;
	bool gone;

	if (issuer_directory_look_up(store, &doomed->store, doomed->generation, doomed->sequence,
				     &place, &gone) == STORE_KEY_ABSENT)
		return gone;
	issuer_tell_obey(store, place);
	return true;
}

void issuer_doom_settle(struct issuer_store *store)
{
	size_t kept = 0;

	for (size_t i = 0; i < store->doomed_count; i++)
		if (!settle_one(store, &store->doomed[i]))
			store->doomed[kept++] = store->doomed[i];
	store->doomed_count = kept;
}

static bool is_of(const struct doomed_key *doomed, const struct issue_list *list)
{
	return uuid_equal(&doomed->store, &list->store) && doomed->generation == list->generation;
}

int issuer_doom_snapshot(struct issuer_store *store, struct issue_log *log)
{
	struct issue_list list = {.kind = ISSUE_LIST_DOOMED};
	int r = 0;

	strcpy(list.peer, store->peer_name);
	for (size_t i = 0; r >= 0 && i < store->doomed_count;) {
		list.store = store->doomed[i].store;
		list.generation = store->doomed[i].generation;
		list.count = 0;
		while (i < store->doomed_count && list.count < ISSUE_ENTRY_MAX_KEYS &&
		       is_of(&store->doomed[i], &list))
			list.sequences[list.count++] = store->doomed[i++].sequence;
		r = issue_log_list(log, &list);
	}
	return r;
}
