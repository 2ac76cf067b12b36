/* SPDX-License-Identifier: MIT */
/* A few ANSI sequences that every terminal knows; no library for that. */

#include "ctl-screen.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>

#define ENTER       "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define LEAVE       "\033[0m\033[?25h\033[?1049l"
#define HOME        "\033[H"
#define CLEAR_LINE  "\033[K"
#define CLEAR_BELOW "\033[J"

struct ctl_screen {
	struct termios before;
	sigset_t mask_before;
	int signal_fd;
	bool is_entered;
};

static int write_all(const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, text, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += MAX(n, (ssize_t)0);
		size -= (size_t)MAX(n, (ssize_t)0);
	}
	return 0;
}

static int take_signals(struct ctl_screen *screen)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		sigaddset(&mask, signals[i]);
	if (sigprocmask(SIG_BLOCK, &mask, &screen->mask_before) < 0)
		return -errno;
	screen->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return screen->signal_fd < 0 ? -errno : 0;
}

/* Keys come one by one and are not shown; ctrl-Z would leave the terminal like that. */
static int take_terminal(struct ctl_screen *screen)
{
	struct termios raw = screen->before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
		return -errno;
	screen->is_entered = true;
	return write_all(ENTER, strlen(ENTER));
}

int ctl_screen_new(struct ctl_screen **ret)
{
	_cleanup_(ctl_screen_freep) struct ctl_screen *screen = NULL;
	int r;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return -ENOTTY;
	screen = calloc(1, sizeof(*screen));
	if (!screen)
		return -ENOMEM;
	screen->signal_fd = -1;
	sigprocmask(SIG_BLOCK, NULL, &screen->mask_before);
	if (tcgetattr(STDIN_FILENO, &screen->before) < 0)
		return -errno;
	r = take_signals(screen);
	if (r >= 0)
		r = take_terminal(screen);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(screen);
	return 0;
}

struct ctl_screen *ctl_screen_free(struct ctl_screen *screen)
{
	if (!screen)
		return NULL;
	if (screen->is_entered) {
		(void)write_all(LEAVE, strlen(LEAVE));
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen->before);
	}
	closep(&screen->signal_fd);
	sigprocmask(SIG_SETMASK, &screen->mask_before, NULL);
	free(screen);
	return NULL;
}

int ctl_screen_draw(struct ctl_screen *screen, const char *text)
{
	_cleanup_(freep) char *page = NULL;
	size_t size;
	FILE *stream = open_memstream(&page, &size);
	int r;

	if (!stream)
		return -ENOMEM;
	fputs(HOME, stream);
	for (; *text; text++) {
		if (*text == '\n')
			fputs(CLEAR_LINE "\r\n", stream);
		else
			fputc(*text, stream);
	}
	fputs(CLEAR_BELOW, stream);
	r = fclose(stream) == 0 ? 0 : -ENOMEM;
	return r < 0 ? r : write_all(page, size);
}

/* Whether it was one that ends. */
static bool read_signal(struct ctl_screen *screen)
{
	struct signalfd_siginfo info;
	bool ends = false;

	while (read(screen->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		ends |= info.ssi_signo != SIGWINCH;
	return ends;
}

static bool read_keys(void)
{
	char key;
	bool quits = false;

	while (read(STDIN_FILENO, &key, 1) == 1)
		quits |= key == 'q' || key == 'Q';
	return quits;
}

int ctl_screen_wait(struct ctl_screen *screen, uint64_t usec, enum ctl_screen_event *ret)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = screen->signal_fd, .events = POLLIN}};
	bool quits = false;
	int n;

	do
		n = poll(fds, ELEMENTSOF(fds), (int)(usec / USEC_PER_MSEC));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (fds[1].revents)
		quits |= read_signal(screen);
	if (fds[0].revents)
		quits |= read_keys() || (fds[0].revents & (POLLHUP | POLLERR));
	*ret = quits ? CTL_SCREEN_QUIT : CTL_SCREEN_TIME;
	return 0;
}
