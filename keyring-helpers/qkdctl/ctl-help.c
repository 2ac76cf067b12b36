/* SPDX-License-Identifier: MIT */
/* What --help prints, out of the tables. */

#include "ctl-command.h"

#define HELP_COLUMN 30
#define LINE_CHARS  512

static int add_options(char *line, size_t size, size_t used, unsigned options)
{
	for (unsigned i = 0; i < CTL_OPTION_COUNT_; i++) {
		const struct ctl_option_info *o = &ctl_options[i];

		if ((options & CTL_OPTION_BIT(i)) && used < size)
			used += (size_t)snprintf(line + used, size - used, " [--%s%s%s]%s", o->name,
						 o->argument ? " " : "", o->argument ?: "",
						 o->is_repeatable ? "..." : "");
	}
	return (int)used;
}

/* "key new PEER [--bits N]" */
static void format_command(const struct ctl_command *c, char ret[static LINE_CHARS])
{
	int used = snprintf(ret, LINE_CHARS, "%s%s%s%s%s", c->group, c->name ? " " : "",
			    c->name ?: "", *c->arguments ? " " : "", c->arguments);

	add_options(ret, LINE_CHARS, (size_t)used, c->options);
}

static void print_row(const char *left, const char *right, FILE *stream)
{
	if (strlen(left) > HELP_COLUMN - 4)
		fprintf(stream, "  %s\n%*s%s\n", left, HELP_COLUMN, "", right);
	else
		fprintf(stream, "  %-*s%s\n", HELP_COLUMN - 2, left, right);
}

static void print_options(unsigned options, FILE *stream)
{
	char left[64];

	fprintf(stream, "\nOptions:\n");
	for (unsigned i = 0; i < CTL_OPTION_COUNT_; i++) {
		const struct ctl_option_info *o = &ctl_options[i];

		if (!(options & CTL_OPTION_BIT(i)))
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->argument ? " " : "",
			 o->argument ?: "");
		print_row(left, o->help, stream);
	}
}

static void print_commands(const char *group, FILE *stream)
{
	char line[LINE_CHARS];

	fprintf(stream, "\nCommands:\n");
	for (size_t i = 0; i < ctl_command_count; i++) {
		if (group && !str_equal(group, ctl_commands[i].group))
			continue;
		format_command(&ctl_commands[i], line);
		print_row(line, ctl_commands[i].help, stream);
	}
}

void ctl_help_print(FILE *stream)
{
	fprintf(stream, "Usage: qkdctl [--site SITE] [--json] COMMAND\n");
	print_commands(NULL, stream);
	print_options(CTL_OPTION_BIT(CTL_OPTION_COUNT_) - 1, stream);
	fprintf(stream, "\nqkdctl COMMAND --help tells about one. The manual: man qkdctl\n");
}

void ctl_help_print_group(const char *group, FILE *stream)
{
	fprintf(stream, "Usage: qkdctl [--site SITE] [--json] %s COMMAND\n", group);
	print_commands(group, stream);
}

void ctl_help_print_command(const struct ctl_command *command, FILE *stream)
{
	char line[LINE_CHARS];

	format_command(command, line);
	fprintf(stream, "Usage: qkdctl [--site SITE] [--json] %s\n\n%s\n", line, command->help);
	print_options(command->options | CTL_OPTIONS_COMMON, stream);
}
