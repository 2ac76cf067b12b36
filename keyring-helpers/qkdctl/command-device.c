/* SPDX-License-Identifier: MIT */
/* qkdctl device list. */

#include "commands.h"
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
