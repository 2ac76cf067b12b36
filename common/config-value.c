// SPDX-License-Identifier: MIT
/*
 * One setting's value: whether it is of the right kind and within bounds, and into the caller's
 * field with it. Strings are never repeated in an error: somebody may have written a key where its
 * file's name belongs.
 */

#include <inttypes.h>

#include "common/address.h"
#include "common/config-internal.h"
#include "common/name.h"

#define CREDENTIAL_PREFIX "credential:"

const char *config_value_kind(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a number with a fraction or exponent";
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	case JSON_NULL:
		return "null";
	}
	return "nothing";
}

/* The unit is the last word of the setting's name. */
static const char *unit_of(const struct config_setting *setting)
{
	static const struct {
		const char *suffix, *unit;
	} units[] = {
		{"_sec", " seconds"}, {"_msec", " milliseconds"}, {"_usec", " microseconds"},
		{"_bits", " bits"},   {"_bytes", " bytes"},       {"_keys", " keys"},
		{"_days", " days"},
	};
	size_t length = strlen(setting->name);

	for (size_t i = 0; i < ELEMENTSOF(units); i++) {
		size_t suffix_length = strlen(units[i].suffix);

		if (length > suffix_length &&
		    str_equal(setting->name + length - suffix_length, units[i].suffix))
			return units[i].unit;
	}
	return "";
}

static void set_string(struct config *config, const char *pointer, const char *value, char **field)
{
	char *copy = strdup(value);

	if (!copy) {
		config_error(config, pointer, "%s", strerror(ENOMEM));
		return;
	}
	free(*field);
	*field = copy;
}

static void read_string(struct config *config, const struct config_setting *setting,
			const char *pointer, const char *text, char **field)
{
	size_t length = strlen(text);
	uint64_t max = setting->max ?: UINT64_MAX;

	if (length >= setting->min && length <= max)
		set_string(config, pointer, text, field);
	else if (max == UINT64_MAX)
		config_error(config, pointer, "expected at least %" PRIu64 " characters, found %zu",
			     setting->min, length);
	else
		config_error(config, pointer,
			     "expected %" PRIu64 " to %" PRIu64 " characters, found %zu",
			     setting->min, max, length);
}

static void read_credential(struct config *config, const char *pointer, const char *name,
			    char **field)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_(freep) char *path = NULL;

	if (!*name || strchr(name, '/') || *name == '.')
		config_error(config, pointer,
			     "expected the credential's name after \"credential:\"");
	else if (!directory)
		config_error(config, pointer,
			     "credential:NAME needs a service with credentials "
			     "($CREDENTIALS_DIRECTORY is not set)");
	else if (asprintf(&path, "%s/%s", directory, name) < 0)
		config_error(config, pointer, "%s", strerror(ENOMEM));
	else
		set_string(config, pointer, path, field);
}

static void read_path(struct config *config, const char *pointer, const char *text, char **field)
{
	size_t prefix_length = strlen(CREDENTIAL_PREFIX);

	if (strncmp(text, CREDENTIAL_PREFIX, prefix_length) == 0)
		read_credential(config, pointer, text + prefix_length, field);
	else if (*text == '/')
		set_string(config, pointer, text, field);
	else
		config_error(config, pointer, "expected an absolute path or credential:NAME");
}

static void read_if(bool is_valid, struct config *config, const char *pointer, const char *text,
		    const char *expected, char **field)
{
	if (is_valid)
		set_string(config, pointer, text, field);
	else
		config_error(config, pointer, "expected %s", expected);
}

static void read_choice(struct config *config, const struct config_setting *setting,
			const char *pointer, const char *text, int *field)
{
	char list[256] = "";
	size_t used = 0;

	for (int i = 0; setting->choices[i]; i++) {
		if (str_equal(setting->choices[i], text)) {
			*field = i;
			return;
		}
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"",
						 i ? ", " : "", setting->choices[i]);
	}
	config_error(config, pointer, "expected one of %s", list);
}

static void read_text(struct config *config, const struct config_setting *setting,
		      const char *pointer, const char *text, void *field)
{
	struct address ignored;

	switch (setting->type) {
	case CONFIG_STRING:
		read_string(config, setting, pointer, text, field);
		break;
	case CONFIG_PATH:
		read_path(config, pointer, text, field);
		break;
	case CONFIG_SITE:
		read_if(site_name_is_valid(text), config, pointer, text,
			"a site's name: a-z, 0-9, '.' and '-', at most 63, not '.' or '-' first",
			field);
		break;
	case CONFIG_LINK:
		read_if(link_name_is_valid(text), config, pointer, text,
			"a link's name: a-z, 0-9, '.' and '-', at most 63, not '.' or '-' first",
			field);
		break;
	case CONFIG_ADDRESS:
		read_if(address_parse(text, false, &ignored) == 0, config, pointer, text,
			"HOST:PORT or [V6]:PORT", field);
		break;
	case CONFIG_CHOICE:
		read_choice(config, setting, pointer, text, field);
		break;
	case CONFIG_UINT:
	case CONFIG_BOOL:
	case CONFIG_CUSTOM:
		break; /* no strings */
	}
}

static void read_uint(struct config *config, const struct config_setting *setting,
		      const char *pointer, json_t *value, uint64_t *field)
{
	uint64_t max = setting->max ?: INT64_MAX;
	json_int_t number = json_integer_value(value);
	char found[64];

	if (json_is_integer(value) && number >= 0 && (uint64_t)number >= setting->min &&
	    (uint64_t)number <= max) {
		*field = (uint64_t)number;
		return;
	}
	if (json_is_integer(value))
		snprintf(found, sizeof(found), "%" JSON_INTEGER_FORMAT, number);
	else
		snprintf(found, sizeof(found), "%s", config_value_kind(value));
	config_error(config, pointer,
		     "expected a whole number from %" PRIu64 " to %" PRIu64 "%s, found %s",
		     setting->min, max, unit_of(setting), found);
}

/* What the command line gave is a string; a setting of another type takes it as JSON text. */
static json_t *as_json(const struct config *config, const char *pointer, json_t *value)
{
	json_t *parsed = NULL;

	if (json_is_string(value) && config_is_from_command_line(config, pointer))
		parsed = json_loads(json_string_value(value),
				    JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	return parsed ?: json_incref(value);
}

static void read_json(struct config *config, const struct config_setting *setting,
		      const char *pointer, json_t *given, void *field)
{
	_cleanup_(json_decrefp) json_t *value = as_json(config, pointer, given);

	if (setting->type == CONFIG_UINT)
		read_uint(config, setting, pointer, value, field);
	else if (setting->type == CONFIG_CUSTOM)
		setting->parse(config, pointer, value, field);
	else if (json_is_boolean(value))
		*(bool *)field = json_is_true(value);
	else
		config_error(config, pointer, "expected true or false, found %s",
			     config_value_kind(value));
}

void config_value_read(struct config *config, const struct config_setting *setting,
		       const char *pointer, json_t *value, void *target)
{
	void *field = (char *)target + setting->offset;

	if (setting->type == CONFIG_UINT || setting->type == CONFIG_BOOL ||
	    setting->type == CONFIG_CUSTOM)
		read_json(config, setting, pointer, value, field);
	else if (json_is_string(value))
		read_text(config, setting, pointer, json_string_value(value), field);
	else
		config_error(config, pointer, "expected a string, found %s",
			     config_value_kind(value));
}
