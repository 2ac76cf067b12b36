/* SPDX-License-Identifier: MIT */
/* qkdctl's command line, see qkdctl(1). */

#include <getopt.h>

#include "commands.h"
#include "common/name.h"
#include "common/secret.h"
#include "common/version.h"

#define QKDCTL_MAX_BITS 4096

/* Options that not every command has. */
enum option_set {
	OPTIONS_NONE,
	OPTIONS_KEY, /* --bits, --reveal */
	OPTIONS_REVEAL,
	OPTIONS_STATS, /* --filter, --exclude, --follow, --interval */
};

static const struct command {
	const char *group, *name; /* name NULL: the group is the command */
	const char *arguments, *help;
	unsigned argument_count;
	enum option_set options;
	int (*run)(struct ctl *ctl);
} commands[] = {
	{"status", NULL, "", "this site, its links and its keys", 0, OPTIONS_NONE, command_status},
	{"key", "new", "PEER [--bits N] [--reveal]", "a new key into the session keyring", 1,
	 OPTIONS_KEY, command_key_new},
	{"key", "get", "PEER ID [--reveal]", "the key that the peer made new", 2, OPTIONS_REVEAL,
	 command_key_get},
	{"link", "start", "LINK", "begin agreeing keys", 1, OPTIONS_NONE, command_link_start},
	{"link", "stop", "LINK", "end it", 1, OPTIONS_NONE, command_link_stop},
	{"device", "list", "", "the devices of this site's links", 0, OPTIONS_NONE,
	 command_device_list},
	{"stats", NULL, "[--filter NAME]... [--exclude NAME]... [--follow]", "what is counted", 0,
	 OPTIONS_STATS, command_stats},
};

static void print_help(void)
{
	printf("Usage: qkdctl [--site SITE] [--json] COMMAND\n\nCommands:\n");
	for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
		const struct command *c = &commands[i];
		char words[96];

		snprintf(words, sizeof(words), "%s %s%s%s", c->group, c->name ? c->name : "",
			 c->name ? " " : "", c->arguments);
		printf("  %-36s %s\n", words, c->help);
	}
	printf("\n  --site SITE  only if this is the site, and name it in key descriptions\n"
	       "  --json       one JSON document\n"
	       "  --bits N     the key's size\n"
	       "  --reveal     print the key too\n"
	       "  --filter, --exclude NAME\n"
	       "               of a statistic, or of a node of their tree, to show or not\n"
	       "  --follow     go on, and tell what changes\n"
	       "  --interval SECONDS\n"
	       "               not more often than that (default: 1)\n"
	       "  --help, --version\n");
}

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "qkdctl: %s%s%s\n  try: qkdctl --help\n", what, word ? ": " : "",
		word ? word : "");
	return CTL_EXIT_USAGE;
}

static const struct command *find_command(char **words, int count)
{
	for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
		const struct command *c = &commands[i];

		if (count > 0 && str_equal(c->group, words[0]) &&
		    (!c->name || (count > 1 && str_equal(c->name, words[1]))))
			return c;
	}
	return NULL;
}

static int parse_bits(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long bits = strtoul(text, &end, 10);

	if (*end || bits == 0 || bits % 8 != 0 || bits > QKDCTL_MAX_BITS)
		return -EINVAL;
	*ret = (uint32_t)bits;
	return 0;
}

static int add_name(char **names, char *name)
{
	size_t count = 0;

	while (names[count])
		count++;
	if (count == STATISTICS_FILTER_MAX_NAMES)
		return -E2BIG;
	names[count] = name;
	return 0;
}

static int parse_interval(const char *text, uint64_t *ret_usec)
{
	char *end;
	double seconds = strtod(text, &end);

	if (*end || !(seconds >= 0.1 && seconds <= 3600))
		return -EINVAL;
	*ret_usec = (uint64_t)(seconds * (double)USEC_PER_SEC);
	return 0;
}

/* The options of stats: NULL, or what is wrong. */
static const char *parse_stats_option(int option, struct ctl_stats *stats)
{
	switch (option) {
	case 'f':
		stats->follow = true;
		return NULL;
	case 'i':
		return parse_interval(optarg, &stats->interval_usec) < 0
			       ? "--interval takes seconds from 0.1 to 3600"
			       : NULL;
	default:
		return add_name(option == 'F' ? stats->included : stats->excluded, optarg) < 0
			       ? "at most 256 names"
			       : NULL;
	}
}

/* 0: go on; else 1 with the exit status in *ret_status. */
static int parse_options(int argc, char **argv, struct ctl *ctl, int *ret_status)
{
	static const struct option options[] = {
		{"site", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"bits", required_argument, NULL, 'b'},
		{"reveal", no_argument, NULL, 'r'},
		{"filter", required_argument, NULL, 'F'},
		{"exclude", required_argument, NULL, 'X'},
		{"follow", no_argument, NULL, 'f'},
		{"interval", required_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	const char *wrong;
	int option;

	*ret_status = EXIT_SUCCESS;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		switch (option) {
		case 's':
			ctl->site = optarg;
			break;
		case 'j':
			ctl->json = true;
			break;
		case 'r':
			ctl->reveal = true;
			break;
		case 'b':
			if (parse_bits(optarg, &ctl->bits) >= 0)
				break;
			*ret_status =
				usage_error("--bits takes a multiple of 8 up to 4096", optarg);
			return 1;
		case 'F':
		case 'X':
		case 'f':
		case 'i':
			wrong = parse_stats_option(option, &ctl->stats);
			if (!wrong)
				break;
			*ret_status = usage_error(wrong, optarg);
			return 1;
		case 'h':
			print_help();
			return 1;
		case 'v':
			printf("qkdctl %s\n", QKD_VERSION);
			return 1;
		default: /* getopt has told */
			*ret_status = CTL_EXIT_USAGE;
			return 1;
		}
	}
	return 0;
}

static const char *check_options(const struct command *command, const struct ctl *ctl)
{
	if (ctl->site && !site_name_is_valid(ctl->site))
		return "--site takes a site's name";
	if (ctl->bits != 0 && command->options != OPTIONS_KEY)
		return "--bits is for key new";
	if ((ctl->stats.follow || ctl->stats.interval_usec || ctl->stats.included[0] ||
	     ctl->stats.excluded[0]) &&
	    command->options != OPTIONS_STATS)
		return "--filter, --exclude, --follow and --interval are for stats";
	if (ctl->reveal && command->options != OPTIONS_KEY && command->options != OPTIONS_REVEAL)
		return "--reveal is for key new and key get";
	return NULL;
}

static int run(const struct command *command, struct ctl *ctl)
{
	int status = EXIT_FAILURE;

	if (ctl_connect(ctl) >= 0)
		status = command->run(ctl);
	ctl_done(ctl);
	if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
		status = EXIT_FAILURE;
	return status;
}

int main(int argc, char **argv)
{
	const struct command *command;
	struct ctl ctl = {0};
	const char *wrong;
	int status, count;

	if (secret_harden_process() < 0)
		return EXIT_FAILURE;
	if (parse_options(argc, argv, &ctl, &status) > 0)
		return status;
	count = argc - optind;
	command = find_command(argv + optind, count);
	if (!command)
		return count > 0 ? usage_error("no such command", argv[optind])
				 : usage_error("which command?", NULL);
	ctl.words = argv + optind + (command->name ? 2 : 1);
	if (count - (command->name ? 2 : 1) != (int)command->argument_count)
		return usage_error("wrong number of arguments for", command->group);
	wrong = check_options(command, &ctl);
	if (wrong)
		return usage_error(wrong, NULL);
	return run(command, &ctl);
}
