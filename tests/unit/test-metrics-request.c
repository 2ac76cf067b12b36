/* SPDX-License-Identifier: MIT */
/* HTTP heads: the one request is answered, everything else is refused with the status that fits. */

#include <criterion/criterion.h>

#include "keyring-helpers/qkd-metrics/metrics-request.h"

static int verify(const char *head, bool *ret_head_only)
{
	*ret_head_only = false;
	return metrics_request_verify(head, strlen(head), ret_head_only);
}

Test(metrics_request, the_status_fits_the_request)
{
	static const struct {
		const char *head;
		int status;
	} heads[] = {
		{"GET /metrics HTTP/1.1\r\nHost: localhost:9837\r\n\r\n", 200},
		{"GET /metrics HTTP/1.0\r\n\r\n", 200},
		{"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"GET /metrics?name=x HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"GET http://x:9837/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"GET /metrics HTTP/1.1\r\nhOST:x\r\nAccept:\t*/*; q=0.1\r\n\r\n", 200},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"GET /metrics/../etc HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"get /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"OPTIONS /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 00\r\n\r\n", 413},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 413},
		{"GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n", 505},
		{"GET /metrics HTTP/1.1\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
		{"GET /metrics\r\n\r\n", 400},
		{"GET  /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
		{"GET /met\trics HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{" GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1\nHost: x\n\r\n\r\n", 400},
		{"GET /metrics http/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n", 0},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r", 0},
		{"", 0},
	};
	bool head_only;

	for (size_t i = 0; i < ELEMENTSOF(heads); i++)
		cr_assert_eq(verify(heads[i].head, &head_only), heads[i].status, "%d for %s",
			     verify(heads[i].head, &head_only), heads[i].head);
}

Test(metrics_request, a_head_request_wants_no_body)
{
	bool head_only;

	cr_assert_eq(verify("HEAD /metrics HTTP/1.0\r\n\r\n", &head_only), 200);
	cr_assert(head_only);
	cr_assert_eq(verify("HEAD / HTTP/1.0\r\n\r\n", &head_only), 404);
	cr_assert(head_only);
	cr_assert_eq(verify("GET /metrics HTTP/1.0\r\n\r\n", &head_only), 200);
	cr_assert(!head_only);
}

Test(metrics_request, a_nul_is_nothing_special_and_never_allowed)
{
	static const char head[] = "GET /metrics HTTP/1.0\r\nX: a\0b\r\n\r\n";
	static const char line[] = "GET /metrics\0 HTTP/1.0\r\n\r\n";
	bool head_only;

	cr_assert_eq(metrics_request_verify(head, sizeof(head) - 1, &head_only), 400);
	cr_assert_eq(metrics_request_verify(line, sizeof(line) - 1, &head_only), 400);
}

Test(metrics_request, heads_have_limits)
{
	static char head[METRICS_REQUEST_MAX_BYTES];
	char fields[METRICS_REQUEST_MAX_FIELDS * 6 + 64];
	bool head_only;
	int n = snprintf(fields, sizeof(fields), "GET /metrics HTTP/1.0\r\n");

	memset(head, 'x', sizeof(head));
	cr_assert_eq(metrics_request_verify(head, sizeof(head) - 1, &head_only), 0);
	cr_assert_eq(metrics_request_verify(head, sizeof(head), &head_only), 431);
	for (unsigned i = 0; i < METRICS_REQUEST_MAX_FIELDS; i++)
		n += snprintf(fields + n, sizeof(fields) - (size_t)n, "a: b\r\n");
	strcpy(fields + n, "\r\n");
	cr_assert_eq(verify(fields, &head_only), 200);
	strcpy(fields + n, "a: b\r\n\r\n");
	cr_assert_eq(verify(fields, &head_only), 431);
}

Test(metrics_request, every_status_has_a_reason)
{
	static const int all[] = {200, 400, 404, 405, 408, 413, 431, 503, 505};

	for (size_t i = 0; i < ELEMENTSOF(all); i++)
		cr_assert_gt(strlen(metrics_status_reason((enum metrics_status)all[i])), 1);
}
