/* SPDX-License-Identifier: MIT */
/*
 * Answers of a KME: whatever it sends, keys come out whole or not at all. The first byte chooses
 * how the rest is read.
 */

#include <assert.h>

#include "drivers/etsi014-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_keys(const uint8_t *text, size_t size, const struct uuid *ids, size_t count)
{
	_cleanup_(recent_set_freep) struct recent_set *seen = NULL;
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
	char what[ETSI014_WHAT_CHARS];
	struct etsi014_expected expected = {ids, count, 16, NULL};
	int r;

	assert(recent_set_new(&seen) == 0);
	expected.seen = seen;
	r = etsi014_verify_keys(text, size, &expected, &batch, what);
	assert(r <= 0 && (r == 0) == (batch != NULL) && (r == 0 || what[0]));
	if (!batch)
		return;
	assert(batch->count > 0 && batch->count <= count && (!ids || batch->count == count));
	for (size_t i = 0; i < batch->count; i++)
		assert(recent_set_contains(seen, &batch->ids[i], sizeof(batch->ids[i])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uuid ids[2] = {};
	char what[ETSI014_WHAT_CHARS];
	struct etsi014_status status;
	struct etsi014_refusal refusal;

	if (size == 0)
		return 0;
	memset(&ids[0], 0x11, sizeof(ids[0]));
	memset(&ids[1], 0x22, sizeof(ids[1]));
	switch (data[0] % 4) {
	case 0:
		check_keys(data + 1, size - 1, NULL, 3);
		break;
	case 1:
		check_keys(data + 1, size - 1, ids, ELEMENTSOF(ids));
		break;
	case 2:
		assert(etsi014_verify_status(data + 1, size - 1, &status, what) == 0 || what[0]);
		break;
	case 3:
		etsi014_verify_refusal(data[0] / 4 % 3, 400 + data[0] / 12, data + 1, size - 1,
				       &refusal);
		assert(refusal.result < 0 && refusal.what[0]);
		break;
	}
	return 0;
}
