/* SPDX-License-Identifier: MIT */
/*
 * Reads properties without knowing them, so that a new property of a daemon is in qkdctl's JSON at
 * once.
 */

#include "ctl-message.h"

#include <ctype.h>

#include "common/macros.h"

#define NAME_MAX_CHARS 64

/* KeysPerSecond: keys_per_second */
static void snake_case(const char *name, char ret[static 2 * NAME_MAX_CHARS + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < NAME_MAX_CHARS && name[i]; i++) {
		if (isupper((unsigned char)name[i]) && i > 0)
			ret[n++] = '_';
		ret[n++] = (char)tolower((unsigned char)name[i]);
	}
	ret[n] = '\0';
}

static json_t *json_of(char type, const void *value)
{
	switch (type) {
	case 's':
	case 'o':
		return json_string(*(const char *const *)value);
	case 'b':
		return json_boolean(*(const int *)value);
	case 'u':
		return json_integer(*(const uint32_t *)value);
	case 'i':
		return json_integer(*(const int32_t *)value);
	case 't':
	case 'x':
		return json_integer(*(const json_int_t *)value);
	case 'd':
		return json_real(*(const double *)value);
	default:
		return NULL;
	}
}

/* A variant; *ret is NULL for a type that is left out. */
static int read_variant(sd_bus_message *message, json_t **ret)
{
	union {
		const char *text;
		int truth;
		uint64_t number;
		double real;
	} value = {0};
	const char *contents;
	char type;
	int r = sd_bus_message_peek_type(message, &type, &contents);

	if (r < 0)
		return r;
	*ret = NULL;
	if (strlen(contents) != 1 || !strchr("sobuitxd", contents[0]))
		return sd_bus_message_skip(message, "v");
	r = sd_bus_message_enter_container(message, 'v', contents);
	if (r < 0)
		return r;
	r = sd_bus_message_read_basic(message, contents[0], &value);
	if (r < 0)
		return r;
	*ret = json_of(contents[0], &value);
	return sd_bus_message_exit_container(message);
}

static int read_property(sd_bus_message *message, json_t *object)
{
	char key[2 * NAME_MAX_CHARS + 1];
	const char *name;
	json_t *value;
	int r = sd_bus_message_read(message, "s", &name);

	if (r < 0)
		return r;
	snake_case(name, key);
	r = read_variant(message, &value);
	if (r < 0)
		return r;
	return value && json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

int ctl_message_read_properties(sd_bus_message *message, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *object = json_object();
	int r = sd_bus_message_enter_container(message, 'a', "{sv}");

	if (!object)
		return -ENOMEM;
	while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
		r = read_property(message, object);
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(message);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(object);
	return 0;
}

static int append(json_t *list, json_t *entry)
{
	if (json_array_size(list) >= CTL_MESSAGE_MAX_ENTRIES) {
		json_decref(entry);
		return -E2BIG;
	}
	return json_array_append_new(list, entry) < 0 ? -ENOMEM : 0;
}

int ctl_message_read_list(sd_bus_message *message, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *list = json_array();
	json_t *entry;
	int r = sd_bus_message_enter_container(message, 'a', "a{sv}");

	if (!list)
		return -ENOMEM;
	while (r >= 0 && (r = sd_bus_message_at_end(message, false)) == 0) {
		r = ctl_message_read_properties(message, &entry);
		if (r >= 0)
			r = append(list, entry);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(list);
	return sd_bus_message_exit_container(message);
}

/* One {sa{sv}} of an object. */
static int read_interface(sd_bus_message *message, const char *wanted, json_t *list)
{
	const char *interface;
	json_t *properties;
	int r = sd_bus_message_read(message, "s", &interface);

	if (r < 0)
		return r;
	if (!str_equal(interface, wanted))
		return sd_bus_message_skip(message, "a{sv}");
	r = ctl_message_read_properties(message, &properties);
	return r < 0 ? r : append(list, properties);
}

static int read_interfaces(sd_bus_message *message, const char *wanted, json_t *list)
{
	int r = sd_bus_message_skip(message, "o");

	if (r >= 0)
		r = sd_bus_message_enter_container(message, 'a', "{sa{sv}}");
	while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sa{sv}")) > 0) {
		r = read_interface(message, wanted, list);
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	return r < 0 ? r : sd_bus_message_exit_container(message);
}

int ctl_message_read_objects(sd_bus_message *message, const char *interface, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *list = json_array();
	int r = sd_bus_message_enter_container(message, 'a', "{oa{sa{sv}}}");

	if (!list)
		return -ENOMEM;
	while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "oa{sa{sv}}")) > 0) {
		r = read_interfaces(message, interface, list);
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(list);
	return sd_bus_message_exit_container(message);
}
