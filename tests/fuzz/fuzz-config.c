/* SPDX-License-Identifier: MIT */
/*
 * A configuration file, and after a line "--" the command line, against a table with a setting of
 * each type: what is wrong is told, what is told is one line each, what is right is within bounds.
 */

#include <fcntl.h>
#include <sys/mman.h>

#include "common/config.h"
#include "common/name.h"

#define ARGUMENTS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct settings {
	char *text, *path, *site, *link, *address;
	uint64_t number;
	bool yes;
	int choice;
	unsigned peers;
};

static int parse_peers(struct config *config, const char *pointer, json_t *value, void *field)
{
	static const char *const known[] = {"address", NULL};
	unsigned *peers = field;

	if (json_is_object(value))
		config_check_members(config, pointer, value, known);
	else
		config_error(config, pointer, "expected an object");
	*peers = (unsigned)json_object_size(value);
	return 0;
}

static const char *const choices[] = {"keyring", "files", NULL};
#define FIELD(name) .offset = offsetof(struct settings, name)
static const struct config_setting table[] = {
	{.name = "text", .type = CONFIG_STRING, FIELD(text), .min = 1, .max = 16},
	{.name = "tls.key", .type = CONFIG_PATH, FIELD(path)},
	{.name = "site", .type = CONFIG_SITE, FIELD(site), .required = true},
	{.name = "link", .type = CONFIG_LINK, FIELD(link)},
	{.name = "listen", .type = CONFIG_ADDRESS, FIELD(address)},
	{.name = "hold_sec", .type = CONFIG_UINT, FIELD(number), .min = 1, .max = 3600},
	{.name = "yes", .type = CONFIG_BOOL, FIELD(yes)},
	{.name = "consumer", .type = CONFIG_CHOICE, FIELD(choice), .choices = choices},
	{.name = "peers", .type = CONFIG_CUSTOM, FIELD(peers), .parse = parse_peers},
};

static void check(const struct settings *settings)
{
	if (!settings->site || !site_name_is_valid(settings->site) ||
	    (settings->link && !link_name_is_valid(settings->link)) ||
	    (settings->path && *settings->path != '/') ||
	    (settings->text && (!*settings->text || strlen(settings->text) > 16)) ||
	    settings->number < 1 || settings->number > 3600 || settings->choice < 0 ||
	    settings->choice > 1)
		abort();
}

/* No error spans lines or holds a control character. */
static void check_errors(const struct config *config)
{
	_cleanup_(freep) char *text = NULL;
	size_t size, lines = 0, expected = config_error_count(config);
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		abort();
	config_print_errors(config, stream);
	fclose(stream);
	for (size_t i = 0; i < size; i++) {
		lines += text[i] == '\n';
		if ((unsigned char)text[i] < ' ' && text[i] != '\n')
			abort();
	}
	if (lines != MIN(expected, (size_t)CONFIG_MAX_ERRORS + 1))
		abort();
}

static void read_config(const char *path, char *const *arguments)
{
	_cleanup_(config_freep) struct config *config = NULL;
	struct settings settings = {.number = 1};

	if (config_new(path, arguments, &config) < 0)
		abort();
	if (config_read(config, table, ELEMENTSOF(table), &settings) < 0)
		check_errors(config);
	else
		check(&settings);
	config_release(table, ELEMENTSOF(table), &settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *copy = strndup((const char *)data, size);
	_cleanup_(closep) int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64], *arguments[ARGUMENTS_MAX + 1] = {NULL}, *rest;

	if (!copy || fd < 0)
		return 0;
	rest = strstr(copy, "\n--\n");
	if (rest) {
		*rest = '\0';
		rest += strlen("\n--\n");
	}
	for (size_t i = 0; rest && i < ARGUMENTS_MAX; i++)
		arguments[i] = strsep(&rest, "\n");
	if (write(fd, copy, strlen(copy)) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_config(path, arguments);
	return 0;
}
