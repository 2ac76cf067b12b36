/* SPDX-License-Identifier: MIT */
/* A link that is configured and does not run is the first thing that somebody on call looks for. */

#include "ctl-links.h"

#include <ctype.h>
#include <dirent.h>

#include "ctl-snapshot.h"

#define SUFFIX ".json"

DEFINE_CLEANUP(DIR *, closedir);

void ctl_links_bus_name(const char *link, char ret[static CTL_LINK_NAME_CHARS])
{
	size_t n = (size_t)snprintf(ret, CTL_LINK_NAME_CHARS, CTL_LINK_PREFIX "%s%s",
				    isdigit((unsigned char)link[0]) ? "_" : "", link);

	for (size_t i = strlen(CTL_LINK_PREFIX); i < MIN(n, CTL_LINK_NAME_CHARS); i++)
		if (!isalnum((unsigned char)ret[i]) && ret[i] != '\0')
			ret[i] = '_';
}

bool ctl_links_is_name(const char *bus_name)
{
	return strncmp(bus_name, CTL_LINK_PREFIX, strlen(CTL_LINK_PREFIX)) == 0;
}

static const char *name_of(const json_t *link)
{
	const char *name = json_string_value(json_object_get(link, "link"));

	return name ? name : "";
}

static int add(json_t *links, const char *name, bool is_running)
{
	json_t *link =
		json_pack("{s:s,s:b,s:b}", "link", name, "running", is_running, "answering", false);

	return json_array_append_new(links, link) < 0 ? -ENOMEM : 0;
}

static int add_file(json_t *links, const char *file)
{
	char name[NAME_MAX_CHARS + 1];
	size_t length = strlen(file), suffix = strlen(SUFFIX);

	if (length <= suffix || length - suffix >= sizeof(name) ||
	    !str_equal(file + length - suffix, SUFFIX))
		return 0;
	memcpy(name, file, length - suffix);
	name[length - suffix] = '\0';
	if (!link_name_is_valid(name) || json_array_size(links) >= CTL_MAX_LINKS)
		return 0;
	return add(links, name, false);
}

int ctl_links_read_configured(const char *directory, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *links = json_array();
	_cleanup_(closedirp) DIR *stream = opendir(directory);
	struct dirent *entry;
	int r = links ? 0 : -ENOMEM;

	while (r >= 0 && stream && (entry = readdir(stream)))
		r = add_file(links, entry->d_name);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(links);
	return 0;
}

static size_t find(const json_t *links, const char *bus_name)
{
	char name[CTL_LINK_NAME_CHARS];
	json_t *link;
	size_t i;

	json_array_foreach (links, i, link) {
		ctl_links_bus_name(name_of(link), name);
		if (str_equal(name, bus_name))
			return i;
	}
	return SIZE_MAX;
}

int ctl_links_mark_running(json_t *links, const char *bus_name)
{
	size_t i = find(links, bus_name);

	if (i == SIZE_MAX)
		return add(links, bus_name + strlen(CTL_LINK_PREFIX), true);
	json_object_set_new(json_array_get(links, i), "running", json_true());
	return 0;
}

int ctl_links_replace(json_t *links, json_t *link)
{
	char bus_name[CTL_LINK_NAME_CHARS];
	size_t i;

	ctl_links_bus_name(name_of(link), bus_name);
	i = find(links, bus_name);
	if (i == SIZE_MAX)
		return json_array_append_new(links, link) < 0 ? -ENOMEM : 0;
	return json_array_set_new(links, i, link) < 0 ? -ENOMEM : 0;
}

struct entry {
	const char *name;
	json_t *value;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

json_t *ctl_links_sort(json_t *list, const char *member)
{
	_cleanup_(freep) struct entry *entries = NULL;
	size_t count = json_array_size(list), i;
	json_t *sorted = json_array(), *value;

	entries = calloc(count + 1, sizeof(*entries));
	if (!entries || !sorted) {
		json_decref(sorted);
		return list; /* in some order */
	}
	json_array_foreach (list, i, value) {
		const char *name = json_string_value(json_object_get(value, member));

		entries[i] = (struct entry){name ? name : "", value};
	}
	qsort(entries, count, sizeof(*entries), compare);
	for (i = 0; i < count; i++)
		json_array_append(sorted, entries[i].value);
	json_decref(list);
	return sorted;
}
