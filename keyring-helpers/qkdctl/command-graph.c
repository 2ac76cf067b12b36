/* SPDX-License-Identifier: MIT */
/* qkdctl graph: the network as text for graphviz, or drawn by it. */

#include <signal.h>
#include <sys/wait.h>

#include "commands.h"
#include "ctl-dot.h"

/* A program that does not exist is told by the child's status. */
#define EXIT_NO_PROGRAM 127

/* What dot reads; its output is ours. */
static int draw(const json_t *network)
{
	int ends[2], status;
	FILE *input;
	pid_t pid;

	if (pipe(ends) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[1]);
		execlp("dot", "dot", "-Tsvg", NULL);
		_exit(EXIT_NO_PROGRAM);
	}
	close(ends[0]);
	input = pid > 0 ? fdopen(ends[1], "we") : NULL;
	if (!input) {
		close(ends[1]);
		return -EIO;
	}
	ctl_dot_print(network, input);
	fclose(input);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EIO;
	if (WEXITSTATUS(status) == EXIT_NO_PROGRAM)
		return -ENOENT;
	return WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int print_svg(const json_t *network)
{
	void (*before)(int) = signal(SIGPIPE, SIG_IGN); /* dot may not be there to read */
	int r = draw(network);

	signal(SIGPIPE, before);
	if (r == -ENOENT)
		ctl_tell_error("dot", "graphviz is not installed",
			       "apt install graphviz, or qkdctl graph | dot -Tsvg elsewhere");
	else if (r < 0)
		ctl_tell_error("dot", "it could not draw the graph", "qkdctl graph");
	return r;
}

int command_graph(struct ctl *ctl)
{
	_cleanup_(ctl_snapshot_done) struct ctl_snapshot snapshot = {0};
	_cleanup_(json_decrefp) json_t *network = NULL;

	if (ctl_take_snapshot(ctl, &snapshot) < 0)
		return EXIT_FAILURE;
	if (ctl_dot_network(&snapshot, &network) < 0) {
		ctl_tell_error("graph", strerror(ENOMEM), NULL);
		return EXIT_FAILURE;
	}
	if (ctl->json)
		return ctl_print_json(network) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (ctl->svg)
		return print_svg(network) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	ctl_dot_print(network, stdout);
	return EXIT_SUCCESS;
}
