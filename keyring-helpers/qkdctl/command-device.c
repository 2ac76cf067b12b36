/* SPDX-License-Identifier: MIT */
/* qkdctl device list, add and remove. */

#include "commands.h"
#include "ctl-settings.h"
#include "ctl-table.h"

static const struct ctl_column device_columns[] = {
	{"DEVICE", "device"},
	{"DRIVER", "driver"},
	{"LINK", "link"},
	{"STATE", "state"},
};

/* The links that have told their device, with nothing but the columns' members. */
static json_t *select_devices(const json_t *links)
{
	json_t *list = json_array(), *link;
	size_t i;

	json_array_foreach (links, i, link) {
		json_t *device = json_object();

		if (!json_object_get(link, "device")) {
			json_decref(device);
			continue;
		}
		for (size_t c = 0; c < ELEMENTSOF(device_columns); c++)
			json_object_set(device, device_columns[c].member,
					json_object_get(link, device_columns[c].member));
		json_array_append_new(list, device);
	}
	return list;
}

int command_device_list(struct ctl *ctl)
{
	_cleanup_(ctl_snapshot_done) struct ctl_snapshot snapshot = {0};
	_cleanup_(json_decrefp) json_t *devices = NULL;
	struct ctl_terminal terminal;

	if (ctl_take_snapshot(ctl, &snapshot) < 0)
		return EXIT_FAILURE;
	devices = select_devices(snapshot.links);
	if (ctl->json)
		return ctl_print_json(devices) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	ctl_terminal_examine(stdout, &terminal);
	ctl_table_print_fitted(devices, device_columns, ELEMENTSOF(device_columns), &terminal,
			       stdout);
	return EXIT_SUCCESS;
}

static int print_done(const struct ctl *ctl, const char *link, const char *verb)
{
	_cleanup_(json_decrefp) json_t *document = NULL;

	if (!ctl->json)
		return EXIT_SUCCESS;
	document = json_pack("{s:s,s:s}", "link", link, "requested", verb);
	return document && ctl_print_json(document) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int command_device_add(struct ctl *ctl)
{
	_cleanup_(json_decrefp) json_t *settings = NULL;
	json_free_t wiping_free;
	char *document;
	const char *link = ctl->words[0], *wrong;
	int r;

	wrong = ctl_settings_parse(ctl->words + 1, ctl->word_count - 1, &settings);
	if (wrong) {
		ctl_tell_error(wrong, "expected SETTING=VALUE, each once",
			       "qkdctl device add --help; man qkd-link.json for the settings");
		return CTL_EXIT_USAGE;
	}
	document = json_dumps(settings, 0);
	if (!document) {
		ctl_tell_error(ctl->what, strerror(ENOMEM), NULL);
		return EXIT_FAILURE;
	}
	json_get_alloc_funcs(NULL, &wiping_free);
	r = ctl_call(ctl, "AddDevice", CTL_LINK_USEC, NULL, "ss", link, document);
	wiping_free(document);
	return r < 0 ? EXIT_FAILURE : print_done(ctl, link, "add");
}

int command_device_remove(struct ctl *ctl)
{
	const char *link = ctl->words[0];

	if (ctl_call(ctl, "RemoveDevice", CTL_LINK_USEC, NULL, "s", link) < 0)
		return EXIT_FAILURE;
	return print_done(ctl, link, "remove");
}
