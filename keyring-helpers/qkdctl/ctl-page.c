/* SPDX-License-Identifier: MIT */
/*
 * Links and stores, a line each, with how their figures have been. What does not fit on the screen
 * is counted in its last line.
 */

#include "ctl-page.h"

#include <ctype.h>
#include <time.h>

#define NAME_MAX_WIDTH    24
#define STATE_WIDTH       14
#define FIGURE_WIDTH      9
#define QBER_WIDTH        6
#define QBER_SPARK        12
#define GAPS              5
#define QBER_TOP          0.11 /* where no key is left: full height at least there */
#define MIN_SPARK         4
#define HEADER_LINES      2 /* heading and an empty line */
#define STORE_TITLE_LINES 2
#define MAX_PROBLEMS      3 /* of two lines or more each, on a small screen */

struct page {
	const struct ctl_terminal *terminal;
	struct ctl_history *history;
	FILE *stream;
	unsigned lines_left, hidden;
	unsigned reserved; /* of lines_left: for what comes later */
};

static const char *text_of(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

static double real_of(const json_t *object, const char *member)
{
	return json_number_value(json_object_get(object, member));
}

static bool is_true(const json_t *object, const char *member)
{
	return json_is_true(json_object_get(object, member));
}

static bool begin_line(struct page *page)
{
	if (page->lines_left <= page->reserved + 1) { /* one is for "more" */
		page->hidden++;
		return false;
	}
	page->lines_left--;
	return true;
}

/* Exactly width places. */
static void print_text(struct page *page, const char *text, unsigned width)
{
	size_t length = strlen(text);

	for (unsigned i = 0; i < width; i++) {
		if (i >= length)
			fputc(' ', page->stream);
		else if (i == width - 1 && length > width)
			fputc('~', page->stream);
		else
			fputc(isprint((unsigned char)text[i]) ? text[i] : '?', page->stream);
	}
	fputc(' ', page->stream);
}

static void print_coloured(struct page *page, const char *text, unsigned width, bool is_good)
{
	fputs(ctl_terminal_colour(page->terminal, is_good ? CTL_COLOUR_GOOD : CTL_COLOUR_BAD),
	      page->stream);
	print_text(page, text, width);
	fputs(ctl_terminal_colour(page->terminal, CTL_COLOUR_NONE), page->stream);
}

static void print_spark(struct page *page, const char *kind, const char *name, double value,
			double least_top, unsigned width)
{
	char key[CTL_SPARK_NAME];
	const struct ctl_series *series;

	snprintf(key, sizeof(key), "%s %s", kind, name);
	series = ctl_history_add(page->history, key, value);
	ctl_spark_print(series, width, least_top, page->terminal->has_utf8, page->stream);
}

/* What is left of the line for a graph. */
static unsigned spark_width(const struct page *page, unsigned taken)
{
	unsigned width = page->terminal->width;

	return width > taken + MIN_SPARK ? MIN(width - taken, (unsigned)CTL_SPARK_SAMPLES)
					 : MIN_SPARK;
}

static unsigned name_width(const json_t *objects, const char *member)
{
	unsigned width = 5;
	json_t *object;
	size_t i;

	json_array_foreach (objects, i, object)
		width = MAX(width, (unsigned)strlen(text_of(object, member)));
	return MIN(width, (unsigned)NAME_MAX_WIDTH);
}

static const char *state_of(const json_t *link)
{
	if (!is_true(link, "running"))
		return "not running";
	if (!is_true(link, "answering"))
		return "no answer";
	return is_true(link, "connected") ? text_of(link, "state") : "not connected";
}

static void print_link(struct page *page, const json_t *link, unsigned name)
{
	const char *state = state_of(link);
	unsigned taken = name + STATE_WIDTH + FIGURE_WIDTH + QBER_WIDTH + QBER_SPARK + GAPS;
	double qber = real_of(link, "error_rate");
	char text[32];

	print_text(page, text_of(link, "link"), name);
	print_coloured(page, state, STATE_WIDTH, str_equal(state, "SessionStarted"));
	snprintf(text, sizeof(text), "%9.1f", real_of(link, "keys_per_second"));
	print_text(page, text, FIGURE_WIDTH);
	print_spark(page, "rate", text_of(link, "link"), real_of(link, "keys_per_second"), 1,
		    spark_width(page, taken));
	if (qber > 0) {
		snprintf(text, sizeof(text), "%5.1f%%", 100 * qber);
		fprintf(page->stream, " %s ", text);
		print_spark(page, "qber", text_of(link, "link"), qber, QBER_TOP, QBER_SPARK);
	}
	fputc('\n', page->stream);
}

static void print_store(struct page *page, const json_t *store, unsigned name)
{
	double stock = real_of(store, "available_own") + real_of(store, "available_peer");
	unsigned taken = name + STATE_WIDTH + FIGURE_WIDTH + GAPS;
	char text[32];

	print_text(page, text_of(store, "peer"), name);
	print_coloured(page, is_true(store, "connected") ? "connected" : "not connected",
		       STATE_WIDTH, is_true(store, "connected"));
	snprintf(text, sizeof(text), "%9.0f", stock);
	print_text(page, text, FIGURE_WIDTH);
	print_spark(page, "stock", text_of(store, "peer"), stock, 1, spark_width(page, taken));
	fputc('\n', page->stream);
}

static void print_titles(struct page *page, unsigned name, const char *first, const char *figure,
			 bool has_qber)
{
	if (!begin_line(page))
		return;
	fputs(ctl_terminal_colour(page->terminal, CTL_COLOUR_WEAK), page->stream);
	print_text(page, first, name);
	print_text(page, "STATE", STATE_WIDTH);
	fprintf(page->stream, "%9s", figure);
	if (has_qber)
		fprintf(page->stream, "%*s",
			(int)spark_width(page, name + STATE_WIDTH + FIGURE_WIDTH + QBER_SPARK +
						       GAPS + QBER_WIDTH) +
				8,
			"QBER");
	fprintf(page->stream, "%s\n", ctl_terminal_colour(page->terminal, CTL_COLOUR_NONE));
}

static bool has_qber(const json_t *links)
{
	json_t *link;
	size_t i;

	json_array_foreach (links, i, link)
		if (real_of(link, "error_rate") > 0)
			return true;
	return false;
}

static void print_links(struct page *page, const json_t *links)
{
	unsigned name = name_width(links, "link");
	json_t *link;
	size_t i;

	if (json_array_size(links) == 0)
		return;
	print_titles(page, name, "LINK", "KEYS/S", has_qber(links));
	json_array_foreach (links, i, link)
		if (begin_line(page))
			print_link(page, link, name);
}

static void print_stores(struct page *page, const json_t *stores)
{
	unsigned name = name_width(stores, "peer");
	json_t *store;
	size_t i;

	if (json_array_size(stores) == 0)
		return;
	if (begin_line(page))
		fputc('\n', page->stream);
	print_titles(page, name, "STORE", "KEYS", false);
	json_array_foreach (stores, i, store)
		if (begin_line(page))
			print_store(page, store, name);
}

/* Lines of text that are there already, which may be wrapped. */
static unsigned count_lines(const char *text)
{
	unsigned lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static void print_problems(struct page *page, const json_t *problems)
{
	_cleanup_(json_decrefp) json_t *few = json_array();
	_cleanup_(freep) char *text = NULL;
	size_t size, shown = MIN(json_array_size(problems), (size_t)MAX_PROBLEMS);
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return;
	for (size_t i = 0; i < shown; i++)
		json_array_append(few, json_array_get(problems, i));
	ctl_report_problems(few, page->terminal, stream);
	if (shown < json_array_size(problems))
		fprintf(stream, "%zu more problems: qkdctl status\n",
			json_array_size(problems) - shown);
	if (shown > 0)
		fputc('\n', stream);
	if (fclose(stream) != 0 || count_lines(text) + 1 > page->lines_left)
		return;
	page->lines_left -= count_lines(text);
	fputs(text, page->stream);
}

void ctl_page_print(const struct ctl_snapshot *snapshot, const json_t *problems,
		    struct ctl_history *history, const struct ctl_terminal *terminal, FILE *stream)
{
	struct page page = {
		.terminal = terminal,
		.history = history,
		.stream = stream,
		.lines_left = MAX(terminal->height, HEADER_LINES + 1u) - HEADER_LINES,
	};

	size_t stores = json_array_size(snapshot->stores);

	ctl_history_begin(history);
	ctl_report_heading(snapshot, problems, terminal, stream);
	fputc('\n', stream);
	print_problems(&page, problems);
	if (stores > 0)
		page.reserved = MIN((unsigned)stores + STORE_TITLE_LINES, page.lines_left / 2);
	print_links(&page, snapshot->links);
	page.reserved = 0;
	print_stores(&page, snapshot->stores);
	if (page.hidden > 0)
		fprintf(stream, "%u more lines: a larger terminal, or qkdctl status", page.hidden);
	else if (page.lines_left > 1)
		fprintf(stream, "\nq quits");
}
