/* SPDX-License-Identifier: MIT */
/* Paths as D-Bus names them, and as JSON does. */

#include "ctl-paths.h"

#include <string.h>

/* "alice bob carol" as a row of names. */
static json_t *split(const char *text)
{
	json_t *sites = json_array();

	while (sites && text && *text) {
		size_t length = strcspn(text, " ");

		json_array_append_new(sites, json_stringn(text, length));
		text += length + strspn(text + length, " ");
	}
	return sites;
}

void ctl_paths_split(json_t *paths)
{
	json_t *path;
	size_t i;

	json_array_foreach (paths, i, path) {
		json_object_set_new(path, "sites",
				    split(json_string_value(json_object_get(path, "path"))));
		json_object_del(path, "path");
	}
}
