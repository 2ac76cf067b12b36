/* SPDX-License-Identifier: MIT */
/* Names from outside: a name that is taken can stand in a path and in a key's description. */

#include <ctype.h>

#include "common/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_uuid(const char *text)
{
	char again[UUID_CHARS + 1];
	struct uuid id, same;

	if (uuid_parse(text, &id) < 0)
		return;
	uuid_format(&id, again);
	if (strcasecmp(text, again) != 0 || uuid_parse(again, &same) < 0 ||
	    !uuid_equal(&id, &same) || label_is_valid(text))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	bool site, label;

	if (!text)
		return 0;
	site = site_name_is_valid(text);
	label = label_is_valid(text);
	check_uuid(text);
	if (!site && !label)
		return 0;
	if (strlen(text) > LABEL_MAX_CHARS || (site && strlen(text) > NAME_MAX_CHARS) ||
	    !isalnum((uint8_t)text[0]))
		abort();
	for (const char *c = text; *c; c++)
		if (!isalnum((uint8_t)*c) && !strchr("._-", *c))
			abort();
	return 0;
}
