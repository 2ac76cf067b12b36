/* SPDX-License-Identifier: MIT */
/* Sifting: announcing detections, matching them with the pulses, taking the bits that count. */

#include <endian.h>

#include "qkd-linkd/distill/sift.h"

#define HEADER_BYTES 12

static void set_bit(uint8_t *bits, size_t i)
{
	bits[i >> 3] |= (uint8_t)(1u << (i & 7));
}

static bool get_bit(const uint8_t *bits, size_t i)
{
	return bits[i >> 3] >> (i & 7) & 1;
}

static size_t bitmap_bytes(size_t count)
{
	return (count + 7) / 8;
}

/* Two bytes, whatever the distance is up to 65535: a size that varied could not be foreseen by the
 * processor, and detections come a few hundred slots apart. */
static uint8_t *put_distance(uint8_t *to, uint64_t distance)
{
	uint16_t near = htole16(distance <= UINT16_MAX ? (uint16_t)distance : 0);

	memcpy(to, &near, sizeof(near));
	to += sizeof(near);
	if (distance > UINT16_MAX) {
		distance = htole64(distance);
		memcpy(to, &distance, sizeof(distance));
		to += sizeof(distance);
	}
	return to;
}

/* NULL when it does not end before end. */
static inline const uint8_t *get_distance(const uint8_t *from, const uint8_t *end, uint64_t *ret)
{
	uint16_t near;

	if (end - from < (ssize_t)sizeof(near))
		return NULL;
	memcpy(&near, from, sizeof(near));
	from += sizeof(near);
	*ret = le16toh(near);
	if (near != 0)
		return from;
	if (end - from < (ssize_t)sizeof(*ret))
		return NULL;
	memcpy(ret, from, sizeof(*ret));
	*ret = le64toh(*ret);
	return from + sizeof(*ret);
}

ssize_t sift_announce(const struct detection *detections, size_t count,
		      uint8_t ret_message[static SIFT_MAX_ANNOUNCE_BYTES])
{
	uint8_t *to = ret_message + HEADER_BYTES, *bases, *bits;
	uint64_t first;
	uint32_t number = htole32((uint32_t)count);
	size_t tests = 0;

	if (count == 0 || count > SIFT_MAX_DETECTIONS)
		return -EINVAL;
	first = htole64(detections[0].time);
	memcpy(ret_message, &first, sizeof(first));
	memcpy(ret_message + sizeof(first), &number, sizeof(number));
	for (size_t i = 1; i < count; i++) {
		if (detections[i].time <= detections[i - 1].time)
			return -EINVAL;
		to = put_distance(to, detections[i].time - detections[i - 1].time);
	}
	bases = to;
	bits = bases + bitmap_bytes(count);
	memset(bases, 0, 2 * bitmap_bytes(count));
	for (size_t i = 0; i < count; i++) {
		if (detections[i].basis != DETECTION_BASIS_TEST)
			continue;
		set_bit(bases, i);
		if (detections[i].bit)
			set_bit(bits, tests);
		tests++;
	}
	return bits + bitmap_bytes(tests) - ret_message;
}

/* An announcement that has been checked for its form. */
struct announcement {
	uint64_t first, last;
	size_t count;
	const uint8_t *distances, *bases, *bits;
};

static int parse(const uint8_t *message, size_t size_bytes, struct announcement *ret)
{
	const uint8_t *at = message + HEADER_BYTES, *end = message + size_bytes;
	uint64_t first, slot, distance;
	uint32_t count;
	size_t tests = 0;

	if (size_bytes < HEADER_BYTES)
		return -EBADMSG;
	memcpy(&first, message, sizeof(first));
	memcpy(&count, message + sizeof(first), sizeof(count));
	ret->first = slot = le64toh(first);
	ret->count = le32toh(count);
	if (ret->count == 0 || ret->count > SIFT_MAX_DETECTIONS)
		return -EBADMSG;
	ret->distances = at;
	for (size_t i = 1; i < ret->count; i++) {
		at = get_distance(at, end, &distance);
		if (!at || distance == 0 || __builtin_add_overflow(slot, distance, &slot))
			return -EBADMSG;
	}
	ret->last = slot;
	ret->bases = at;
	if ((size_t)(end - at) < bitmap_bytes(ret->count))
		return -EBADMSG;
	for (size_t i = 0; i < ret->count; i++)
		tests += get_bit(ret->bases, i);
	ret->bits = ret->bases + bitmap_bytes(ret->count);
	return (size_t)(end - ret->bits) == bitmap_bytes(tests) ? 0 : -EBADMSG;
}

int sift_last_slot(const uint8_t *message, size_t size_bytes, uint64_t *ret_slot)
{
	struct announcement a;
	int r = parse(message, size_bytes, &a);

	if (r >= 0)
		*ret_slot = a.last;
	return r;
}

/* Without a branch on the bit; a word is cleared when its first bit is taken. */
static void take_key_bit(struct sift_key *key, const struct detection *detection)
{
	uint64_t at = key->bit_count++;
	uint64_t *word = &key->words[at >> 6];
	unsigned place = at & 63;

	*word = (place == 0 ? 0 : *word) | (uint64_t)(detection->bit & 1) << place;
	if (key->intensities)
		key->intensities[at] = detection->intensity;
}

/* One announced detection and the pulse of its slot: does it count? */
static bool count_match(const struct detection *pulse, bool is_test, bool test_bit,
			struct sift_key *key, struct sift_tally *tally)
{
	if ((pulse->basis == DETECTION_BASIS_TEST) != is_test ||
	    pulse->intensity >= DETECTION_INTENSITIES_MAX)
		return false;
	if (is_test) {
		tally->n_z[pulse->intensity]++;
		tally->m_z[pulse->intensity] += pulse->bit != test_bit;
		return true;
	}
	tally->n_x[pulse->intensity]++;
	take_key_bit(key, pulse);
	return true;
}

ssize_t sift_match(const struct detection *sent, size_t sent_count, const uint8_t *message,
		   size_t size_bytes, struct sift_key *key, struct sift_tally *tally,
		   size_t *ret_consumed, uint8_t ret_answer[static SIFT_MAX_ANSWER_BYTES])
{
	struct announcement a;
	const uint8_t *at;
	uint64_t slot, distance = 0;
	size_t tests = 0, next = 0;
	int r = parse(message, size_bytes, &a);

	if (r < 0)
		return r;
	at = a.distances;
	slot = a.first;
	memset(ret_answer, 0, bitmap_bytes(a.count));
	for (size_t i = 0; i < a.count; i++) {
		bool is_test = get_bit(a.bases, i);
		bool test_bit = is_test && get_bit(a.bits, tests);

		if (i > 0) {
			at = get_distance(at, a.bases, &distance);
			slot += distance;
		}
		tests += is_test;
		while (next < sent_count && sent[next].time < slot)
			next++;
		if (next < sent_count && sent[next].time == slot &&
		    key->bit_count < key->max_bits &&
		    count_match(&sent[next], is_test, test_bit, key, tally))
			set_bit(ret_answer, i);
	}
	while (next < sent_count && sent[next].time <= slot)
		next++;
	tally->announced += a.count;
	*ret_consumed = next;
	return (ssize_t)bitmap_bytes(a.count);
}

int sift_apply(const struct detection *detections, size_t count, const uint8_t *answer,
	       size_t size_bytes, struct sift_key *key)
{
	uint64_t wanted = 0;

	if (size_bytes != bitmap_bytes(count))
		return -EBADMSG;
	for (size_t i = 0; i < count; i++)
		wanted += get_bit(answer, i) && detections[i].basis == DETECTION_BASIS_KEY;
	if (wanted > key->max_bits - key->bit_count)
		return -EBADMSG;
	for (size_t i = 0; i < count; i++)
		if (get_bit(answer, i) && detections[i].basis == DETECTION_BASIS_KEY)
			take_key_bit(key, &detections[i]);
	return 0;
}
