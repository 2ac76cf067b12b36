/* SPDX-License-Identifier: MIT */
/*
 * Recorded detections as bytes. An event is the distance to its slot, the distance between time
 * tags, and one byte of choices: five bytes at a gigahertz, so that a block of 2^25 sifted bits
 * fits on any disk.
 */

#include <math.h>

#include "qkd-linkd/distill/block-wire.h"
#include "qkd-linkd/distill/recording.h"

#define MILLION   1e6
#define FEMTO     1e3 /* femtoseconds in a picosecond */
#define PERIOD_AT 8
#define SLOTS_AT  16
#define SEED_AT   24
#define COUNT_AT  32
#define MEANS_AT  40
#define SHARES_AT (MEANS_AT + 4 * DETECTION_INTENSITIES_MAX)

/* The bits of the last byte. */
enum {
	SENDER_TESTS = 1 << 0,
	SENDER_BIT = 1 << 1,
	INTENSITY_SHIFT = 2,
	RECEIVER_TESTS = 1 << 4,
	RECEIVER_BIT = 1 << 5,
	UNUSED_BITS = 0xc0,
};

static const uint8_t magic[PERIOD_AT] = "qkd-det1";

void recording_put_header(const struct recording_header *header,
			  uint8_t ret[static RECORDING_HEADER_BYTES])
{
	memset(ret, 0, RECORDING_HEADER_BYTES);
	memcpy(ret, magic, sizeof(magic));
	block_wire_put64(ret + PERIOD_AT, (uint64_t)llround(header->period_ps * FEMTO));
	block_wire_put64(ret + SLOTS_AT, header->sync_slots);
	block_wire_put64(ret + SEED_AT, header->sync_seed);
	ret[COUNT_AT] = (uint8_t)header->intensities;
	for (unsigned i = 0; i < header->intensities; i++) {
		block_wire_put32(ret + MEANS_AT + 4 * i,
				 (uint32_t)lround(header->mean_photons[i] * MILLION));
		block_wire_put32(ret + SHARES_AT + 4 * i,
				 (uint32_t)lround(header->probability[i] * MILLION));
	}
}

static const char *header_fault(const uint8_t *bytes)
{
	double period_ps = (double)block_wire_get64(bytes + PERIOD_AT) / FEMTO;
	uint64_t shares = 0;

	if (memcmp(bytes, magic, sizeof(magic)) != 0)
		return "is not a recording of detections";
	if (period_ps < RECORDING_MIN_PERIOD_PS || period_ps > RECORDING_MAX_PERIOD_PS)
		return "the period must be between 100 ps and 1 s";
	if (block_wire_get64(bytes + SLOTS_AT) > RECORDING_MAX_SYNC_SLOTS ||
	    block_wire_get64(bytes + SLOTS_AT) % 64)
		return "synchronisation slots must be a multiple of 64 up to 2^30";
	if (bytes[COUNT_AT] < 2 || bytes[COUNT_AT] > DETECTION_INTENSITIES_MAX)
		return "there must be two or three intensities";
	for (unsigned i = 0; i < DETECTION_INTENSITIES_MAX; i++) {
		uint32_t mean = block_wire_get32(bytes + MEANS_AT + 4 * i);
		uint32_t share = block_wire_get32(bytes + SHARES_AT + 4 * i);

		shares += share;
		if (mean > SIM_OPTICS_MEAN_MAX * MILLION)
			return "a mean photon number must be at most 10";
		if (i >= bytes[COUNT_AT] && (mean || share))
			return "an intensity that is not there has a mean or a probability";
	}
	return shares == MILLION ? NULL : "the probabilities must add up to a million";
}

int recording_get_header(const uint8_t bytes[static RECORDING_HEADER_BYTES],
			 struct recording_header *ret, const char **ret_what)
{
	const char *what = header_fault(bytes);

	for (unsigned i = COUNT_AT + 1; i < MEANS_AT && !what; i++)
		if (bytes[i])
			what = "bytes that must be zero are not: a newer format?";
	if (what) {
		*ret_what = what;
		return -EINVAL;
	}
	*ret = (struct recording_header){
		.period_ps = (double)block_wire_get64(bytes + PERIOD_AT) / FEMTO,
		.sync_slots = block_wire_get64(bytes + SLOTS_AT),
		.sync_seed = block_wire_get64(bytes + SEED_AT),
		.intensities = bytes[COUNT_AT],
	};
	for (unsigned i = 0; i < DETECTION_INTENSITIES_MAX; i++) {
		ret->mean_photons[i] = block_wire_get32(bytes + MEANS_AT + 4 * i) / MILLION;
		ret->probability[i] = block_wire_get32(bytes + SHARES_AT + 4 * i) / MILLION;
	}
	return 0;
}

void recording_init(struct recording *ret, const struct recording_header *header)
{
	*ret = (struct recording){.intensities = header->intensities};
}

/* Small distances of either sign are small numbers. */
static uint64_t zigzag(int64_t number)
{
	return ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
}

static int64_t unzigzag(uint64_t number)
{
	return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
}

static uint8_t choices_of(const struct sim_event *event)
{
	return (uint8_t)((event->sender_basis ? SENDER_TESTS : 0) |
			 (event->sender_bit ? SENDER_BIT : 0) |
			 event->intensity << INTENSITY_SHIFT |
			 (event->receiver_basis ? RECEIVER_TESTS : 0) |
			 (event->receiver_bit ? RECEIVER_BIT : 0));
}

uint8_t *recording_put(struct recording *recording, const struct sim_event *event, uint8_t *to)
{
	to = varint_put(to, event->slot - recording->next_slot);
	to = varint_put(to, zigzag(event->tag_ps - recording->tag_ps));
	*to++ = choices_of(event);
	recording->next_slot = event->slot + 1;
	recording->tag_ps = event->tag_ps;
	return to;
}

ssize_t recording_get(struct recording *recording, const uint8_t *bytes, size_t size_bytes,
		      struct sim_event *ret)
{
	const uint8_t *end = bytes + size_bytes;
	uint64_t slots, step;
	const uint8_t *at = varint_get(bytes, end, &slots);
	int64_t tag_ps;

	at = at ? varint_get(at, end, &step) : NULL;
	if (!at || at == end || slots >= RECORDING_MAX_SLOT - recording->next_slot)
		return -EBADMSG;
	if (__builtin_add_overflow(recording->tag_ps, unzigzag(step), &tag_ps) ||
	    tag_ps >= RECORDING_MAX_TAG_PS || tag_ps <= -RECORDING_MAX_TAG_PS)
		return -EBADMSG;
	if (*at & UNUSED_BITS || (*at >> INTENSITY_SHIFT & 3) >= recording->intensities)
		return -EBADMSG;
	*ret = (struct sim_event){
		.slot = recording->next_slot + slots,
		.tag_ps = tag_ps,
		.sender_basis = !!(*at & SENDER_TESTS),
		.sender_bit = !!(*at & SENDER_BIT),
		.intensity = *at >> INTENSITY_SHIFT & 3,
		.receiver_basis = !!(*at & RECEIVER_TESTS),
		.receiver_bit = !!(*at & RECEIVER_BIT),
	};
	recording->next_slot = ret->slot + 1;
	recording->tag_ps = tag_ps;
	return at + 1 - bytes;
}
