/* SPDX-License-Identifier: MIT */
/* Bodies about paths from another site: verified, and what was verified is built again the same. */

#include "qkd-keyringd/path-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct path_message message;

	if (json && path_message_verify(json, &message) >= 0) {
		json_t *again = path_message_build(&message);

		if (!again || json_object_size(again) != json_object_size(json))
			abort();
		json_decref(again);
		path_message_done(&message);
	}
	json_decref(json);
	return 0;
}
