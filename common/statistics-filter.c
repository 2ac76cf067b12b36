/* SPDX-License-Identifier: MIT */
/* Lists of names are short, and are looked at when somebody reads: no index. */

#include "common/statistics-filter.h"

#include "common/statistics.h"

struct statistics_filter {
	bool exclude;
	size_t count;
	char names[][STATISTICS_NAME_MAX_CHARS + 1];
};

static int count_names(char *const *names, size_t *ret)
{
	size_t count = 0;

	for (; names && names[count]; count++) {
		if (count >= STATISTICS_FILTER_MAX_NAMES)
			return -E2BIG;
		if (!statistics_name_is_valid(names[count]))
			return -EINVAL;
	}
	*ret = count;
	return 0;
}

int statistics_filter_new(char *const *names, bool exclude, struct statistics_filter **ret)
{
	struct statistics_filter *filter;
	size_t count;
	int r = count_names(names, &count);

	if (r < 0)
		return r;
	filter = calloc(1, sizeof(*filter) + count * sizeof(filter->names[0]));
	if (!filter)
		return -ENOMEM;
	filter->exclude = exclude;
	filter->count = count;
	for (size_t i = 0; i < count; i++)
		strncpy(filter->names[i], names[i], STATISTICS_NAME_MAX_CHARS);
	*ret = filter;
	return 0;
}

struct statistics_filter *statistics_filter_free(struct statistics_filter *filter)
{
	free(filter);
	return NULL;
}

static bool covers(const char *node, const char *name)
{
	size_t length = strlen(node);

	return strncmp(node, name, length) == 0 && (name[length] == '\0' || name[length] == '.');
}

bool statistics_filter_selects(const struct statistics_filter *filter, const char *name)
{
	if (!filter || filter->count == 0)
		return true;
	for (size_t i = 0; i < filter->count; i++)
		if (covers(filter->names[i], name))
			return !filter->exclude;
	return filter->exclude;
}
