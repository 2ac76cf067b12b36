// SPDX-License-Identifier: MIT
/*
 * JSON pointers (RFC 6901), which the configuration's errors carry, and the forms in which people
 * name the same place.
 */

#include "common/config-internal.h"

void config_pointer_append(char *pointer, const char *name)
{
	size_t used = strlen(pointer);

	if (used + 1 < CONFIG_POINTER_MAX_CHARS)
		pointer[used++] = '/';
	for (; *name && used + 2 < CONFIG_POINTER_MAX_CHARS; name++) {
		bool is_escaped = *name == '~' || *name == '/';

		if (is_escaped)
			pointer[used++] = '~';
		pointer[used++] = *name == '~' ? '0' : *name == '/' ? '1' : *name;
	}
	pointer[used] = '\0';
}

void config_pointer_from_name(const char *name, char *ret_pointer)
{
	char part[CONFIG_POINTER_MAX_CHARS];

	*ret_pointer = '\0';
	while (true) {
		size_t length = strcspn(name, ".");

		snprintf(part, sizeof(part), "%.*s", (int)length, name);
		config_pointer_append(ret_pointer, part);
		if (!name[length])
			return;
		name += length + 1;
	}
}

/* The name after a '/', unescaped and cut to CONFIG_POINTER_MAX_CHARS; answers what follows it. */
static const char *next_name(const char *pointer, char *ret_name)
{
	const char *last = ret_name + CONFIG_POINTER_MAX_CHARS - 1;

	for (pointer++; *pointer && *pointer != '/'; pointer++) {
		char c = *pointer;

		if (c == '~' && pointer[1]) {
			pointer++;
			c = *pointer == '1' ? '/' : '~';
		}
		if (ret_name < last)
			*ret_name++ = c;
	}
	*ret_name = '\0';
	return pointer;
}

static json_t *step(json_t *value, const char *name)
{
	if (json_is_array(value))
		return json_array_get(value, strtoul(name, NULL, 10));
	return json_object_get(value, name);
}

void config_pointer_show(json_t *root, const char *pointer, char *ret_text)
{
	char name[CONFIG_POINTER_MAX_CHARS];
	size_t used = 0;

	snprintf(ret_text, CONFIG_POINTER_MAX_CHARS, "configuration");
	while (*pointer == '/' && used < CONFIG_POINTER_MAX_CHARS) {
		bool is_index = json_is_array(root);

		pointer = next_name(pointer, name);
		used += (size_t)snprintf(ret_text + used, CONFIG_POINTER_MAX_CHARS - used, "%s%s%s",
					 is_index ? "["
					 : used   ? "."
						  : "",
					 name, is_index ? "]" : "");
		root = step(root, name);
	}
}

json_t *config_pointer_get(json_t *root, const char *pointer)
{
	char name[CONFIG_POINTER_MAX_CHARS];

	while (root && *pointer == '/') {
		pointer = next_name(pointer, name);
		root = step(root, name);
	}
	return root;
}
