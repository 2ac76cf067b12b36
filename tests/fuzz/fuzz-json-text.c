/* SPDX-License-Identifier: MIT */
/*
 * A pointer (the first line) and a JSON text: every member that jansson sees is found in the text,
 * where a string or a value begins, and no pointer reads outside.
 */

#include "common/json-text.h"

#define POINTER_MAX_CHARS 256
#define DEPTH_MAX         8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Appends a reference; false when it would not fit or holds what this does not escape. */
static bool append(char *pointer, const char *name)
{
	size_t used = strlen(pointer);

	if (strpbrk(name, "~/") || used + strlen(name) + 2 > POINTER_MAX_CHARS)
		return false;
	sprintf(pointer + used, "/%s", name);
	return true;
}

static void check_all(const struct json_text *text, json_t *value, char *pointer, unsigned depth)
{
	size_t used = strlen(pointer), i;
	const char *name;
	char index[24];
	json_t *child;

	if (json_text_locate(text, pointer).line == 0)
		abort();
	if (depth == DEPTH_MAX)
		return;
	json_object_foreach (value, name, child) {
		if (append(pointer, name))
			check_all(text, child, pointer, depth + 1);
		pointer[used] = '\0';
	}
	json_array_foreach (value, i, child) {
		snprintf(index, sizeof(index), "%zu", i);
		if (append(pointer, index))
			check_all(text, child, pointer, depth + 1);
		pointer[used] = '\0';
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_text_freep) struct json_text *text = NULL;
	_cleanup_(freep) char *copy = strndup((const char *)data, size), *what = NULL;
	const uint8_t *newline = memchr(data, '\n', size);
	struct json_position position = {0, 0};
	char pointer[POINTER_MAX_CHARS] = "";

	if (!copy || !newline)
		return 0;
	copy[strcspn(copy, "\n")] = '\0';
	newline++;
	if (json_text_new((const char *)newline, size - (size_t)(newline - data), &text, &position,
			  &what) < 0) {
		if (!what || position.line == 0 || position.column == 0)
			abort();
		return 0;
	}
	json_text_locate(text, copy);
	check_all(text, json_text_root(text), pointer, 0);
	return 0;
}
