/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Takes keys by request_key(2), which blocks, in a thread of its own. One at a time: a thread that
 * hangs in the kernel cannot be ended, so no second one is started before it is back, but whoever
 * waits is told in time.
 */

#include <systemd/sd-event.h>

#include "common/secret.h"

#define KEY_FETCH_TIMEOUT_USEC (15 * USEC_PER_SEC) /* the upcall helper ends sooner by itself */

struct key_fetch;

/* result: 0 with a key, which passes to the handler, or negative errno. */
typedef void (*key_fetch_handler_t)(uint64_t tag, int result, struct secret *key, void *userdata);

int key_fetch_new(sd_event *event, key_fetch_handler_t handler, void *userdata,
		  struct key_fetch **ret);
struct key_fetch *key_fetch_free(struct key_fetch *fetch);
DEFINE_CLEANUP(struct key_fetch *, key_fetch_free);
/* The handler is called with the tag, once. -EBUSY while another is under way. */
int key_fetch_start(struct key_fetch *fetch, uint64_t tag, const char *description,
		    const char *callout);
