/* SPDX-License-Identifier: MIT */
/* A file of recorded detections: header, events, and the alignment of its time tags. What was read
 * is the same when it is written and read again. */

#include "qkd-linkd/distill/align.h"
#include "qkd-linkd/distill/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool is_same(const struct sim_event *a, const struct sim_event *b)
{
	return a->slot == b->slot && a->tag_ps == b->tag_ps && a->sender_basis == b->sender_basis &&
	       a->sender_bit == b->sender_bit && a->intensity == b->intensity &&
	       a->receiver_basis == b->receiver_basis && a->receiver_bit == b->receiver_bit;
}

static void expect_same_again(const struct recording *before, const struct sim_event *event)
{
	struct recording writer = *before, reader = *before;
	uint8_t bytes[RECORDING_EVENT_MAX_BYTES];
	struct sim_event again;
	ssize_t size = recording_put(&writer, event, bytes) - bytes;

	must(size <= (ssize_t)sizeof(bytes));
	must(recording_get(&reader, bytes, (size_t)size, &again) == size);
	must(is_same(&again, event));
}

static void read_events(const struct recording_header *header, const uint8_t *data, size_t size)
{
	struct align align = {.gate_ps = 0.4 * header->period_ps, .period_ps = header->period_ps};
	struct recording recording;
	size_t at = 0;

	recording_init(&recording, header);
	while (at < size) {
		struct recording before = recording;
		struct sim_event event;
		ssize_t used = recording_get(&recording, data + at, size - at, &event);
		uint64_t slot;

		if (used < 0)
			return;
		must(event.slot >= before.next_slot && event.slot < RECORDING_MAX_SLOT);
		expect_same_again(&before, &event);
		align_slot(&align, event.tag_ps, &slot);
		at += (size_t)used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recording_header header, again;
	uint8_t bytes[RECORDING_HEADER_BYTES];
	const char *what;

	if (size < sizeof(bytes) || recording_get_header(data, &header, &what) < 0)
		return 0;
	recording_put_header(&header, bytes);
	must(recording_get_header(bytes, &again, &what) == 0);
	must(memcmp(&header, &again, sizeof(header)) == 0);
	read_events(&header, data + sizeof(bytes), size - sizeof(bytes));
	return 0;
}
