/* SPDX-License-Identifier: MIT */
/* qkd-keyringd's command line, see qkd-keyringd(8). */

#include <sys/resource.h>

#include "common/log.h"
#include "common/secret.h"
#include "common/version.h"
#include "keyringd.h"

#define EXIT_CONFIGURATION 2
#define OPEN_FILES_WANTED  4096 /* upcalls, peers, D-Bus connections, key files */

struct command_line {
	bool check_only;
	struct keyringd_arguments arguments;
};

static void print_help(void)
{
	printf("Usage: qkd-keyringd [--config=FILE] [--SETTING=VALUE]...\n"
	       "Keeps the quantum keys of this site and hands them out.\n\n"
	       "  --config=FILE          settings from a JSON file\n"
	       "  --check-config         check the settings, start nothing\n"
	       "  --help, --version\n\n"
	       "Settings, also members of the file:\n");
	keyringd_config_print_help(stdout);
}

/* Moves the --SETTING=VALUE words to the front of argv and ends them with NULL. 1: go on. */
static int parse_command_line(int argc, char **argv, struct command_line *ret)
{
	char **words = argv;

	for (int i = 1; i < argc; i++) {
		if (str_equal(argv[i], "--help")) {
			print_help();
			return 0;
		}
		if (str_equal(argv[i], "--version")) {
			printf("qkd-keyringd %s\n", QKD_VERSION);
			return 0;
		}
		if (str_equal(argv[i], "--check-config"))
			ret->check_only = true;
		else if (strncmp(argv[i], "--config=", strlen("--config=")) == 0)
			ret->arguments.file = argv[i] + strlen("--config=");
		else
			*words++ = argv[i];
	}
	*words = NULL;
	ret->arguments.words = argv;
	return 1;
}

static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= OPEN_FILES_WANTED)
		return;
	limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)OPEN_FILES_WANTED);
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const struct command_line *line)
{
	_cleanup_(keyringd_config_freep) struct keyringd_config *config = NULL;
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_(keyringd_freep) struct keyringd *keyringd = NULL;
	int r = keyringd_load(&line->arguments, stderr, &config, &policy);

	if (r < 0) {
		if (r != -EINVAL)
			fprintf(stderr, "qkd-keyringd: %s\n", strerror(-r));
		return EXIT_CONFIGURATION;
	}
	if (line->check_only)
		return EXIT_SUCCESS;
	log_set_identity("qkd-keyringd", config->site, NULL);
	log_set_max_level(config->log_level);
	raise_open_files();
	r = keyringd_new(&line->arguments, config, policy, &keyringd);
	if (r < 0)
		return EXIT_FAILURE;
	(void)TAKE_PTR(config);
	(void)TAKE_PTR(policy);
	return keyringd_run(keyringd) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct command_line line = {0};
	int r = secret_harden_process();

	if (r < 0) {
		fprintf(stderr, "qkd-keyringd: cannot protect memory: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	if (!parse_command_line(argc, argv, &line))
		return EXIT_SUCCESS;
	return run(&line);
}
