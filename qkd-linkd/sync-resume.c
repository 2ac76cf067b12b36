/* SPDX-License-Identifier: MIT */

/*
 * The judgement over two RESUME messages. Every COMMIT without DONE is kept by the leader, every
 * PREPARED by the follower; so two memories that are whole explain each other completely, and any
 * gap between them is a lost one.
 */

#include "qkd-linkd/sync-resume.h"

static const struct sync_open *find_open(const struct sync_resume *resume, uint64_t txn)
{
	for (size_t i = 0; i < resume->open_count; i++)
		if (resume->open[i].txn == txn)
			return &resume->open[i];
	return NULL;
}

/* What the leader has decided must be in the follower's file or on its way there: of every line
 * that the file lacks the leader still has the decision, because DONE has not come, and the
 * follower the promise. */
static bool follower_knows_decisions(const struct sync_resume *leader,
				     const struct sync_resume *follower)
{
	uint64_t on_the_way = 0;

	for (size_t i = 0; i < leader->open_count; i++) {
		const struct sync_open *open = &leader->open[i];

		if (open->first + open->count <= follower->next)
			continue;
		if (open->first < follower->next || !find_open(follower, open->txn))
			return false;
		on_the_way += open->count;
	}
	return follower->next + on_the_way == leader->next;
}

/* What the follower knows as decided must be a decision that the leader remembers. */
static bool leader_knows_decisions(const struct sync_resume *leader,
				   const struct sync_resume *follower)
{
	if (follower->next > leader->next || follower->next_txn > leader->next_txn)
		return false;
	for (size_t i = 0; i < follower->open_count; i++) {
		const struct sync_open *mine, *theirs = &follower->open[i];

		mine = find_open(leader, theirs->txn);
		if (mine && mine->count != theirs->count)
			return false;
		if (theirs->committed && (!mine || mine->first != theirs->first))
			return false;
	}
	return true;
}

enum sync_verdict sync_resume_judge(const struct sync_resume *leader,
				    const struct sync_resume *follower, const char **ret_what)
{
	if (leader->key_bits != follower->key_bits || leader->confirm != follower->confirm) {
		*ret_what = leader->confirm != follower->confirm
				    ? "confirm is configured at one side only"
				    : "the sites are configured for different key sizes";
		return SYNC_RESUME_REFUSE;
	}
	*ret_what = NULL;
	if (uuid_is_null(&leader->store))
		*ret_what = "the leader's store is new";
	else if (uuid_is_null(&follower->store))
		*ret_what = "the follower's store is new";
	else if (!uuid_equal(&leader->store, &follower->store))
		*ret_what = "the two stores are not of one pair";
	else if (leader->generation != follower->generation)
		*ret_what = leader->generation < follower->generation
				    ? "the leader's store is of an older generation"
				    : "the follower's store is of an older generation";
	else if (!leader_knows_decisions(leader, follower))
		*ret_what = "the leader's store is behind";
	else if (!follower_knows_decisions(leader, follower))
		*ret_what = "the follower's store is behind";
	return *ret_what ? SYNC_RESUME_RETIRE : SYNC_RESUME_CONTINUE;
}

bool sync_resume_begins(const struct sync_resume *leader, const struct sync_resume *follower)
{
	if (uuid_is_null(&leader->store) || leader->next > 0 || leader->open_count > 0 ||
	    leader->key_bits != follower->key_bits || leader->confirm != follower->confirm)
		return false;
	if (uuid_is_null(&follower->store))
		return leader->generation >= follower->generation;
	return leader->generation > follower->generation;
}

static uint32_t lowest_next(const struct sync_resume *resume)
{
	return resume->generation + !uuid_is_null(&resume->store);
}

void sync_resume_next_generation(const struct sync_resume *leader,
				 const struct sync_resume *follower, struct uuid *ret_store,
				 uint32_t *ret_generation)
{
	*ret_store = uuid_is_null(&leader->store) ? follower->store : leader->store;
	*ret_generation = MAX(lowest_next(leader), lowest_next(follower));
}
