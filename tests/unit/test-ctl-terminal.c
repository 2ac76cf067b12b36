/* SPDX-License-Identifier: MIT */
/* Colours and lines. */

#include <criterion/criterion.h>
#include <fcntl.h>

#include "keyring-helpers/qkdctl/ctl-terminal.h"

static void assert_wrapped(unsigned width, const char *text, const char *expected)
{
	const struct ctl_terminal terminal = {.width = width};
	_cleanup_(freep) char *got = NULL;
	size_t size;
	FILE *stream = open_memstream(&got, &size);

	ctl_terminal_wrap(&terminal, text, 0, 2, stream);
	fclose(stream);
	cr_assert_str_eq(got, expected);
}

Test(ctl_terminal, breaks_lines_at_spaces)
{
	assert_wrapped(40, "a bc  def", "a bc def\n");
	assert_wrapped(8, "abc def ghi jklmnopqrst", "abc def\n  ghi\n  jklmnopqrst\n");
	assert_wrapped(0, "abc def ghi", "abc def ghi\n");
	assert_wrapped(0, "", "\n");
}

Test(ctl_terminal, hides_what_moves_a_cursor)
{
	assert_wrapped(0, "a\033[2J\n", "a?[2J?\n");
}

/* A terminal of our own. */
static FILE *open_terminal(int *ret_master)
{
	*ret_master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert_geq(*ret_master, 0);
	cr_assert_eq(grantpt(*ret_master), 0);
	cr_assert_eq(unlockpt(*ret_master), 0);
	return fopen(ptsname(*ret_master), "we");
}

static bool has_colour(void)
{
	struct ctl_terminal terminal;
	int master;
	FILE *stream = open_terminal(&master);

	ctl_terminal_examine(stream, &terminal);
	fclose(stream);
	close(master);
	return terminal.has_colour;
}

Test(ctl_terminal, colours_are_for_terminals_that_want_them)
{
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	cr_assert(has_colour());
	setenv("NO_COLOR", "1", 1);
	cr_assert_not(has_colour());
	setenv("NO_COLOR", "", 1);
	cr_assert(has_colour());
	setenv("TERM", "dumb", 1);
	cr_assert_not(has_colour());
}

Test(ctl_terminal, a_file_has_neither_width_nor_colours)
{
	struct ctl_terminal terminal;
	FILE *stream = fopen("/dev/null", "we");

	setenv("TERM", "xterm", 1);
	ctl_terminal_examine(stream, &terminal);
	fclose(stream);
	cr_assert_eq(terminal.width, 0u);
	cr_assert_not(terminal.has_colour);
	cr_assert_str_empty(ctl_terminal_colour(&terminal, CTL_COLOUR_BAD));
}
