/* SPDX-License-Identifier: MIT */

/*
 * qkd-metrics: answers one HTTP request for the statistics of this site, on the connection that
 * systemd hands over as standard input. A process of its own, for as long as a request takes and
 * without rights to any key, because the issuer of keys should not have an HTTP server in it.
 */

#include <getopt.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/metrics-text.h"
#include "common/version.h"
#include "metrics-connection.h"
#include "metrics-site.h"

static int build(char **ret, size_t *ret_size_bytes)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	char trouble[160] = "";
	int r = sd_bus_open_system(&bus);

	if (r >= 0)
		r = metrics_site_build(bus, ret, ret_size_bytes, trouble);
	if (r < 0)
		fprintf(stderr, "qkd-metrics: no statistics: %s\n", strerror(-r));
	else if (*trouble)
		fprintf(stderr, "qkd-metrics: %s\n", trouble);
	return r;
}

static int print(void)
{
	_cleanup_(freep) char *text = NULL;
	size_t size_bytes;

	if (build(&text, &size_bytes) < 0)
		return EXIT_FAILURE;
	return fwrite(text, 1, size_bytes, stdout) == size_bytes && fflush(stdout) == 0
		       ? EXIT_SUCCESS
		       : EXIT_FAILURE;
}

static int serve(int fd)
{
	_cleanup_(freep) char *text = NULL;
	struct metrics_answer answer = {.content_type = "text/plain; charset=utf-8"};
	bool head_only = false;
	int r = metrics_connection_receive(fd, &head_only);

	if (r < 0)
		return EXIT_SUCCESS; /* nobody is there any more */
	answer.status = (enum metrics_status)r;
	answer.head_only = head_only;
	if (answer.status == METRICS_STATUS_OK && build(&text, &answer.size_bytes) < 0)
		answer.status = METRICS_STATUS_UNAVAILABLE;
	if (answer.status == METRICS_STATUS_OK) {
		answer.content_type = METRICS_TEXT_CONTENT_TYPE;
		answer.body = text;
	} else {
		answer.body = metrics_status_reason(answer.status);
		answer.size_bytes = strlen(answer.body);
	}
	(void)metrics_connection_answer(fd, &answer);
	return EXIT_SUCCESS;
}

static bool is_connection(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

static void print_help(void)
{
	printf("Usage: qkd-metrics [--print]\n\n"
	       "Answers one HTTP request for %s on standard input, a connection that\n"
	       "qkd-metrics.socket has accepted.\n\n"
	       "  --print      the metrics on standard output instead\n"
	       "  --help, --version\n",
	       METRICS_REQUEST_RESOURCE);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"print", no_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};

	switch (getopt_long(argc, argv, "h", options, NULL)) {
	case -1:
		break;
	case 'p':
		return print();
	case 'h':
		print_help();
		return EXIT_SUCCESS;
	case 'v':
		printf("qkd-metrics %s\n", QKD_VERSION);
		return EXIT_SUCCESS;
	default:
		return 2;
	}
	if (argc > 1 || !is_connection(STDIN_FILENO)) {
		fprintf(stderr, "qkd-metrics: standard input is no connection\n"
				"  try: systemctl enable --now qkd-metrics.socket, or --print\n");
		return 2;
	}
	return serve(STDIN_FILENO);
}
