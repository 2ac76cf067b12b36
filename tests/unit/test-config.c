// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>

#include "common/config.h"
#include "tests/unit/support/test-allocation.h"
#include "tests/unit/support/test-directory.h"

struct peer {
	char *name;
};

struct settings {
	char *site, *peer, *link, *listen, *tls_key, *note;
	uint64_t hold_sec, window, unlimited;
	bool confirm;
	int consumer;
	unsigned peers;
};

static int parse_peers(struct config *config, const char *pointer, json_t *value, void *field)
{
	static const char *const known[] = {"address", "weight", NULL};
	unsigned *peers = field;
	const char *name;
	json_t *peer;

	if (!json_is_object(value)) {
		config_error(config, pointer, "expected an object of peers");
		return 0;
	}
	json_object_foreach (value, name, peer) {
		char at[256];

		snprintf(at, sizeof(at), "%s/%s", pointer, name);
		config_check_members(config, at, peer, known);
		(*peers)++;
	}
	return 0;
}

static const char *const consumers[] = {"keyring", "files", NULL};
#define FIELD(name) .offset = offsetof(struct settings, name)
static const struct config_setting table[] = {
	{.name = "site", .type = CONFIG_SITE, FIELD(site), .required = true, .help = "our name"},
	{.name = "peer", .type = CONFIG_SITE, FIELD(peer)},
	{.name = "link", .type = CONFIG_LINK, FIELD(link)},
	{.name = "listen", .type = CONFIG_ADDRESS, FIELD(listen), .argument = "HOST:PORT"},
	{.name = "tls.key", .type = CONFIG_PATH, FIELD(tls_key)},
	{.name = "note", .type = CONFIG_STRING, FIELD(note), .min = 2, .max = 4},
	{.name = "hold_sec", .type = CONFIG_UINT, FIELD(hold_sec), .min = 1, .max = 3600},
	{.name = "window", .type = CONFIG_UINT, FIELD(window), .min = 1, .max = 64},
	{.name = "unlimited", .type = CONFIG_UINT, FIELD(unlimited)},
	{.name = "confirm", .type = CONFIG_BOOL, FIELD(confirm)},
	{.name = "consumer", .type = CONFIG_CHOICE, FIELD(consumer), .choices = consumers},
	{.name = "peers", .type = CONFIG_CUSTOM, FIELD(peers), .parse = parse_peers},
};

static char *directory, path[64];
static char printed[16384];

/* Reads text as file c.json; what config_print_errors() prints, the directory cut off. */
static int read_config(const char *text, char *const *arguments, struct settings *settings)
{
	_cleanup_(config_freep) struct config *config = NULL;
	static char *const none[] = {NULL};
	char whole[16384] = "", *from = whole;
	FILE *stream = fmemopen(whole, sizeof(whole), "w");
	int r;

	if (text) {
		FILE *file = fopen(path, "w");

		fputs(text, file);
		fclose(file);
	}
	cr_assert_eq(config_new(text ? path : NULL, arguments ?: none, &config), 0);
	r = config_read(config, table, ELEMENTSOF(table), settings);
	cr_assert_eq(r<0, config_error_count(config)> 0);
	config_print_errors(config, stream);
	fclose(stream);
	*printed = '\0';
	while (*from) {
		from += strncmp(from, path, strlen(path)) == 0 ? strlen(directory) + 1 : 0;
		strncat(printed, from, strcspn(from, "\n") + 1);
		from += strcspn(from, "\n") + 1;
	}
	return r;
}

static void make_directory(void)
{
	directory = test_directory_new();
	snprintf(path, sizeof(path), "%s/c.json", directory);
}

static void remove_directory(void)
{
	test_directory_remove(directory);
}

TestSuite(config, .init = make_directory, .fini = remove_directory);

Test(config, a_good_file_is_read_whole)
{
	struct settings settings = {.window = 8, .note = strdup("old")};

	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
	cr_assert_eq(
		read_config("{\"site\": \"alice\", \"peer\": \"bob\", \"link\": \"alice-bob\",\n"
			    " \"listen\": \"[::1]:4000\", \"tls\": {\"key\": \"credential:key\"},\n"
			    " \"note\": \"new\", \"hold_sec\": 3600, \"confirm\": true,\n"
			    " \"consumer\": \"files\", \"unlimited\": 9223372036854775807,\n"
			    " \"peers\": {\"bob\": {\"address\": \"x\"}, \"carol\": {}}}",
			    NULL, &settings),
		0, "%s", printed);
	cr_expect_str_eq(settings.site, "alice");
	cr_expect_str_eq(settings.peer, "bob");
	cr_expect_str_eq(settings.link, "alice-bob");
	cr_expect_str_eq(settings.listen, "[::1]:4000");
	cr_expect_str_eq(settings.tls_key, "/run/credentials/x/key");
	cr_expect_str_eq(settings.note, "new");
	cr_expect_eq(settings.hold_sec, 3600u);
	cr_expect_eq(settings.window, 8u, "a default stays");
	cr_expect_eq(settings.unlimited, (uint64_t)INT64_MAX);
	cr_expect(settings.confirm);
	cr_expect_eq(settings.consumer, 1);
	cr_expect_eq(settings.peers, 2u);
	config_release(table, ELEMENTSOF(table), &settings);
	cr_expect_null(settings.site);
}

Test(config, the_command_line_does_all_that_a_file_does)
{
	struct settings settings = {0};

	cr_assert_eq(read_config(NULL,
				 (char *[]){"--site=alice", "--tls.key=/k", "--hold_sec=7",
					    "--confirm=true", "--consumer=files", "--note=12",
					    "--peers={\"bob\": {}}", NULL},
				 &settings),
		     0, "%s", printed);
	cr_expect_str_eq(settings.tls_key, "/k");
	cr_expect_eq(settings.hold_sec, 7u);
	cr_expect(settings.confirm);
	cr_expect_eq(settings.consumer, 1);
	cr_expect_str_eq(settings.note, "12", "a string setting takes the word as it is");
	cr_expect_eq(settings.peers, 1u);
	config_release(table, ELEMENTSOF(table), &settings);
}

Test(config, the_command_line_wins_over_the_file)
{
	struct settings settings = {0};

	cr_assert_eq(
		read_config("{\"site\": \"alice\", \"window\": 99, \"tls\": {\"key\": \"/a\"}}",
			    (char *[]){"--window=9", "--tls.key=/b", NULL}, &settings),
		0, "%s", printed);
	cr_expect_eq(settings.window, 9u);
	cr_expect_str_eq(settings.tls_key, "/b");
	config_release(table, ELEMENTSOF(table), &settings);
}

static const struct {
	const char *file;
	char *arguments[4];
	const char *errors;
} bad[] = {
	{"{}", {NULL}, "c.json:1:1: site: is required and missing\n"},
	{"", {NULL}, "c.json:1:1: syntax: unexpected token near end of file\n"},
	{"[]", {NULL}, "c.json:1:1: configuration: expected an object, found an array\n"},
	{"{\n  \"site\": \"alice\"\n  \"peer\": \"bob\"\n}",
	 {NULL},
	 "c.json:3:3: syntax: '}' expected near '\"peer\"'\n"},
	{"{\"site\": \"alice\",\n \"site\": \"bob\"}",
	 {NULL},
	 "c.json:2:2: syntax: member \"site\" stands here a second time\n"},
	{"{\n  \"site\": 5,\n  \"peer\": \"Bob\",\n  \"link\": [],\n  \"confirm\": \"yes\"}",
	 {NULL},
	 "c.json:2:3: site: expected a string, found a number\n"
	 "c.json:3:3: peer: expected a site's name: a-z, 0-9, '.' and '-', at most 63, not '.' or "
	 "'-' first\n"
	 "c.json:4:3: link: expected a string, found an array\n"
	 "c.json:5:3: confirm: expected true or false, found a string\n"},
	{"{\"site\": \"a\",\n\"hold_sec\": 0, \"window\": 65,\n\"unlimited\": -1}",
	 {NULL},
	 "c.json:2:1: hold_sec: expected a whole number from 1 to 3600 seconds, found 0\n"
	 "c.json:2:16: window: expected a whole number from 1 to 64, found 65\n"
	 "c.json:3:1: unlimited: expected a whole number from 0 to 9223372036854775807, found -1\n"},
	{"{\"site\": \"a\", \"hold_sec\": 1.5, \"window\": \"8\"}",
	 {NULL},
	 "c.json:1:15: hold_sec: expected a whole number from 1 to 3600 seconds, found a number with a "
	 "fraction or exponent\n"
	 "c.json:1:32: window: expected a whole number from 1 to 64, found a string\n"},
	{"{\"site\": \"a\", \"consumer\": \"keyrng\", \"note\": \"12345\",\n \"listen\": \"host\"}",
	 {NULL},
	 "c.json:1:15: consumer: expected one of \"keyring\", \"files\"\n"
	 "c.json:1:37: note: expected 2 to 4 characters, found 5\n"
	 "c.json:2:2: listen: expected HOST:PORT or [V6]:PORT\n"},
	{"{\"site\": \"a\", \"tls\": {\"key\": \"key.pem\", \"crt\": 1}}",
	 {NULL},
	 "c.json:1:23: tls.key: expected an absolute path or credential:NAME\n"
	 "c.json:1:41: tls.crt: no such setting; \"tls.key\" is the nearest\n"},
	{"{\"site\": \"a\", \"tls\": {\"key\": \"credential:key\"}}",
	 {NULL},
	 "c.json:1:23: tls.key: credential:NAME needs a service with credentials "
	 "($CREDENTIALS_DIRECTORY is not set)\n"},
	{"{\"site\": \"a\", \"tls\": true}",
	 {NULL},
	 "c.json:1:15: tls: expected an object, found true\n"},
	{"{\"site\": \"a\", \"windwo\": 1, \"key\": 2, \"zzzzzz\": 3, \"tls.key\": \"/x\"}",
	 {NULL},
	 "c.json:1:15: windwo: no such setting; \"window\" is the nearest\n"
	 "c.json:1:28: key: no such setting; \"tls.key\" is the nearest\n"
	 "c.json:1:38: zzzzzz: no such setting\n"
	 "c.json:1:51: tls.key: no such setting; a dot is written as an object within an object\n"},
	{"{\"site\": \"a\",\n \"peers\": {\"bob\": {\"address\": 1,\n  \"adress\": 2}, \"ca/rol\": {}}}",
	 {NULL},
	 "c.json:3:3: peers.bob.adress: no such member; \"address\" is the nearest\n"},
	{"{\"site\": \"a\", \"a\\nb\": 1}", {NULL}, "c.json:1:15: a?b: no such setting\n"},
	{"{\"window\": 0}",
	 {"--hold_sec=x", "--site=A", "--peers=[]"},
	 "c.json:1:2: window: expected a whole number from 1 to 64, found 0\n"
	 "command line: --site: expected a site's name: a-z, 0-9, '.' and '-', at most 63, not '.' or "
	 "'-' first\n"
	 "command line: --hold_sec: expected a whole number from 1 to 3600 seconds, found a string\n"
	 "command line: --peers: expected an object of peers\n"},
	{NULL,
	 {"--hold-sec=5", "--tls.ky=/a"},
	 "command line: --site: is required and missing\n"
	 "command line: --hold-sec: no such setting; \"hold_sec\" is the nearest\n"
	 "command line: --tls.ky: no such setting; \"tls.key\" is the nearest\n"},
	{"{\"site\": \"a\"}",
	 {"verbose", "--confirm", "--=1"},
	 "command line: verbose: expected --NAME=VALUE\n"
	 "command line: --confirm: expected --NAME=VALUE\n"
	 "command line: --: expected a setting's name and a value in UTF-8\n"},
	{"{\"site\": \"a\"}",
	 {"--window=1", "--window=2"},
	 "command line: --window: given more than once\n"},
};

Test(config, every_error_is_told_with_its_place_and_what_was_expected)
{
	unsetenv("CREDENTIALS_DIRECTORY");
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		struct settings settings = {0};

		cr_expect_eq(read_config(bad[i].file, bad[i].arguments, &settings), -EINVAL);
		cr_expect_str_eq(printed, bad[i].errors, "%s\ntold:\n%s", bad[i].file, printed);
		config_release(table, ELEMENTSOF(table), &settings);
	}
}

Test(config, a_file_that_cannot_be_read_is_an_error_like_others)
{
	static char *const none[] = {NULL};
	_cleanup_(config_freep) struct config *config = NULL;
	struct settings settings = {0};
	char text[256] = "";
	FILE *stream = fmemopen(text, sizeof(text), "w");

	cr_assert_eq(config_new("/nowhere/c.json", none, &config), 0);
	cr_assert_eq(config_read(config, table, ELEMENTSOF(table), &settings), -EINVAL);
	config_print_errors(config, stream);
	fclose(stream);
	cr_assert_str_eq(text,
			 "/nowhere/c.json:1:1: file: cannot be read: No such file or directory\n");
}

Test(config, errors_beyond_the_limit_are_counted)
{
	struct settings settings = {0};
	char text[4096] = "{\"site\": \"a\"";

	for (unsigned i = 0; i < CONFIG_MAX_ERRORS + 3; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), ",\n\"x%u\": 1", i);
	strcat(text, "}");
	cr_assert_eq(read_config(text, NULL, &settings), -EINVAL);
	cr_assert(strstr(printed, "\n... and 3 more errors\n"));
	config_release(table, ELEMENTSOF(table), &settings);
}

Test(config, the_nearest_word_is_near)
{
	static const char *const known[] = {"keyring", "files", "window", NULL};

	cr_expect_str_eq(config_nearest("file", known), "files");
	cr_expect_str_eq(config_nearest("winodw", known), "window");
	cr_expect_str_eq(config_nearest("key_ring", known), "keyring");
	cr_expect_null(config_nearest("elephant", known));
	cr_expect_null(config_nearest("", known));
}

Test(config, help_shows_every_setting_with_its_bounds)
{
	char text[4096] = "";
	FILE *stream = fmemopen(text, sizeof(text), "w");

	config_print_help(table, ELEMENTSOF(table), stream);
	fclose(stream);
	cr_expect(strstr(text, "  --site=VALUE                    our name; required\n"), "%s",
		  text);
	cr_expect(strstr(text, "  --listen=HOST:PORT  "));
	cr_expect(strstr(text, " (1 to 3600)\n"));
	cr_expect(strstr(text, " (keyring, files)\n"));
}

/* From config_new() to the errors, as a daemon does it. */
static int read_all_of_it(const char *file, char *const *arguments, FILE *errors)
{
	_cleanup_(config_freep) struct config *config = NULL;
	struct settings settings = {0};
	int r;

	r = config_new(file, arguments, &config);
	if (r < 0)
		return r;
	r = config_read(config, table, ELEMENTSOF(table), &settings);
	config_print_errors(config, errors);
	config_release(table, ELEMENTSOF(table), &settings);
	return r;
}

Test(config, lack_of_memory_is_an_error_wherever_it_strikes)
{
	static const char text[] =
		"{\"site\": \"alice\", \"tls\": {\"key\": \"/a\"}, \"window\": 9}";
	static char *const arguments[] = {"--peers={}", "--tls.key=/b", "--confirm=true", NULL};
	FILE *file = fopen(path, "w"), *errors = fopen("/dev/null", "w");
	unsigned failures = 0;
	int r = -1;

	fputs(text, file);
	fclose(file);
	TEST_EACH_ALLOCATION (n, 1) {
		r = read_all_of_it(path, arguments, errors);
		failures += r < 0;
		cr_assert(r == 0 || r == -ENOMEM || r == -EINVAL, "%ld: %d", n, r);
	}
	fclose(errors);
	cr_assert_eq(r, 0, "the last time with memory enough");
#ifndef __SANITIZE_ADDRESS__
	cr_assert_gt(failures, 20u);
#endif
}
