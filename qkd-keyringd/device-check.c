/* SPDX-License-Identifier: MIT */
/* A child that checks a file and ends. Its end is the end of the pipe that it complains to. */

#include "device-check.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

struct device_check {
	device_check_done_t done;
	void *userdata;
	pid_t pid; /* 0: it has been waited for */
	int fd;
	sd_event_source *io, *timer;
	char text[DEVICE_CHECK_MAX_BYTES];
	size_t used;
};

/* What it said is "FILE:LINE:COLUMN: WHERE: WHAT"; the caller knows nothing of our file. */
static const char *first_line(struct device_check *check)
{
	char *at = check->text;

	check->text[check->used] = '\0';
	at[strcspn(at, "\n")] = '\0';
	if (*at == '/' && strchr(at, ':'))
		at = strchr(at, ':') + 1;
	return *at ? at : "qkd-linkd does not take it";
}

/* It has closed its end of the pipe, so it is ending. */
static int reap(struct device_check *check)
{
	int status = -1;

	while (waitpid(check->pid, &status, 0) < 0 && errno == EINTR)
		;
	check->pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct device_check *check = userdata;
	char beyond[256];
	size_t room = sizeof(check->text) - 1 - check->used;
	ssize_t n = room > 0 ? read(fd, check->text + check->used, room)
			     : read(fd, beyond, sizeof(beyond));
	int r;

	if (n > 0 && room > 0)
		check->used += (size_t)n;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return 0;
	sd_event_source_set_enabled(check->io, SD_EVENT_OFF);
	r = reap(check);
	check->done(r, r < 0 ? first_line(check) : NULL, check->userdata);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct device_check *check = userdata;

	if (check->pid > 0)
		kill(check->pid, SIGKILL);
	return 0;
}

/* Nothing of ours goes along but standard error. */
static int spawn(const char *program, char *const *arguments, int error_fd, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int r;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
						     0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, error_fd, STDERR_FILENO);
	if (r == 0)
		r = posix_spawn(ret, program, &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int start(struct device_check *check, const char *program, const char *file)
{
	_cleanup_(freep) char *config = NULL, *name = strdup(program);
	char check_only[] = "--check-config";
	char *arguments[] = {name, check_only, NULL, NULL};
	_cleanup_(closep) int error_fd = -1;
	int fds[2];

	if (!name || asprintf(&config, "--config=%s", file) < 0)
		return -ENOMEM;
	arguments[2] = config;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	check->fd = fds[0];
	error_fd = fds[1];
	if (fcntl(check->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return spawn(program, arguments, error_fd, &check->pid);
}

int device_check_new(sd_event *event, const char *program, const char *file,
		     device_check_done_t done, void *userdata, struct device_check **ret)
{
	_cleanup_(device_check_freep) struct device_check *check = calloc(1, sizeof(*check));
	int r;

	if (!check)
		return -ENOMEM;
	check->fd = -1;
	check->done = done;
	check->userdata = userdata;
	r = start(check, program, file);
	if (r >= 0)
		r = sd_event_add_io(event, &check->io, check->fd, EPOLLIN, on_output, check);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &check->timer, CLOCK_MONOTONIC,
					       DEVICE_CHECK_USEC, 0, on_timer, check);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(check);
	return 0;
}

struct device_check *device_check_free(struct device_check *check)
{
	if (!check)
		return NULL;
	sd_event_source_disable_unref(check->io);
	sd_event_source_disable_unref(check->timer);
	closep(&check->fd);
	if (check->pid > 0) {
		kill(check->pid, SIGKILL);
		reap(check);
	}
	free(check);
	return NULL;
}
