/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The whole terminal for one page that is drawn again and again. Whatever ends it, the terminal is
 * then as it was.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/macros.h"

struct ctl_screen;

enum ctl_screen_event {
	CTL_SCREEN_TIME, /* the time is over, or the size has changed: draw */
	CTL_SCREEN_QUIT, /* q, or a signal that ends */
};

/* -ENOTTY when standard input or output is no terminal. Takes over SIGINT, SIGTERM, SIGHUP, SIGQUIT
 * and SIGWINCH. */
int ctl_screen_new(struct ctl_screen **ret);
struct ctl_screen *ctl_screen_free(struct ctl_screen *screen);
DEFINE_CLEANUP(struct ctl_screen *, ctl_screen_free);

/* Lines, ended by '\n', from the top; what is left of the screen is cleared. */
int ctl_screen_draw(struct ctl_screen *screen, const char *text);
int ctl_screen_wait(struct ctl_screen *screen, uint64_t usec, enum ctl_screen_event *ret);
