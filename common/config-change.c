// SPDX-License-Identifier: MIT
/*
 * Settings of a daemon that runs: one changed at a time, or what a reload can change taken over.
 * The table says which, and a new value goes through the same checks as at the start.
 */

#include <inttypes.h>
#include <stdarg.h>

#include "common/config-internal.h"

static const char command_line[] = "command line: --";

static const struct config_setting *find(const struct config_setting *settings, size_t count,
					 const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(settings[i].name, name))
			return &settings[i];
	return NULL;
}

static int _printf_(3, 4) fail(char **ret_what, int result, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = vasprintf(ret_what, format, arguments);
	va_end(arguments);
	return r < 0 ? -ENOMEM : result;
}

/* The first error alone, and not as if it had come from a command line. */
static int first_error(struct config *config, char **ret_what)
{
	_cleanup_(freep) char *text = NULL;
	const char *start;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return -ENOMEM;
	config_print_errors(config, stream);
	if (fclose(stream) != 0)
		return -ENOMEM;
	start = strncmp(text, command_line, strlen(command_line)) == 0 ? text + strlen(command_line)
								       : text;
	return fail(ret_what, -EINVAL, "%.*s", (int)strcspn(start, "\n"), start);
}

static int read_one(const struct config_setting *setting, void *target, const char *name,
		    const char *value, config_check_t check, char **ret_what)
{
	_cleanup_(config_freep) struct config *config = NULL;
	_cleanup_(freep) char *word = NULL;
	char *words[2] = {NULL, NULL};
	int r;

	if (asprintf(&word, "--%s=%s", name, value) < 0)
		return -ENOMEM;
	words[0] = word;
	r = config_new(NULL, words, &config);
	if (r < 0)
		return r;
	r = config_read(config, setting, 1, target);
	if (r >= 0 && check)
		check(config, target);
	return config_error_count(config) > 0 ? first_error(config, ret_what) : r;
}

int config_change(const struct config_setting *settings, size_t count, void *target,
		  const char *name, const char *value, config_check_t check, char **ret_what)
{
	const struct config_setting *setting = find(settings, count, name);

	if (!setting)
		return fail(ret_what, -ENOENT, "%s: no such setting", name);
	if (setting->change != CONFIG_ANY_TIME)
		return fail(ret_what, -EROFS,
			    "%s: cannot be changed now, only in the configuration", name);
	return read_one(setting, target, name, value, check, ret_what);
}

/* What a value is, for those who show or compare it. */

int config_format(const struct config_setting *setting, const void *target, char **ret)
{
	const void *field = (const char *)target + setting->offset;
	const char *text = NULL;
	char number[24];

	switch (setting->type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
	case CONFIG_SITE:
	case CONFIG_LINK:
	case CONFIG_ADDRESS:
		text = *(char *const *)field ?: "";
		break;
	case CONFIG_UINT:
		snprintf(number, sizeof(number), "%" PRIu64, *(const uint64_t *)field);
		text = number;
		break;
	case CONFIG_BOOL:
		text = *(const bool *)field ? "true" : "false";
		break;
	case CONFIG_CHOICE:
		text = setting->choices[*(const int *)field];
		break;
	case CONFIG_CUSTOM:
		return -EOPNOTSUPP;
	}
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static bool is_same(const struct config_setting *setting, const void *target, const void *other)
{
	_cleanup_(freep) char *a = NULL, *b = NULL;

	if (setting->type == CONFIG_CUSTOM)
		return setting->same((const char *)target + setting->offset,
				     (const char *)other + setting->offset);
	return config_format(setting, target, &a) >= 0 && config_format(setting, other, &b) >= 0 &&
	       str_equal(a, b);
}

static size_t size_of(enum config_type type)
{
	switch (type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
	case CONFIG_SITE:
	case CONFIG_LINK:
	case CONFIG_ADDRESS:
		return sizeof(char *);
	case CONFIG_UINT:
		return sizeof(uint64_t);
	case CONFIG_BOOL:
		return sizeof(bool);
	case CONFIG_CHOICE:
		return sizeof(int);
	case CONFIG_CUSTOM:
		break; /* is never taken over */
	}
	return 0;
}

static void swap_field(const struct config_setting *setting, void *target, void *fresh)
{
	void *a = (char *)target + setting->offset, *b = (char *)fresh + setting->offset;
	size_t size = size_of(setting->type);
	uint8_t kept[sizeof(uint64_t)];

	memcpy(kept, a, size);
	memcpy(a, b, size);
	memcpy(b, kept, size);
}

int config_take_over(const struct config_setting *settings, size_t count, void *target, void *fresh,
		     char **ret_left)
{
	size_t size = 0;
	FILE *stream = open_memstream(ret_left, &size);
	const char *separator = "";

	if (!stream)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (settings[i].change != CONFIG_AT_START) {
			swap_field(&settings[i], target, fresh);
		} else if (!is_same(&settings[i], target, fresh)) {
			fprintf(stream, "%s%s", separator, settings[i].name);
			separator = ", ";
		}
	}
	return fclose(stream) != 0 ? -ENOMEM : 0;
}
