/* SPDX-License-Identifier: MIT */
/*
 * Numbers and truth values are written as such, everything else is text; a site may be called "1",
 * so the settings that hold names are text whatever they look like.
 */

#include "ctl-settings.h"

#include "common/macros.h"

#define NAME_MAX_BYTES 64

static json_t *value_of(const char *name, const char *text)
{
	static const char *const texts[] = {"peer", "device", "listen", "peer_address"};
	json_t *value;

	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		if (str_equal(name, texts[i]))
			return json_string(text);
	value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	if (json_is_number(value) || json_is_boolean(value))
		return value;
	json_decref(value);
	return json_string(text);
}

/* The object that holds the last part of a dotted name; *name becomes that part. */
static json_t *descend(json_t *object, const char **name)
{
	const char *dot;

	while ((dot = strchr(*name, '.'))) {
		char part[NAME_MAX_BYTES + 1];
		json_t *inner;

		snprintf(part, sizeof(part), "%.*s", (int)(dot - *name), *name);
		inner = json_object_get(object, part);
		if (!inner) {
			json_object_set_new(object, part, json_object());
			inner = json_object_get(object, part);
		}
		if (!json_is_object(inner))
			return NULL;
		object = inner;
		*name = dot + 1;
	}
	return object;
}

static int add(json_t *settings, const char *word)
{
	const char *equals = strchr(word, '=');
	char whole[NAME_MAX_BYTES + 1];
	const char *name = whole;
	json_t *object, *value;

	if (!equals || equals == word || equals - word > NAME_MAX_BYTES)
		return -EINVAL;
	snprintf(whole, sizeof(whole), "%.*s", (int)(equals - word), word);
	object = descend(settings, &name);
	if (!object || !*name || json_object_get(object, name))
		return -EINVAL;
	value = value_of(whole, equals + 1);
	return json_object_set_new(object, name, value) < 0 ? -EINVAL : 0;
}

const char *ctl_settings_parse(char *const *words, size_t count, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *settings = json_object();

	for (size_t i = 0; i < count; i++)
		if (i == CTL_SETTINGS_MAX || add(settings, words[i]) < 0)
			return words[i];
	*ret = TAKE_PTR(settings);
	return NULL;
}
