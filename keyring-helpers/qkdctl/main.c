/* SPDX-License-Identifier: MIT */
/* qkdctl's command line, see qkdctl(1). */

#include <getopt.h>

#include "common/name.h"
#include "common/secret.h"
#include "common/version.h"
#include "ctl-command.h"

#define QKDCTL_MAX_BITS     4096
#define QKDCTL_MAX_WEIGHT   1000
#define QKDCTL_MAX_STOCK    4096
#define QKDCTL_MAX_DISJOINT 2

/* What getopt_long() answers for the option of this number: no character. */
#define OPTION_BASE 256

static int usage_error(const char *what, const char *word, const char *command)
{
	fprintf(stderr, "qkdctl: %s%s%s\n  try: qkdctl%s%s --help\n", what, word ? ": " : "",
		word ? word : "", command ? " " : "", command ? command : "");
	return CTL_EXIT_USAGE;
}

static const char *parse_bits(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long bits = strtoul(text, &end, 10);

	if (*end || bits == 0 || bits % 8 != 0 || bits > QKDCTL_MAX_BITS)
		return "--bits takes a multiple of 8 up to 4096";
	*ret = (uint32_t)bits;
	return NULL;
}

static const char *parse_number(const char *text, uint32_t max, uint32_t *ret)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (!*text || *end || number == 0 || number > max)
		return "--weight takes 1 to 1000, --stock 1 to 4096, --paths 1 or 2";
	*ret = (uint32_t)number;
	return NULL;
}

static const char *parse_interval(const char *text, uint64_t *ret_usec)
{
	char *end;
	double seconds = strtod(text, &end);

	if (*end || !(seconds >= 0.1 && seconds <= 3600))
		return "--interval takes seconds from 0.1 to 3600";
	*ret_usec = (uint64_t)(seconds * (double)USEC_PER_SEC);
	return NULL;
}

static const char *parse_key_id(const char *text, const char **ret)
{
	struct uuid id;

	if (uuid_parse(text, &id) < 0)
		return "--key takes a key's id, as qkdctl key new prints it";
	*ret = text;
	return NULL;
}

static const char *parse_site(const char *text, const char **ret)
{
	if (!site_name_is_valid(text))
		return "--site takes a site's name";
	*ret = text;
	return NULL;
}

static const char *add_name(char **names, char *name)
{
	size_t count = 0;

	while (names[count])
		count++;
	if (count == STATISTICS_FILTER_MAX_NAMES)
		return "at most 256 names";
	names[count] = name;
	return NULL;
}

/* NULL, or what is wrong. */
static const char *parse_option(enum ctl_option option, struct ctl *ctl)
{
	switch (option) {
	case CTL_OPTION_SITE:
		return parse_site(optarg, &ctl->site);
	case CTL_OPTION_JSON:
		ctl->json = true;
		return NULL;
	case CTL_OPTION_BITS:
		return parse_bits(optarg, &ctl->bits);
	case CTL_OPTION_REVEAL:
		ctl->reveal = true;
		return NULL;
	case CTL_OPTION_FILTER:
		return add_name(ctl->stats.included, optarg);
	case CTL_OPTION_EXCLUDE:
		return add_name(ctl->stats.excluded, optarg);
	case CTL_OPTION_FOLLOW:
		ctl->follow = true;
		return NULL;
	case CTL_OPTION_INTERVAL:
		return parse_interval(optarg, &ctl->interval_usec);
	case CTL_OPTION_KEY:
		return parse_key_id(optarg, &ctl->key_id);
	case CTL_OPTION_EXPLAIN:
		ctl->explain = true;
		return NULL;
	case CTL_OPTION_SVG:
		ctl->svg = true;
		return NULL;
	case CTL_OPTION_WEIGHT:
		return parse_number(optarg, QKDCTL_MAX_WEIGHT, &ctl->weight);
	case CTL_OPTION_STOCK:
		return parse_number(optarg, QKDCTL_MAX_STOCK, &ctl->stock);
	case CTL_OPTION_PATHS:
		return parse_number(optarg, QKDCTL_MAX_DISJOINT, &ctl->disjoint);
	case CTL_OPTION_HELP:
	case CTL_OPTION_VERSION:
	case CTL_OPTION_COUNT_:
		return NULL;
	}
	return NULL;
}

/* 0, or the exit status for wrong usage. */
static int parse_options(int argc, char **argv, struct ctl *ctl, unsigned *ret_given)
{
	struct option options[CTL_OPTION_COUNT_ + 1] = {0};
	unsigned given = 0;
	int option;

	for (int i = 0; i < CTL_OPTION_COUNT_; i++)
		options[i] = (struct option){
			.name = ctl_options[i].name,
			.has_arg = ctl_options[i].argument ? required_argument : no_argument,
			.val = OPTION_BASE + i,
		};
	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		const char *wrong;

		if (option == '?') { /* getopt has told what */
			fprintf(stderr, "  try: qkdctl --help\n");
			return CTL_EXIT_USAGE;
		}
		option = option == 'h' ? CTL_OPTION_HELP : option - OPTION_BASE;
		wrong = parse_option((enum ctl_option)option, ctl);
		if (wrong)
			return usage_error(wrong, optarg, NULL);
		given |= CTL_OPTION_BIT(option);
	}
	*ret_given = given;
	return 0;
}

/* --help and --version, wherever they stand. */
static int inform(unsigned given, char **words, size_t count)
{
	const struct ctl_command *command = ctl_command_find(words, count);

	if (given & CTL_OPTION_BIT(CTL_OPTION_VERSION))
		printf("qkdctl %s\n", QKD_VERSION);
	else if (command)
		ctl_help_print_command(command, stdout);
	else if (count > 0 && ctl_command_is_group(words[0]))
		ctl_help_print_group(words[0], stdout);
	else
		ctl_help_print(stdout);
	return EXIT_SUCCESS;
}

static int no_such_command(char **words, size_t count)
{
	if (count == 0)
		return usage_error("which command?", NULL, NULL);
	if (!ctl_command_is_group(words[0]))
		return usage_error("no such command", words[0], NULL);
	if (count == 1)
		return usage_error("which of its commands?", words[0], words[0]);
	return usage_error("no such command", words[1], words[0]);
}

/* The first option that was given and is another command's; or NULL. */
static const char *find_stray_option(const struct ctl_command *command, unsigned given)
{
	unsigned stray = given & ~(command->options | CTL_OPTIONS_COMMON);

	for (unsigned i = 0; i < CTL_OPTION_COUNT_; i++)
		if (stray & CTL_OPTION_BIT(i))
			return ctl_options[i].name;
	return NULL;
}

static int run(const struct ctl_command *command, struct ctl *ctl)
{
	int status = EXIT_FAILURE, r = 0;
	char what[64];

	snprintf(what, sizeof(what), "%s%s%s", command->group, command->name ? " " : "",
		 command->name ?: "");
	ctl->what = what;
	if (command->need != CTL_NEEDS_NOTHING)
		r = ctl_connect(ctl);
	if (r >= 0 && command->need == CTL_NEEDS_KEYRINGD)
		r = ctl_check_site(ctl);
	if (r >= 0)
		status = command->run(ctl);
	ctl_done(ctl);
	if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
		status = EXIT_FAILURE;
	return status;
}

int main(int argc, char **argv)
{
	const struct ctl_command *command;
	const char *stray;
	struct ctl ctl = {.interval_usec = CTL_INTERVAL_USEC};
	unsigned given;
	size_t count;
	int status;

	if (secret_harden_process() < 0)
		return EXIT_FAILURE;
	status = parse_options(argc, argv, &ctl, &given);
	if (status != 0)
		return status;
	argv += optind;
	count = (size_t)(argc - optind);
	if (given & (CTL_OPTION_BIT(CTL_OPTION_HELP) | CTL_OPTION_BIT(CTL_OPTION_VERSION)))
		return inform(given, argv, count);
	command = ctl_command_find(argv, count);
	if (!command)
		return no_such_command(argv, count);
	ctl.words = argv + ctl_command_words(command);
	ctl.word_count = count - ctl_command_words(command);
	if (ctl.word_count < command->min_arguments || ctl.word_count > command->max_arguments)
		return usage_error("wrong number of arguments for", command->group, command->group);
	stray = find_stray_option(command, given);
	if (stray)
		return usage_error("this command does not take the option", stray, command->group);
	return run(command, &ctl);
}
