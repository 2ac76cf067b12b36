/* SPDX-License-Identifier: MIT */
/* Frames from the other end, as Alice and as Bob see them: a 2-byte length before each. The first
 * byte says which end; with bit 1 set that end has detections waiting. */

#include "qkd-linkd/distill/distill.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int no_send(const void *bytes, size_t size_bytes, void *userdata)
{
	return 0;
}

static int no_key(uint32_t block, struct secret *key, void *userdata)
{
	secret_free(key);
	abort(); /* a fuzzer cannot forge a tag */
}

static int fixed_bytes(void *ret_bytes, size_t size_bytes, void *userdata)
{
	memset(ret_bytes, 0x5a, size_bytes);
	return 0;
}

static void feed_detections(struct distill *distill)
{
	struct detection detections[5000] = {};

	for (size_t i = 0; i < ELEMENTSOF(detections); i++) {
		detections[i].time = 3 * i;
		detections[i].bit = i % 5 == 0;
		detections[i].basis = i % 7 == 0;
	}
	distill_detections(distill, detections, ELEMENTSOF(detections));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct distill_handler handler = {
		.send = no_send,
		.on_key = no_key,
		.random = fixed_bytes,
	};
	_cleanup_(secret_freep) struct secret *first = NULL;
	_cleanup_(wegman_carter_freep) struct wegman_carter *wc = NULL;
	_cleanup_(distill_freep) struct distill *distill = NULL;
	struct distill_config config;
	size_t at = 1;

	distill_config_defaults(&config);
	config.block_frames = 1;
	if (size < 1 || secret_new(WEGMAN_CARTER_FIRST_BYTES, &first) < 0)
		return 0;
	config.role = data[0] & 1 ? WEGMAN_CARTER_BOB : WEGMAN_CARTER_ALICE;
	if (wegman_carter_new(gf128_kernel(), config.role, first, &wc) < 0 ||
	    distill_new(&config, &handler, NULL, wc, &distill) < 0)
		return 0;
	if (data[0] & 2)
		feed_detections(distill);
	while (at + 2 <= size) {
		size_t length = data[at] | (size_t)data[at + 1] << 8;

		at += 2;
		length = MIN(length, size - at);
		distill_receive(distill, data + at, length);
		at += length;
	}
	return 0;
}
