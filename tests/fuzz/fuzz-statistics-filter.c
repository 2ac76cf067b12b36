/* SPDX-License-Identifier: MIT */
/* Lists of names from the bus: none may crash the filter, and include and exclude are opposites. */

#include "common/statistics-filter.h"
#include "common/statistics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_NAMES (STATISTICS_FILTER_MAX_NAMES + 2)

static size_t split(char *text, char *names[static MAX_NAMES + 1])
{
	size_t count = 0;

	for (char *name; count < MAX_NAMES && (name = strsep(&text, "\n"));)
		names[count++] = name;
	names[count] = NULL;
	return count;
}

/* Every name that was accepted, and one beside and one below it. */
static void compare(const struct statistics_filter *included,
		    const struct statistics_filter *excluded, char **names)
{
	for (; *names; names++) {
		char below[STATISTICS_NAME_MAX_CHARS + 3];

		snprintf(below, sizeof(below), "%s.x", *names);
		if (!statistics_filter_selects(included, *names) ||
		    !statistics_filter_selects(included, below) ||
		    statistics_filter_selects(excluded, *names) ||
		    statistics_filter_selects(included, "another.name") ==
			    statistics_filter_selects(excluded, "another.name"))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(statistics_filter_freep) struct statistics_filter *included = NULL;
	_cleanup_(statistics_filter_freep) struct statistics_filter *excluded = NULL;
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	char *names[MAX_NAMES + 1];
	int r;

	if (!text)
		return 0;
	split(text, names);
	r = statistics_filter_new(names, false, &included);
	if (r != statistics_filter_new(names, true, &excluded))
		abort();
	if (r == 0)
		compare(included, excluded, names);
	return 0;
}
