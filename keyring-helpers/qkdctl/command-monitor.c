/* SPDX-License-Identifier: MIT */
/* qkdctl monitor: status, drawn again and again, with how figures have been. */

#include <time.h>

#include "commands.h"
#include "ctl-page.h"
#include "ctl-screen.h"

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static int print_page(const struct ctl_snapshot *snapshot, const json_t *problems,
		      struct ctl_history *history, struct ctl_screen *screen)
{
	_cleanup_(freep) char *text = NULL;
	struct ctl_terminal terminal;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return -ENOMEM;
	ctl_terminal_examine(stdout, &terminal);
	ctl_page_print(snapshot, problems, history, &terminal, stream);
	return fclose(stream) == 0 ? ctl_screen_draw(screen, text) : -ENOMEM;
}

/* screen NULL: a JSON document each time. */
static int show(struct ctl *ctl, struct ctl_history *history, struct ctl_screen *screen)
{
	_cleanup_(ctl_snapshot_done) struct ctl_snapshot snapshot = {0};
	_cleanup_(json_decrefp) json_t *problems = NULL;
	int r = ctl_take_snapshot(ctl, &snapshot);

	if (r >= 0)
		r = ctl_problem_list(&snapshot, &problems);
	if (r < 0)
		return r;
	return screen ? print_page(&snapshot, problems, history, screen)
		      : command_status_print_json(&snapshot, problems);
}

static uint64_t time_left(uint64_t begun_usec, uint64_t interval_usec)
{
	uint64_t passed = now_usec() - begun_usec;

	return passed < interval_usec ? interval_usec - passed : 0;
}

static int watch(struct ctl *ctl, struct ctl_screen *screen)
{
	_cleanup_(ctl_history_done) struct ctl_history history = {0};
	enum ctl_screen_event event = CTL_SCREEN_TIME;
	int r = 0;

	while (r >= 0 && event != CTL_SCREEN_QUIT) {
		uint64_t begun = now_usec();

		r = show(ctl, &history, screen);
		if (r >= 0)
			r = ctl_screen_wait(screen, time_left(begun, ctl->interval_usec), &event);
	}
	return r;
}

/* Until somebody ends it, or nobody reads it. */
static int print_documents(struct ctl *ctl)
{
	int r;

	do {
		uint64_t begun = now_usec();

		r = show(ctl, NULL, NULL);
		if (r >= 0)
			usleep((useconds_t)time_left(begun, ctl->interval_usec));
	} while (r >= 0);
	return EXIT_FAILURE;
}

int command_monitor(struct ctl *ctl)
{
	_cleanup_(ctl_screen_freep) struct ctl_screen *screen = NULL;
	int r;

	if (ctl->json)
		return print_documents(ctl);
	r = ctl_screen_new(&screen);
	if (r == -ENOTTY) {
		ctl_tell_error("monitor", "this is no terminal",
			       "qkdctl status, or qkdctl --json monitor");
		return EXIT_FAILURE;
	}
	if (r >= 0)
		r = watch(ctl, screen);
	screen = ctl_screen_free(screen);
	if (r < 0)
		ctl_tell_error("monitor", strerror(-r), "qkdctl status");
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
