/* SPDX-License-Identifier: MIT */

/* What a peer sends: a frame of the sync protocol. What is accepted can be built again, the same.
 */

#include <assert.h>

#include "common/frame.h"
#include "qkd-linkd/sync-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct uuid ids[SYNC_MAX_KEYS], again_ids[SYNC_MAX_KEYS];
	struct sync_message message, again_message;
	json_t *json, *again;
	const char *what;

	if (frame_parse_json(data, size, &json) < 0)
		return 0;
	if (sync_message_verify(json, ids, &message, &what) == 0) {
		assert(sync_message_build(&message, &again) == 0);
		assert(json_object_size(json) == json_object_size(again));
		assert(sync_message_verify(again, again_ids, &again_message, &what) == 0);
		assert(again_message.kind == message.kind && again_message.txn == message.txn);
		json_decref(again);
	}
	json_decref(json);
	return 0;
}
