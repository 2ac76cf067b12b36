/* SPDX-License-Identifier: MIT */
/* Trouble first, then links and stores as tables. */

#include "ctl-report.h"

#include "ctl-table.h"

static enum ctl_colour link_colour(const json_t *link)
{
	const char *state = json_string_value(json_object_get(link, "state"));

	if (!state || !json_is_true(json_object_get(link, "answering")))
		return CTL_COLOUR_BAD;
	return str_equal(state, "SessionStarted") ? CTL_COLOUR_GOOD : CTL_COLOUR_BAD;
}

static enum ctl_colour connected_colour(const json_t *object)
{
	return json_is_true(json_object_get(object, "connected")) ? CTL_COLOUR_GOOD
								  : CTL_COLOUR_BAD;
}

static const struct ctl_column link_columns[] = {
	{"LINK", "link"},
	{"PEER", "peer"},
	{"STATE", "state", link_colour},
	{"CONNECTED", "connected", connected_colour},
	{"KEYS/S", "keys_per_second"},
	{"QBER", "qber"},
	{"DEVICE", "device"},
};

static const struct ctl_column store_columns[] = {
	{"STORE", "peer"},
	{"CONNECTED", "connected", connected_colour},
	{"BITS", "key_bits"},
	{"OWN", "available_own"},
	{"PEER'S", "available_peer"},
	{"RESERVED", "reserved"},
	{"ISSUED", "issued"},
	{"LABELS", "labels"},
};

/* "no links", "1 link", "2 links" */
static void print_count(size_t count, const char *what, FILE *stream)
{
	if (count == 0)
		fprintf(stream, "no %ss", what);
	else
		fprintf(stream, "%zu %s%s", count, what, count == 1 ? "" : "s");
}

void ctl_report_heading(const struct ctl_snapshot *snapshot, const json_t *problems,
			const struct ctl_terminal *terminal, FILE *stream)
{
	const char *site = json_string_value(json_object_get(snapshot->keyring, "site"));
	const char *version = json_string_value(json_object_get(snapshot->keyring, "version"));
	size_t count = json_array_size(problems);

	fprintf(stream,
		"%ssite %s%s, qkd-keyringd %s: ", ctl_terminal_colour(terminal, CTL_COLOUR_BOLD),
		site ? site : "?", ctl_terminal_colour(terminal, CTL_COLOUR_NONE),
		version ? version : "-");
	print_count(json_array_size(snapshot->links), "link", stream);
	fputs(", ", stream);
	print_count(json_array_size(snapshot->stores), "store", stream);
	fputs(", ", stream);
	fputs(ctl_terminal_colour(terminal, count > 0 ? CTL_COLOUR_BAD : CTL_COLOUR_GOOD), stream);
	print_count(count, "problem", stream);
	fprintf(stream, "%s\n", ctl_terminal_colour(terminal, CTL_COLOUR_NONE));
}

static const char *text_of(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

void ctl_report_problems(const json_t *problems, const struct ctl_terminal *terminal, FILE *stream)
{
	json_t *problem;
	size_t i;

	json_array_foreach (problems, i, problem) {
		const char *subject = text_of(problem, "subject");

		fprintf(stream, "%s%s:%s ", ctl_terminal_colour(terminal, CTL_COLOUR_BAD), subject,
			ctl_terminal_colour(terminal, CTL_COLOUR_NONE));
		ctl_terminal_wrap(terminal, text_of(problem, "problem"),
				  (unsigned)strlen(subject) + 2, 4, stream);
		fputs("  try: ", stream);
		ctl_terminal_wrap(terminal, text_of(problem, "try"), 7, 7, stream);
	}
}

/* What the table shows and the properties do not say as it shows it. */
static json_t *with_qber(const json_t *links)
{
	json_t *rows = json_array(), *link;
	char text[16];
	size_t i;

	json_array_foreach (links, i, link) {
		json_t *row = json_copy(link);
		double rate = json_number_value(json_object_get(link, "error_rate"));

		snprintf(text, sizeof(text), "%.1f%%", 100 * rate);
		if (rate > 0)
			json_object_set_new(row, "qber", json_string(text));
		if (!json_is_true(json_object_get(link, "running")))
			json_object_set_new(row, "state", json_string("not running"));
		else if (!json_is_true(json_object_get(link, "answering")))
			json_object_set_new(row, "state", json_string("no answer"));
		json_array_append_new(rows, row);
	}
	return rows;
}

void ctl_report_links(const json_t *links, const struct ctl_terminal *terminal, FILE *stream)
{
	_cleanup_(json_decrefp) json_t *rows = with_qber(links);

	if (json_array_size(rows) > 0)
		ctl_table_print_fitted(rows, link_columns, ELEMENTSOF(link_columns), terminal,
				       stream);
	else
		fprintf(stream, "no link runs (qkdctl link start LINK)\n");
}

void ctl_report_stores(const json_t *stores, const struct ctl_terminal *terminal, FILE *stream)
{
	if (json_array_size(stores) > 0)
		ctl_table_print_fitted(stores, store_columns, ELEMENTSOF(store_columns), terminal,
				       stream);
	else
		fprintf(stream, "no peers are configured (/etc/qkd/keyringd.json)\n");
}
