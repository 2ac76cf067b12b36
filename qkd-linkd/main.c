/* SPDX-License-Identifier: MIT */

/*
 * qkd-linkd's command line and signals, see qkd-linkd(8).
 */

#include <signal.h>
#include <systemd/sd-daemon.h>

#include "common/log.h"
#include "common/secret.h"
#include "common/version.h"
#include "qkd-linkd/link.h"
#include "qkd-linkd/standalone.h"

#define EXIT_CONFIGURATION 2

struct command_line {
	bool check_only, standalone;
	const char *file;
	char **words; /* settings, ended by NULL */
};

static void print_help(void)
{
	printf("Usage: qkd-linkd [--config=FILE | --standalone] [--SETTING=VALUE]...\n"
	       "Agrees quantum keys with the peer site of one link.\n\n"
	       "  --config=FILE          settings from a JSON file, the first that exists\n"
	       "  --standalone           no bus and no qkd-keyringd, keys only into files\n"
	       "  --check-config         check the settings, start nothing\n"
	       "  --help, --version\n\n"
	       "Settings, also members of the file:\n");
	link_config_print_help(stdout);
}

/* The first that exists: a link's settings may be the administrator's or have come over D-Bus. */
static void choose_file(struct command_line *line, const char *file)
{
	if (!line->file || (access(line->file, F_OK) < 0 && access(file, F_OK) == 0))
		line->file = file;
}

/* Moves the --SETTING=VALUE words to the front of argv. False: all is done. */
static bool parse_command_line(int argc, char **argv, struct command_line *ret)
{
	char **words = argv;

	for (int i = 1; i < argc; i++) {
		if (str_equal(argv[i], "--help")) {
			print_help();
			return false;
		}
		if (str_equal(argv[i], "--version")) {
			printf("qkd-linkd %s\n", QKD_VERSION);
			return false;
		}
		if (str_equal(argv[i], "--check-config"))
			ret->check_only = true;
		else if (str_equal(argv[i], "--standalone"))
			ret->standalone = true;
		else if (strncmp(argv[i], "--config=", strlen("--config=")) == 0)
			choose_file(ret, argv[i] + strlen("--config="));
		else
			*words++ = argv[i];
	}
	*words = NULL;
	ret->words = argv;
	return true;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	link_reload(userdata);
	return 0;
}

static int add_signals(sd_event *event, struct link *link)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL); /* ends the loop */
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGHUP, on_reload, link);
	if (r >= 0)
		r = sd_event_set_watchdog(event, true);
	return r;
}

static int run_link(const struct command_line *line, struct link_config *config)
{
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	_cleanup_(link_freep) struct link *link = NULL;
	int r;

	r = sd_event_default(&event);
	if (r < 0) {
		link_config_free(config);
		return r;
	}
	r = link_new(event, config, line->file, line->words, &link);
	if (r >= 0)
		r = add_signals(event, link);
	if (r < 0)
		return r;
	sd_notify(false, "READY=1");
	r = sd_event_loop(event);
	sd_notify(false, "STOPPING=1");
	return r;
}

static int run(const struct command_line *line)
{
	_cleanup_(link_config_freep) struct link_config *config = NULL;
	int r = link_config_new(line->file, line->words, stderr, &config);

	if (r < 0) {
		if (r != -EINVAL)
			fprintf(stderr, "qkd-linkd: %s\n", strerror(-r));
		return EXIT_CONFIGURATION;
	}
	if (line->check_only)
		return EXIT_SUCCESS;
	log_set_identity("qkd-linkd", config->site, config->link);
	log_set_max_level(config->log_level);
	return run_link(line, TAKE_PTR(config)) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Somebody sits before it: what it has to say goes to the terminal. */
static int run_standalone(struct command_line *line)
{
	struct standalone_words all;
	int r;

	if (line->file) {
		fprintf(stderr, "command line: --config: --standalone takes settings from the "
				"command line alone\n");
		return EXIT_CONFIGURATION;
	}
	r = standalone_words_new(line->words, stderr, &all);
	if (r < 0)
		return EXIT_CONFIGURATION;
	log_to_stderr();
	line->words = all.words;
	r = run(line);
	standalone_words_done(&all);
	return r;
}

int main(int argc, char **argv)
{
	struct command_line line = {0};
	int r = secret_harden_process();

	if (r < 0) {
		fprintf(stderr, "qkd-linkd: cannot protect memory: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	if (!parse_command_line(argc, argv, &line))
		return EXIT_SUCCESS;
	return line.standalone ? run_standalone(&line) : run(&line);
}
