/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The head of an HTTP request, taken apart strictly (RFC 9112): one resource, two methods, no body.
 * Pure.
 */

#include "common/macros.h"

#define METRICS_REQUEST_MAX_BYTES  8192
#define METRICS_REQUEST_MAX_FIELDS 64
#define METRICS_REQUEST_RESOURCE   "/metrics"

enum metrics_status {
	METRICS_STATUS_OK = 200,
	METRICS_STATUS_BAD_REQUEST = 400,
	METRICS_STATUS_NOT_FOUND = 404,
	METRICS_STATUS_METHOD_NOT_ALLOWED = 405,
	METRICS_STATUS_TIMEOUT = 408,
	METRICS_STATUS_CONTENT_TOO_LARGE = 413,
	METRICS_STATUS_FIELDS_TOO_LARGE = 431,
	METRICS_STATUS_UNAVAILABLE = 503,
	METRICS_STATUS_VERSION = 505,
};
const char *metrics_status_reason(enum metrics_status status);

/* What has come so far. 0: the head is not complete; else the status to answer with, and whether
 * the body is to be left out. */
int metrics_request_verify(const char *bytes, size_t size_bytes, bool *ret_head_only);
