// SPDX-License-Identifier: MIT
/*
 * The document against the table of settings: each setting's value, required ones that are missing,
 * members that no setting has.
 */

#include "common/config-internal.h"

/* Everything that goes on about one walk through the members. */
struct walk {
	struct config *config;
	const struct config_setting *settings;
	size_t count;
};

static const struct config_setting *find(const struct walk *walk, const char *name)
{
	for (size_t i = 0; i < walk->count; i++)
		if (str_equal(walk->settings[i].name, name))
			return &walk->settings[i];
	return NULL;
}

static bool is_group(const struct walk *walk, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < walk->count; i++)
		if (strncmp(walk->settings[i].name, name, length) == 0 &&
		    walk->settings[i].name[length] == '.')
			return true;
	return false;
}

/* "key" alone may be meant for "tls.key". */
static const char *find_by_last_part(const struct walk *walk, const char *name)
{
	for (size_t i = 0; i < walk->count; i++) {
		const char *dot = strrchr(walk->settings[i].name, '.');

		if (dot && str_equal(dot + 1, name))
			return walk->settings[i].name;
	}
	return NULL;
}

static void report_unknown(const struct walk *walk, const char *pointer, const char *name)
{
	const char **known = calloc(walk->count + 1, sizeof(*known));
	const char *last_dot = strrchr(name, '.');
	const char *nearest = NULL;

	for (size_t i = 0; known && i < walk->count; i++)
		known[i] = walk->settings[i].name;
	if (known)
		nearest = config_nearest(name, known);
	if (!nearest)
		nearest = find_by_last_part(walk, last_dot ? last_dot + 1 : name);
	if (nearest)
		config_error(walk->config, pointer, "no such setting; \"%s\" is the nearest",
			     nearest);
	else
		config_error(walk->config, pointer, "no such setting");
	free(known);
}

/* prefix: "" or "tls."; its members are those of object, which is at pointer. */
static void check_members(const struct walk *walk, const char *pointer, const char *prefix,
			  json_t *object)
{
	const char *member;
	json_t *value;

	json_object_foreach (object, member, value) {
		char name[CONFIG_POINTER_MAX_CHARS], at[CONFIG_POINTER_MAX_CHARS];

		snprintf(name, sizeof(name), "%s%s", prefix, member);
		snprintf(at, sizeof(at), "%s", pointer);
		config_pointer_append(at, member);
		if (strchr(member, '.')) {
			config_error(walk->config, at,
				     "no such setting; a dot is written as an "
				     "object within an object");
		} else if (find(walk, name)) {
			continue;
		} else if (!is_group(walk, name)) {
			report_unknown(walk, at, name);
		} else if (!json_is_object(value)) {
			config_error(walk->config, at, "expected an object, found %s",
				     config_value_kind(value));
		} else {
			strncat(name, ".", sizeof(name) - strlen(name) - 1);
			check_members(walk, at, name, value);
		}
	}
}

int config_read(struct config *config, const struct config_setting *settings, size_t count,
		void *target)
{
	struct walk walk = {config, settings, count};

	if (config->is_unreadable)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		char pointer[CONFIG_POINTER_MAX_CHARS];
		json_t *value;

		config_pointer_from_name(settings[i].name, pointer);
		value = config_pointer_get(config->root, pointer);
		if (value)
			config_value_read(config, &settings[i], pointer, value, target);
		else if (settings[i].required)
			config_error(config, pointer, "is required and missing");
	}
	check_members(&walk, "", "", config->root);
	return config_error_count(config) ? -EINVAL : 0;
}

void config_release(const struct config_setting *settings, size_t count, void *target)
{
	for (size_t i = 0; i < count; i++) {
		void *field = (char *)target + settings[i].offset;

		switch (settings[i].type) {
		case CONFIG_STRING:
		case CONFIG_PATH:
		case CONFIG_SITE:
		case CONFIG_LINK:
		case CONFIG_ADDRESS:
			free(*(char **)field);
			*(char **)field = NULL;
			break;
		case CONFIG_UINT:
		case CONFIG_BOOL:
		case CONFIG_CHOICE:
		case CONFIG_CUSTOM:
			break;
		}
	}
}
