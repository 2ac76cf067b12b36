/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tables of qkdctl's commands and options: what is parsed, what --help prints, and what
 * completion and the manual are compared with.
 */

#include "ctl.h"

enum ctl_option {
	CTL_OPTION_SITE,
	CTL_OPTION_JSON,
	CTL_OPTION_HELP,
	CTL_OPTION_VERSION,
	CTL_OPTION_BITS,
	CTL_OPTION_REVEAL,
	CTL_OPTION_FILTER,
	CTL_OPTION_EXCLUDE,
	CTL_OPTION_FOLLOW,
	CTL_OPTION_INTERVAL,
	CTL_OPTION_KEY,
	CTL_OPTION_EXPLAIN,
	CTL_OPTION_SVG,
	CTL_OPTION_WEIGHT,
	CTL_OPTION_STOCK,
	CTL_OPTION_PATHS,
	CTL_OPTION_COUNT_,
};

#define CTL_OPTION_BIT(option) (1u << (option))
/* Those that every command takes. */
#define CTL_OPTIONS_COMMON                                                   \
	(CTL_OPTION_BIT(CTL_OPTION_SITE) | CTL_OPTION_BIT(CTL_OPTION_JSON) | \
	 CTL_OPTION_BIT(CTL_OPTION_HELP) | CTL_OPTION_BIT(CTL_OPTION_VERSION))

struct ctl_option_info {
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
	bool is_repeatable;
};
extern const struct ctl_option_info ctl_options[CTL_OPTION_COUNT_];

enum ctl_need {
	CTL_NEEDS_NOTHING,
	CTL_NEEDS_BUS,
	CTL_NEEDS_KEYRINGD, /* of the right site */
};

struct ctl_command {
	const char *group, *name; /* name NULL: the group is the command */
	const char *arguments;    /* as in --help; "" */
	unsigned min_arguments, max_arguments;
	unsigned options; /* bits, besides the common ones */
	enum ctl_need need;
	const char *help;
	int (*run)(struct ctl *ctl);
};
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

/* Words it consists of: 1 or 2. */
unsigned ctl_command_words(const struct ctl_command *command);
/* NULL: there is no such command. */
const struct ctl_command *ctl_command_find(char *const *words, size_t count);
/* Whether some command has this first word. */
bool ctl_command_is_group(const char *word);

/* ctl-help.c: all commands; those of a group; one. */
void ctl_help_print(FILE *stream);
void ctl_help_print_group(const char *group, FILE *stream);
void ctl_help_print_command(const struct ctl_command *command, FILE *stream);
