/* SPDX-License-Identifier: MIT */
/* The files of links that were added while the daemon ran: what stands in them, and where. */

#include "device-files.h"

#include <stdarg.h>

#include "common/name.h"

#define SUFFIX     ".json"
#define CREDENTIAL "credential:"

/* ".json.new" for one that is being checked. */
void device_files_name(const char *link, bool is_new, char ret[static DEVICE_FILES_NAME_CHARS])
{
	snprintf(ret, DEVICE_FILES_NAME_CHARS, DEVICE_FILES_DIRECTORY "/%s" SUFFIX "%s", link,
		 is_new ? ".new" : "");
}

static int _printf_(2, 3) invalid(char **ret_what, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = vasprintf(ret_what, format, arguments);
	va_end(arguments);
	return r < 0 ? -ENOMEM : -EINVAL;
}

static int parse(const char *settings, json_t **ret, char **ret_what)
{
	json_error_t error;

	if (strlen(settings) > DEVICE_FILES_MAX_BYTES)
		return invalid(ret_what, "The settings are longer than %d bytes",
			       DEVICE_FILES_MAX_BYTES);
	*ret = json_loads(settings, JSON_REJECT_DUPLICATES, &error);
	if (!*ret)
		return invalid(ret_what, "%d:%d: the settings are not JSON", error.line,
			       error.column);
	if (!json_is_object(*ret))
		return invalid(ret_what, "The settings are not a JSON object");
	return 0;
}

static int check_members(json_t *object, char **ret_what)
{
	static const char *const own[] = {"site",    "link", "tls",          "home",
					  "runtime", "bus",  "kernel_shared"};

	for (size_t i = 0; i < ELEMENTSOF(own); i++)
		if (json_object_get(object, own[i]))
			return invalid(ret_what, "%s: is the site's own, and cannot be given",
				       own[i]);
	return 0;
}

/* Another service's credential has the same name there, but another directory. */
static json_t *path_value(const char *path)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	size_t length = directory ? strlen(directory) : 0;

	if (length > 0 && strncmp(path, directory, length) == 0 && path[length] == '/')
		return json_sprintf(CREDENTIAL "%s", path + length + 1);
	return json_string(path);
}

static int add_own(json_t *object, const struct keyringd_config *config, const char *link)
{
	_cleanup_(json_decrefp) json_t *own =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:{s:o, s:o, s:o}}", "site", config->site,
			  "link", link, "home", config->home, "runtime", config->runtime, "bus",
			  config->bus, "kernel_shared", (int)config->kernel_shared, "tls", "ca",
			  path_value(config->tls_ca), "certificate",
			  path_value(config->tls_certificate), "key", path_value(config->tls_key));

	return !own || json_object_update(object, own) < 0 ? -ENOMEM : 0;
}

/* In ordinary memory: the daemon's JSON lives in memory of its own, and there is no key in this. */
static char *to_text(const json_t *object)
{
	char *text = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
	char *copy = text ? strdup(text) : NULL;
	json_free_t json_free;

	json_get_alloc_funcs(NULL, &json_free);
	json_free(text);
	return copy;
}

int device_files_compose(const struct keyringd_config *config, const char *link,
			 const char *settings, char **ret_text, char **ret_what)
{
	_cleanup_(json_decrefp) json_t *object = NULL;
	int r = parse(settings, &object, ret_what);

	if (r >= 0)
		r = check_members(object, ret_what);
	if (r >= 0)
		r = add_own(object, config, link);
	if (r < 0)
		return r;
	*ret_text = to_text(object);
	return *ret_text ? 0 : -ENOMEM;
}

static int write_file(struct storage *state, const char *name, const char *text)
{
	int file = state->ops->open(state, name, STORAGE_WRITE | STORAGE_CREATE), r;

	if (file < 0)
		return file;
	r = state->ops->truncate(state, file, 0);
	if (r >= 0)
		r = state->ops->write_at(state, file, text, strlen(text), 0);
	if (r >= 0)
		r = state->ops->sync(state, file);
	state->ops->close(state, file);
	return r;
}

int device_files_write(struct storage *state, const char *link, const char *text)
{
	char name[DEVICE_FILES_NAME_CHARS];
	int r = state->ops->make_directory(state, DEVICE_FILES_DIRECTORY);

	if (r < 0 && r != -EEXIST)
		return r;
	r = state->ops->sync_directory(state, ".");
	if (r < 0)
		return r;
	device_files_name(link, true, name);
	return write_file(state, name, text);
}

int device_files_settle(struct storage *state, const char *link)
{
	char from[DEVICE_FILES_NAME_CHARS], to[DEVICE_FILES_NAME_CHARS];
	int r;

	device_files_name(link, true, from);
	device_files_name(link, false, to);
	r = state->ops->rename(state, from, to);
	return r < 0 ? r : state->ops->sync_directory(state, DEVICE_FILES_DIRECTORY);
}

int device_files_remove(struct storage *state, const char *link, bool is_new)
{
	char name[DEVICE_FILES_NAME_CHARS];
	int r;

	device_files_name(link, is_new, name);
	r = state->ops->remove(state, name);
	return r < 0 ? r : state->ops->sync_directory(state, DEVICE_FILES_DIRECTORY);
}

bool device_files_has(struct storage *state, const char *link)
{
	char name[DEVICE_FILES_NAME_CHARS];
	int file;

	device_files_name(link, false, name);
	file = state->ops->open(state, name, STORAGE_READ);
	if (file >= 0)
		state->ops->close(state, file);
	return file >= 0;
}

struct each {
	int (*call)(const char *link, void *userdata);
	void *userdata;
};

static int look_at(const char *name, void *userdata)
{
	const struct each *each = userdata;
	size_t length = strlen(name), suffix = strlen(SUFFIX);
	char link[NAME_MAX_CHARS + 1];

	if (length <= suffix || length - suffix > NAME_MAX_CHARS ||
	    !str_equal(name + length - suffix, SUFFIX))
		return 0;
	snprintf(link, sizeof(link), "%.*s", (int)(length - suffix), name);
	return link_name_is_valid(link) ? each->call(link, each->userdata) : 0;
}

int device_files_foreach(struct storage *state, int (*each)(const char *link, void *userdata),
			 void *userdata)
{
	struct each look = {each, userdata};
	int r = state->ops->list(state, DEVICE_FILES_DIRECTORY, look_at, &look);

	return r == -ENOENT ? 0 : r;
}
