/* SPDX-License-Identifier: MIT */

/* What a peer sends: a frame of the site protocol. What is accepted can be built again, the same.
 */

#include <assert.h>

#include "common/frame.h"
#include "qkd-keyringd/site-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_message(const json_t *json)
{
	struct site_message message;
	json_t *again;

	if (site_message_verify(json, &message) < 0)
		return;
	if (site_message_build(&message, &again) == 0) {
		struct site_message second;

		assert(site_message_verify(again, &second) == 0);
		assert(second.keys.count == message.keys.count);
		site_message_done(&second);
		json_decref(again);
	}
	site_message_done(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *frame, *messages, *message;
	uint64_t position;
	size_t i;

	if (frame_parse_json(data, size, &frame) < 0)
		return 0;
	messages = site_frame_verify(frame, &position);
	json_array_foreach (messages, i, message)
		try_message(message);
	json_decref(frame);
	return 0;
}
