/* SPDX-License-Identifier: MIT */
/* qkdctl log: journalctl(1) with the fields of this service, so that nobody has to know them. */

#include <sys/wait.h>

#include "commands.h"
#include "common/name.h"

#define MAX_WORDS 16
#define MAX_FIELD 128

struct words {
	const char *argv[MAX_WORDS + 1]; /* NULL-terminated */
	unsigned count;
	char link[MAX_FIELD], key[MAX_FIELD], site[MAX_FIELD];
};

static void add(struct words *words, const char *word)
{
	if (words->count < MAX_WORDS)
		words->argv[words->count++] = word;
}

static void add_field(struct words *words, char field[static MAX_FIELD], const char *name,
		      const char *value)
{
	snprintf(field, MAX_FIELD, "%s=%s", name, value);
	add(words, field);
}

/* Matches of one field are alternatives, those of different fields all hold. */
static void add_matches(struct words *words, const struct ctl *ctl)
{
	struct uuid id;
	char key[UUID_CHARS + 1];

	if (ctl->word_count > 0)
		add_field(words, words->link, "QKD_LINK", ctl->words[0]);
	if (ctl->key_id && uuid_parse(ctl->key_id, &id) >= 0) {
		uuid_format(&id, key);
		add_field(words, words->key, "QKD_KEY_ID", key);
	}
	if (ctl->site)
		add_field(words, words->site, "QKD_SITE", ctl->site);
	if (ctl->word_count > 0 || ctl->key_id)
		return;
	add(words, "SYSLOG_IDENTIFIER=qkd-keyringd");
	add(words, "SYSLOG_IDENTIFIER=qkd-linkd");
}

static void run_journalctl(const struct words *words)
{
	execvp("journalctl", (char *const *)words->argv);
	ctl_tell_error("journalctl", strerror(errno), "install systemd");
}

/* journalctl's lines, each a document, as one array. */
static int print_array(FILE *lines)
{
	_cleanup_(freep) char *line = NULL;
	const char *separator = "[";
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, lines)) > 0) {
		line[n - (line[n - 1] == '\n')] = '\0';
		printf("%s%s", separator, line);
		separator = ",\n";
	}
	puts(*separator == '[' ? "[]" : "]");
	return fflush(stdout) == 0 ? 0 : -errno;
}

static int collect(const struct words *words)
{
	int ends[2], status;
	FILE *lines;
	pid_t pid;
	int r;

	if (pipe(ends) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		run_journalctl(words);
		_exit(EXIT_FAILURE);
	}
	close(ends[1]);
	lines = pid > 0 ? fdopen(ends[0], "re") : NULL;
	if (!lines) {
		r = -errno;
		close(ends[0]);
		return r;
	}
	r = print_array(lines);
	fclose(lines);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return -EIO; /* it has told */
	return r;
}

int command_log(struct ctl *ctl)
{
	struct words words = {.argv = {"journalctl", "--quiet"}, .count = 2};

	if (ctl->word_count > 0 && !link_name_is_valid(ctl->words[0])) {
		ctl_tell_error(ctl->words[0], "not a link's name",
			       "qkdctl status, which lists the links");
		return CTL_EXIT_USAGE;
	}
	if (ctl->follow)
		add(&words, "--follow");
	if (ctl->explain)
		add(&words, "--catalog");
	if (ctl->json)
		add(&words, "--output=json");
	add_matches(&words, ctl);
	if (ctl->json && !ctl->follow)
		return collect(&words) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	run_journalctl(&words);
	return EXIT_FAILURE;
}
