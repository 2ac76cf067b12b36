/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Has a link's settings checked by the program that will read them: only qkd-linkd knows its
 * drivers.
 */

#include <systemd/sd-event.h>

#include "common/macros.h"

#define DEVICE_CHECK_USEC      (10 * USEC_PER_SEC) /* then it is killed */
#define DEVICE_CHECK_MAX_BYTES 2048                /* of what it says */

struct device_check;

/* result 0, or -EINVAL with what is wrong, the first line of what was said. */
typedef void (*device_check_done_t)(int result, const char *what, void *userdata);

/* Runs program --check-config --config=file. done() comes once, later; not after
 * device_check_free(). */
int device_check_new(sd_event *event, const char *program, const char *file,
		     device_check_done_t done, void *userdata, struct device_check **ret);
struct device_check *device_check_free(struct device_check *check);
DEFINE_CLEANUP(struct device_check *, device_check_free);
