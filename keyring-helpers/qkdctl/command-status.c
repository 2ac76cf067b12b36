/* SPDX-License-Identifier: MIT */
/* qkdctl status and qkdctl device list: what this site has, and how it is. */

#include "commands.h"
#include "ctl-table.h"

static const struct ctl_column link_columns[] = {
	{"LINK", "link"},
	{"PEER", "peer"},
	{"STATE", "state"},
	{"CONNECTED", "connected"},
	{"KEYS/S", "keys_per_second"},
	{"AGREED", "keys_agreed"},
	{"DEVICE", "device"},
};

static const struct ctl_column store_columns[] = {
	{"PEER", "peer"},
	{"CONNECTED", "connected"},
	{"BITS", "key_bits"},
	{"OWN", "available_own"},
	{"PEER'S", "available_peer"},
	{"RESERVED", "reserved"},
	{"DELIVERING", "delivering"},
	{"ISSUED", "issued"},
	{"LABELS", "labels"},
};

static const struct ctl_column device_columns[] = {
	{"DEVICE", "device"},
	{"DRIVER", "driver"},
	{"LINK", "link"},
	{"STATE", "state"},
};

static void print_link_errors(const json_t *links)
{
	json_t *link;
	size_t i;

	json_array_foreach (links, i, link) {
		const char *error = json_string_value(json_object_get(link, "last_error"));

		if (error && *error)
			printf("%s: %s\n", json_string_value(json_object_get(link, "link")), error);
	}
}

static void print_status(const struct ctl *ctl, const json_t *links, const json_t *stores)
{
	printf("site %s, qkd-keyringd %s\n\n", ctl_site(ctl),
	       json_string_value(json_object_get(ctl->keyring, "version")));
	if (json_array_size(links) > 0)
		ctl_table_print(links, link_columns, ELEMENTSOF(link_columns), stdout);
	else
		printf("no link runs (qkdctl link start LINK)\n");
	print_link_errors(links);
	printf("\n");
	if (json_array_size(stores) > 0)
		ctl_table_print(stores, store_columns, ELEMENTSOF(store_columns), stdout);
	else
		printf("no peers are configured (/etc/qkd/keyringd.json)\n");
}

int command_status(struct ctl *ctl)
{
	_cleanup_(json_decrefp) json_t *links = NULL;
	_cleanup_(json_decrefp) json_t *stores = NULL;
	_cleanup_(json_decrefp) json_t *document = NULL;

	if (ctl_check_site(ctl) < 0 || ctl_list_links(ctl, &links) < 0 ||
	    ctl_list_stores(ctl, &stores) < 0)
		return EXIT_FAILURE;
	if (!ctl->json) {
		print_status(ctl, links, stores);
		return EXIT_SUCCESS;
	}
	document = json_deep_copy(ctl->keyring);
	if (!document || json_object_set(document, "links", links) < 0 ||
	    json_object_set(document, "stores", stores) < 0)
		return EXIT_FAILURE;
	return ctl_print_json(document) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The same objects with nothing but the columns' members. */
static json_t *select_members(const json_t *objects, const struct ctl_column *columns, size_t count)
{
	json_t *list = json_array(), *object;
	size_t i;

	json_array_foreach (objects, i, object) {
		json_t *selected = json_object();

		for (size_t c = 0; c < count; c++)
			json_object_set(selected, columns[c].member,
					json_object_get(object, columns[c].member));
		json_array_append_new(list, selected);
	}
	return list;
}

int command_device_list(struct ctl *ctl)
{
	_cleanup_(json_decrefp) json_t *links = NULL;
	_cleanup_(json_decrefp) json_t *devices = NULL;

	if (ctl_list_links(ctl, &links) < 0)
		return EXIT_FAILURE;
	if (!ctl->json) {
		ctl_table_print(links, device_columns, ELEMENTSOF(device_columns), stdout);
		return EXIT_SUCCESS;
	}
	devices = select_members(links, device_columns, ELEMENTSOF(device_columns));
	return ctl_print_json(devices) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
