/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be done with a stream: its width, whether colours mean something there. */

#include <stdio.h>

#include "common/macros.h"

#define CTL_TERMINAL_MIN_WIDTH 40
#define CTL_TERMINAL_MAX_WIDTH 500

enum ctl_colour {
	CTL_COLOUR_NONE,
	CTL_COLOUR_GOOD,
	CTL_COLOUR_BAD,
	CTL_COLOUR_WEAK, /* less important */
	CTL_COLOUR_BOLD,
};

struct ctl_terminal {
	unsigned width, height; /* 0: no terminal, nothing to fit into */
	bool has_colour, has_utf8;
};

/* NO_COLOR (no-color.org) and TERM=dumb are honoured. */
void ctl_terminal_examine(FILE *stream, struct ctl_terminal *ret);

/* An escape sequence, or "" where there are no colours; CTL_COLOUR_NONE ends the one before. */
const char *ctl_terminal_colour(const struct ctl_terminal *terminal, enum ctl_colour colour);

/* Text broken at spaces to the terminal's width, its second and later lines indented; what is no
 * printable ASCII is replaced. */
void ctl_terminal_wrap(const struct ctl_terminal *terminal, const char *text, unsigned column,
		       unsigned indent, FILE *stream);
