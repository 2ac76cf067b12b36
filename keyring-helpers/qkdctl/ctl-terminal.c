/* SPDX-License-Identifier: MIT */
/* Asks the terminal once; everything else is plain text with a few ANSI colours. */

#include "ctl-terminal.h"

#include <ctype.h>
#include <langinfo.h>
#include <locale.h>
#include <sys/ioctl.h>

static bool wants_colour(void)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	return term && *term && !str_equal(term, "dumb") && (!no_color || !*no_color);
}

static bool locale_is_utf8(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool is_utf8;

	if (!locale)
		return false;
	is_utf8 = str_equal(nl_langinfo_l(CODESET, locale), "UTF-8");
	freelocale(locale);
	return is_utf8;
}

void ctl_terminal_examine(FILE *stream, struct ctl_terminal *ret)
{
	struct winsize size = {0};
	int fd = fileno(stream);

	*ret = (struct ctl_terminal){.has_utf8 = locale_is_utf8()};
	if (fd < 0 || !isatty(fd))
		return;
	ret->has_colour = wants_colour();
	ret->width = 80;
	ret->height = 24;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
		return;
	ret->width = MIN(MAX(size.ws_col, CTL_TERMINAL_MIN_WIDTH), CTL_TERMINAL_MAX_WIDTH);
	ret->height = size.ws_row;
}

const char *ctl_terminal_colour(const struct ctl_terminal *terminal, enum ctl_colour colour)
{
	static const char *const sequences[] = {
		[CTL_COLOUR_NONE] = "\033[0m",   [CTL_COLOUR_GOOD] = "\033[32m",
		[CTL_COLOUR_BAD] = "\033[1;31m", [CTL_COLOUR_WEAK] = "\033[2m",
		[CTL_COLOUR_BOLD] = "\033[1m",
	};

	return terminal->has_colour ? sequences[colour] : "";
}

void ctl_terminal_wrap(const struct ctl_terminal *terminal, const char *text, unsigned column,
		       unsigned indent, FILE *stream)
{
	bool is_first = true;

	while (*text) {
		unsigned length = (unsigned)strcspn(text, " ");

		if (!is_first && terminal->width && column + 1 + length > terminal->width) {
			fprintf(stream, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!is_first) {
			fputc(' ', stream);
			column++;
		}
		for (unsigned i = 0; i < length; i++)
			fputc(isprint((unsigned char)text[i]) ? text[i] : '?', stream);
		column += length;
		text += length;
		text += strspn(text, " ");
		is_first = false;
	}
	fputc('\n', stream);
}
