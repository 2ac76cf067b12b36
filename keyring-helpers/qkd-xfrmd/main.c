/* SPDX-License-Identifier: MIT */
/* qkd-xfrmd's command line, see qkd-xfrmd(8). */

#include "common/log.h"
#include "common/secret.h"
#include "common/version.h"
#include "xfrmd.h"

#define EXIT_CONFIGURATION 2

struct command_line {
	bool check_only, flush;
	const char *file;
	char **words; /* --SETTING=VALUE, ended by NULL */
};

static void print_help(void)
{
	printf("Usage: qkd-xfrmd [--config=FILE] [--SETTING=VALUE]...\n"
	       "Gives quantum keys to the kernel's IPsec.\n\n"
	       "  --config=FILE          settings from a JSON file\n"
	       "  --check-config         check the settings, start nothing\n"
	       "  --flush                take all of ours out of the kernel, and end\n"
	       "  --help, --version\n\n"
	       "Settings, also members of the file:\n");
	xfrmd_config_print_help(stdout);
}

/* Moves the --SETTING=VALUE words to the front of argv and ends them with NULL. False: be done. */
static bool parse_command_line(int argc, char **argv, struct command_line *ret)
{
	char **words = argv;

	for (int i = 1; i < argc; i++) {
		if (str_equal(argv[i], "--help")) {
			print_help();
			return false;
		}
		if (str_equal(argv[i], "--version")) {
			printf("qkd-xfrmd %s\n", QKD_VERSION);
			return false;
		}
		if (str_equal(argv[i], "--check-config"))
			ret->check_only = true;
		else if (str_equal(argv[i], "--flush"))
			ret->flush = true;
		else if (strncmp(argv[i], "--config=", strlen("--config=")) == 0)
			ret->file = argv[i] + strlen("--config=");
		else
			*words++ = argv[i];
	}
	*words = NULL;
	ret->words = argv;
	return true;
}

static int flush(const struct command_line *line)
{
	int r;

	if (line->file || line->check_only || *line->words) {
		fprintf(stderr, "qkd-xfrmd: --flush stands alone\n");
		return EXIT_CONFIGURATION;
	}
	r = xfrmd_flush();
	if (r < 0)
		fprintf(stderr, "qkd-xfrmd: cannot flush: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct command_line *line)
{
	_cleanup_(xfrmd_config_freep) struct xfrmd_config *config = NULL;
	_cleanup_(xfrmd_freep) struct xfrmd *xfrmd = NULL;
	int r = xfrmd_config_new(line->file, line->words, stderr, &config);

	if (r < 0) {
		if (r != -EINVAL)
			fprintf(stderr, "qkd-xfrmd: %s\n", strerror(-r));
		return EXIT_CONFIGURATION;
	}
	if (line->check_only)
		return EXIT_SUCCESS;
	log_set_identity("qkd-xfrmd", config->site, NULL);
	log_set_max_level(config->log_level);
	r = xfrmd_new(config, &xfrmd);
	if (r < 0)
		return EXIT_FAILURE;
	(void)TAKE_PTR(config);
	return xfrmd_run(xfrmd) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct command_line line = {0};
	int r = secret_harden_process();

	if (r < 0) {
		fprintf(stderr, "qkd-xfrmd: cannot protect memory: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	if (!parse_command_line(argc, argv, &line))
		return EXIT_SUCCESS;
	return line.flush ? flush(&line) : run(&line);
}
