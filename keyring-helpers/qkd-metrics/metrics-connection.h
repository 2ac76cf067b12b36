/* SPDX-License-Identifier: MIT */
#pragma once

/* One HTTP connection: a request's head in, one answer out, each within its time. */

#include "metrics-request.h"

#define METRICS_CONNECTION_READ_USEC  (5 * USEC_PER_SEC)
#define METRICS_CONNECTION_WRITE_USEC (5 * USEC_PER_SEC)
#define METRICS_CONNECTION_DRAIN_USEC (1 * USEC_PER_SEC)

/* The status to answer with; negative when there is nobody to answer. */
int metrics_connection_receive(int fd, bool *ret_head_only);

struct metrics_answer {
	enum metrics_status status;
	const char *content_type;
	const char *body;
	size_t size_bytes;
	bool head_only;
};
/* And ends the connection, so that the answer arrives. */
int metrics_connection_answer(int fd, const struct metrics_answer *answer);
