/* SPDX-License-Identifier: MIT */
/* HTTP heads: no bytes may crash the reader, and what follows a complete head changes nothing. */

#include "keyring-helpers/qkd-metrics/metrics-request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *longer = malloc(size + 2);
	bool head_only = false, longer_head_only = false;
	int status = metrics_request_verify((const char *)data, size, &head_only);

	if (!longer)
		return 0;
	memcpy(longer, data, size);
	memcpy(longer + size, "xy", 2);
	if (status == 0 || status == METRICS_STATUS_FIELDS_TOO_LARGE)
		return 0;
	if (metrics_request_verify(longer, size + 2, &longer_head_only) != status ||
	    head_only != longer_head_only || *metrics_status_reason(status) == '\0')
		abort();
	return 0;
}
