/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the two RESUME messages at the start of a connection mean (design section 5), pure: does
 * each side remember what the other relies on, or has one of them lost its memory (a new disk, an
 * old backup), so that the generation has to be retired.
 */

#include "qkd-linkd/sync-message.h"

enum sync_verdict {
	SYNC_RESUME_CONTINUE,
	SYNC_RESUME_RETIRE, /* what says which side forgot what */
	SYNC_RESUME_REFUSE, /* the two are configured differently */
};

/* The leader's judgement. Its own open list has what is committed without DONE. */
enum sync_verdict sync_resume_judge(const struct sync_resume *leader,
				    const struct sync_resume *follower, const char **ret_what);

/* The follower's: the leader has begun a generation above ours, so ours is over. */
bool sync_resume_begins(const struct sync_resume *leader,
			const struct sync_resume *follower) _pure_;

/* The generation that follows both; a null store in ret_store means that it has to be made up. */
void sync_resume_next_generation(const struct sync_resume *leader,
				 const struct sync_resume *follower, struct uuid *ret_store,
				 uint32_t *ret_generation);
