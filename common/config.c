// SPDX-License-Identifier: MIT
/*
 * The configuration's document: a JSON file with the command line merged over it, and the list of
 * everything that is wrong with it, which is told at once and in the order of the file.
 */

#include <stdarg.h>

#include "common/config-internal.h"

/* A member's name may hold any, and an error is one line. */
static void replace_control_characters(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void vreport(struct config *config, struct json_position position, const char *where,
		    const char *format, va_list arguments)
{
	struct config_message *message = &config->messages[config->message_count];
	_cleanup_(freep) char *what = NULL;
	int r;

	if (config->message_count == CONFIG_MAX_ERRORS) {
		config->left_out_count++;
		return;
	}
	if (vasprintf(&what, format, arguments) < 0)
		what = NULL;
	message->position = position;
	if (position.line)
		r = asprintf(&message->text, "%s:%u:%u: %s: %s", config->file, position.line,
			     position.column, where, what ?: strerror(ENOMEM));
	else
		r = asprintf(&message->text, "command line: %s: %s", where,
			     what ?: strerror(ENOMEM));
	if (r < 0)
		message->text = NULL;
	else
		replace_control_characters(message->text);
	config->message_count++;
}

static void _printf_(4, 5) report(struct config *config, struct json_position position,
				  const char *where, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vreport(config, position, where, format, arguments);
	va_end(arguments);
}

/* Cuts off the last reference; false when there is none. */
static bool leave(char *pointer)
{
	char *slash = strrchr(pointer, '/');

	if (slash)
		*slash = '\0';
	return slash;
}

bool config_is_from_command_line(const struct config *config, const char *pointer)
{
	char part[CONFIG_POINTER_MAX_CHARS];

	if (!config->text)
		return true;
	snprintf(part, sizeof(part), "%s", pointer);
	do {
		if (json_object_get(config->given, part))
			return true;
	} while (leave(part));
	return false;
}

/* Of the member, else of the nearest thing around it that the file has. */
static struct json_position locate(const struct config *config, const char *pointer)
{
	struct json_position position = {0, 0};
	char part[CONFIG_POINTER_MAX_CHARS];

	if (config_is_from_command_line(config, pointer))
		return position;
	snprintf(part, sizeof(part), "%s", pointer);
	do {
		position = json_text_locate(config->text, part);
	} while (!position.line && leave(part));
	return position;
}

void config_error(struct config *config, const char *pointer, const char *format, ...)
{
	char where[2 + CONFIG_POINTER_MAX_CHARS] = "--";
	struct json_position position = locate(config, pointer);
	bool is_setting = !position.line && *pointer;
	va_list arguments;

	config_pointer_show(config->root, pointer, where + 2);
	va_start(arguments, format);
	vreport(config, position, is_setting ? where : where + 2, format, arguments);
	va_end(arguments);
}

size_t config_error_count(const struct config *config)
{
	return config->message_count + config->left_out_count;
}

static int compare_messages(const void *a, const void *b)
{
	const struct config_message *const *x = a, *const *y = b;
	struct json_position p = (*x)->position, q = (*y)->position;

	/* The command line has line 0 and comes last; equal places stay as they were found. */
	if (p.line != q.line)
		return p.line - 1 < q.line - 1 ? -1 : 1;
	if (p.column != q.column)
		return p.column < q.column ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

void config_print_errors(const struct config *config, FILE *stream)
{
	const struct config_message *sorted[CONFIG_MAX_ERRORS] = {NULL};

	for (size_t i = 0; i < config->message_count; i++)
		sorted[i] = &config->messages[i];
	qsort(sorted, config->message_count, sizeof(sorted[0]), compare_messages);
	for (size_t i = 0; i < config->message_count; i++)
		fprintf(stream, "%s\n", sorted[i]->text ?: strerror(ENOMEM));
	if (config->left_out_count)
		fprintf(stream, "... and %zu more errors\n", config->left_out_count);
}

/* The file. */

static int load(struct config *config)
{
	struct json_position position = {1, 1};
	_cleanup_(freep) char *what = NULL;
	int r;

	r = json_text_load(config->file, CONFIG_MAX_BYTES, &config->text, &position, &what);
	if (r == -ENOMEM)
		return r;
	if (r == -EBADMSG)
		report(config, position, "syntax", "%s", what ?: strerror(ENOMEM));
	else if (r == -EFBIG)
		report(config, position, "file", "larger than %u bytes", CONFIG_MAX_BYTES);
	else if (r < 0)
		report(config, position, "file", "cannot be read: %s", strerror(-r));
	else if (!json_is_object(json_text_root(config->text)))
		report(config, position, "configuration", "expected an object, found %s",
		       config_value_kind(json_text_root(config->text)));
	config->is_unreadable = config_error_count(config) > 0;
	return 0;
}

/* The command line. */

/* Sets member name of object to value, or goes into it (making it) where more of the name follows.
 */
static int set_by_name(json_t *object, const char *name, json_t *value)
{
	size_t length = strcspn(name, ".");
	_cleanup_(freep) char *part = strndup(name, length);
	json_t *inner;

	if (!part)
		return -ENOMEM;
	if (!name[length])
		return json_object_set(object, part, value) < 0 ? -ENOMEM : 0;
	inner = json_object_get(object, part);
	if (!json_is_object(inner)) {
		inner = json_object();
		if (json_object_set_new(object, part, inner) < 0)
			return -ENOMEM;
	}
	return set_by_name(inner, name + length + 1, value);
}

/* Of words with dots between; other characters are in no setting's name, nor in a site's. */
static bool name_is_whole(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t length = strlen(name);

	return length > 0 && length < CONFIG_POINTER_MAX_CHARS / 2 &&
	       strspn(name, allowed) == length && name[0] != '.' && name[length - 1] != '.' &&
	       !strstr(name, "..");
}

static int merge_argument(struct config *config, const char *argument)
{
	static const struct json_position command_line = {0, 0};
	const char *equals = strchr(argument, '=');
	char pointer[CONFIG_POINTER_MAX_CHARS];
	_cleanup_(json_decrefp) json_t *value = NULL;
	_cleanup_(freep) char *name = NULL;

	if (strncmp(argument, "--", 2) != 0 || !equals) {
		report(config, command_line, argument, "expected --NAME=VALUE");
		return 0;
	}
	name = strndup(argument, (size_t)(equals - argument));
	if (!name)
		return -ENOMEM;
	value = json_string(equals + 1);
	if (!name_is_whole(name + 2) || !value) {
		report(config, command_line, name,
		       "expected a setting's name and a value in UTF-8");
		return 0;
	}
	config_pointer_from_name(name + 2, pointer);
	if (json_object_get(config->given, pointer)) {
		report(config, command_line, name, "given more than once");
		return 0;
	}
	if (json_object_set_new(config->given, pointer, json_true()) < 0)
		return -ENOMEM;
	return set_by_name(config->root, name + 2, value);
}

/* The merged document is a copy: positions belong to what the file says. */
static int merge(struct config *config, char *const *arguments)
{
	bool has_root = config->text && json_is_object(json_text_root(config->text));

	config->given = json_object();
	config->root = has_root ? json_deep_copy(json_text_root(config->text)) : json_object();
	if (!config->given || !config->root)
		return -ENOMEM;
	for (; *arguments; arguments++) {
		int r = merge_argument(config, *arguments);

		if (r < 0)
			return r;
	}
	return 0;
}

int config_new(const char *file, char *const *arguments, struct config **ret)
{
	_cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));
	int r;

	if (!config)
		return -ENOMEM;
	if (file) {
		config->file = strdup(file);
		if (!config->file)
			return -ENOMEM;
		r = load(config);
		if (r < 0)
			return r;
	}
	r = merge(config, arguments);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->message_count; i++)
		free(config->messages[i].text);
	json_decref(config->given);
	json_decref(config->root);
	json_text_free(config->text);
	free(config->file);
	free(config);
	return NULL;
}
