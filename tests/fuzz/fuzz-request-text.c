/* SPDX-License-Identifier: MIT */
/* Descriptions and callouts, divided by a newline: whatever is accepted lies within the grammar. */

#include "qkd-keyringd/request-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct request_text *request)
{
	if (!site_name_is_valid(request->peer) || strchr(request->peer, '/') ||
	    (request->site[0] && !site_name_is_valid(request->site)) ||
	    (!request->by_id && !label_is_valid(request->label)) ||
	    (request->bits && !request_text_bits_are_valid(request->bits)) ||
	    request->ttl_sec > REQUEST_TEXT_MAX_TTL_SEC ||
	    request->wait_sec > REQUEST_TEXT_MAX_WAIT_SEC)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	struct request_text request;
	char *callout;

	if (!text)
		return 0;
	callout = strchr(text, '\n');
	if (callout)
		*callout++ = '\0';
	if (request_text_parse(text, callout ? callout : "", &request) == 0)
		check(&request);
	return 0;
}
