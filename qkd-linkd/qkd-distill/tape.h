/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A file of recorded detections, being written or being read from its start. What it holds is raw
 * key: the file is for its owner alone and what passes lies in secret memory.
 */

#include "qkd-linkd/distill/recording.h"

struct tape;

/* An existing file is replaced. Negative errno. */
int tape_new_record(const char *path, const struct recording_header *header, struct tape **ret);
/* -EINVAL with a sentence in ret_what (static) when it is no recording; other errnos. */
int tape_new_replay(const char *path, struct recording_header *ret_header, struct tape **ret,
		    const char **ret_what);
struct tape *tape_free(struct tape *tape);
DEFINE_CLEANUP(struct tape *, tape_free);

int tape_write(struct tape *tape, const struct sim_event *events, size_t count);
int tape_flush(struct tape *tape); /* after the last event */
/* Up to max events, 0 at the end; -EBADMSG for bytes that are none, see tape_offset(). */
ssize_t tape_read(struct tape *tape, struct sim_event *ret_events, size_t max);
uint64_t tape_offset(const struct tape *tape); /* bytes of the file dealt with */
