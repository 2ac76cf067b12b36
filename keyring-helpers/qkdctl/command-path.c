/* SPDX-License-Identifier: MIT */
/* qkdctl path start, stop, list and set: keys over several nodes. */

#include "commands.h"
#include "ctl-message.h"
#include "ctl-paths.h"
#include "ctl-table.h"

#define PATH_USEC (25 * USEC_PER_SEC) /* a start goes to the last site and back */

/* The row of sites on the command line, as a D-Bus array and a JSON one. */
static int append_sites(const struct ctl *ctl, sd_bus_message *call)
{
	int r = sd_bus_message_open_container(call, 'a', "s");

	for (size_t i = 0; r >= 0 && i < ctl->word_count; i++)
		r = sd_bus_message_append(call, "s", ctl->words[i]);
	return r < 0 ? r : sd_bus_message_close_container(call);
}

static json_t *sites_to_json(const struct ctl *ctl)
{
	json_t *sites = json_array();

	for (size_t i = 0; sites && i < ctl->word_count; i++)
		json_array_append_new(sites, json_string(ctl->words[i]));
	return sites;
}

static int tell(struct ctl *ctl, const char *requested)
{
	_cleanup_(json_decrefp) json_t *document = NULL;

	if (!ctl->json)
		return EXIT_SUCCESS;
	document = json_pack("{s:o, s:s}", "sites", sites_to_json(ctl), "requested", requested);
	return document && ctl_print_json(document) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int call_path(struct ctl *ctl, const char *member, bool is_start)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = ctl_new_call(ctl, member, &call);

	if (r >= 0)
		r = append_sites(ctl, call);
	if (r >= 0 && is_start)
		r = sd_bus_message_append(call, "uuu", ctl->weight ?: 1, ctl->stock,
					  ctl->disjoint ?: 1);
	return r < 0 ? r : ctl_send_call(ctl, call, PATH_USEC);
}

int command_path_start(struct ctl *ctl)
{
	return call_path(ctl, "StartPath", true) < 0 ? EXIT_FAILURE : tell(ctl, "start");
}

int command_path_stop(struct ctl *ctl)
{
	return call_path(ctl, "StopPath", false) < 0 ? EXIT_FAILURE : tell(ctl, "stop");
}

int command_path_set(struct ctl *ctl)
{
	const char *text = ctl->word_count > 1 ? ctl->words[1] : "";

	if (ctl_call(ctl, "SetPath", CTL_CALL_USEC, NULL, "ss", ctl->words[0], text) < 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

static const struct ctl_column path_columns[] = {
	{"PATH", "path"},         {"UP", "up"},
	{"WEIGHT", "weight"},     {"STOCK", "stock"},
	{"DISJOINT", "disjoint"}, {"BUILT", "built"},
	{"RELAYED", "relayed"},   {"FAILURES", "failures"},
};

int command_path_list(struct ctl *ctl)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(json_decrefp) json_t *paths = NULL;
	struct ctl_terminal terminal;

	if (ctl_call(ctl, "ListPaths", CTL_CALL_USEC, &reply, "") < 0)
		return EXIT_FAILURE;
	if (ctl_message_read_list(reply, &paths) < 0) {
		ctl_tell_error("path list", "keyringd's answer is not understood", NULL);
		return EXIT_FAILURE;
	}
	if (ctl->json) {
		ctl_paths_split(paths);
		return ctl_print_json(paths) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	ctl_terminal_examine(stdout, &terminal);
	ctl_table_print_fitted(paths, path_columns, ELEMENTSOF(path_columns), &terminal, stdout);
	return EXIT_SUCCESS;
}
