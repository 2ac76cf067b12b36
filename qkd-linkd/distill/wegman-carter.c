/* SPDX-License-Identifier: MIT */
/*
 * Information-theoretic authentication with one-time-padded tags, and the account of its pads.
 *
 * The two directions of a block are hashed as they run and joined at the end: the hash of two
 * strings after each other is the first one's hash times key^(blocks of the second), plus the
 * second one's.
 */

#include <endian.h>
#include <openssl/crypto.h>

#include "qkd-linkd/distill/wegman-carter.h"

#define PAD_BYTES WEGMAN_CARTER_TAG_BYTES

struct wegman_carter {
	const struct gf2_kernel *kernel;
	enum wegman_carter_role role;
	bool failed;
	struct secret *memory; /* the key, then a ring of units */
	size_t capacity;       /* units */
	uint64_t end;          /* units ever added */
	uint64_t next[2];      /* the next pad of each direction, by the sender's role */
};

static struct gf128 hash_key(const struct wegman_carter *wc)
{
	return gf128_load(wc->memory->bytes);
}

static uint8_t *unit_at(const struct wegman_carter *wc, uint64_t index)
{
	return wc->memory->bytes + WEGMAN_CARTER_KEY_BYTES +
	       index % wc->capacity * WEGMAN_CARTER_UNIT_BYTES;
}

struct wegman_carter *wegman_carter_free(struct wegman_carter *wc)
{
	if (!wc)
		return NULL;
	secret_free(wc->memory);
	free(wc);
	return NULL;
}

#define SAVED_MAGIC        "QKDWC1\0"
#define SAVED_MAGIC_BYTES  8
#define SAVED_HEADER_BYTES (SAVED_MAGIC_BYTES + 3 * sizeof(uint64_t) + WEGMAN_CARTER_KEY_BYTES)

static uint64_t oldest_unit(const struct wegman_carter_position *position)
{
	return MIN(MIN(position->next[0], position->next[1]), position->end);
}

void wegman_carter_position(const struct wegman_carter *wc, struct wegman_carter_position *ret)
{
	memcpy(ret->next, wc->next, sizeof(ret->next));
	ret->end = wc->end;
}

int wegman_carter_save(const struct wegman_carter *wc, uint64_t margin, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *saved = NULL;
	struct wegman_carter_position position;
	uint64_t numbers[3], oldest;
	uint8_t *to;
	int r;

	wegman_carter_position(wc, &position);
	for (size_t i = 0; i < 2; i++)
		position.next[i] = MIN(position.next[i] + margin, position.end);
	oldest = oldest_unit(&position);
	r = secret_new(SAVED_HEADER_BYTES + (position.end - oldest) * WEGMAN_CARTER_UNIT_BYTES,
		       &saved);
	if (r < 0)
		return r;
	numbers[0] = htole64(position.next[0]);
	numbers[1] = htole64(position.next[1]);
	numbers[2] = htole64(position.end);
	memcpy(saved->bytes, SAVED_MAGIC, SAVED_MAGIC_BYTES);
	memcpy(saved->bytes + SAVED_MAGIC_BYTES, numbers, sizeof(numbers));
	to = saved->bytes + SAVED_MAGIC_BYTES + sizeof(numbers);
	memcpy(to, wc->memory->bytes, WEGMAN_CARTER_KEY_BYTES);
	to += WEGMAN_CARTER_KEY_BYTES;
	for (uint64_t i = oldest; i < position.end; i++, to += WEGMAN_CARTER_UNIT_BYTES)
		memcpy(to, unit_at(wc, i), WEGMAN_CARTER_UNIT_BYTES);
	*ret = TAKE_PTR(saved);
	return 0;
}

static int new_empty(const struct gf2_kernel *kernel, enum wegman_carter_role role,
		     struct wegman_carter **ret)
{
	_cleanup_(wegman_carter_freep) struct wegman_carter *wc = calloc(1, sizeof(*wc));
	int r;

	if (!wc)
		return -ENOMEM;
	wc->kernel = kernel;
	wc->role = role;
	wc->capacity = WEGMAN_CARTER_MAX_UNITS;
	r = secret_new(WEGMAN_CARTER_KEY_BYTES + wc->capacity * WEGMAN_CARTER_UNIT_BYTES,
		       &wc->memory);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(wc);
	return 0;
}

int wegman_carter_new(const struct gf2_kernel *kernel, enum wegman_carter_role role,
		      const struct secret *provisioned, struct wegman_carter **ret)
{
	struct wegman_carter *wc;
	size_t units;
	int r;

	if (provisioned->size_bytes < WEGMAN_CARTER_KEY_BYTES + WEGMAN_CARTER_UNIT_BYTES)
		return -EINVAL;
	r = new_empty(kernel, role, &wc);
	if (r < 0)
		return r;
	units = (provisioned->size_bytes - WEGMAN_CARTER_KEY_BYTES) / WEGMAN_CARTER_UNIT_BYTES;
	wc->end = MIN(units, (size_t)WEGMAN_CARTER_MAX_UNITS);
	memcpy(wc->memory->bytes, provisioned->bytes,
	       WEGMAN_CARTER_KEY_BYTES + wc->end * WEGMAN_CARTER_UNIT_BYTES);
	*ret = wc;
	return 0;
}

static int parse_position(const struct secret *saved, struct wegman_carter_position *ret)
{
	uint64_t numbers[3], units;

	if (saved->size_bytes < SAVED_HEADER_BYTES ||
	    memcmp(saved->bytes, SAVED_MAGIC, SAVED_MAGIC_BYTES) != 0)
		return -EBADMSG;
	memcpy(numbers, saved->bytes + SAVED_MAGIC_BYTES, sizeof(numbers));
	ret->next[0] = le64toh(numbers[0]);
	ret->next[1] = le64toh(numbers[1]);
	ret->end = le64toh(numbers[2]);
	units = (saved->size_bytes - SAVED_HEADER_BYTES) / WEGMAN_CARTER_UNIT_BYTES;
	if (ret->next[0] > ret->end || ret->next[1] > ret->end || units > WEGMAN_CARTER_MAX_UNITS ||
	    ret->end - oldest_unit(ret) != units ||
	    (saved->size_bytes - SAVED_HEADER_BYTES) % WEGMAN_CARTER_UNIT_BYTES != 0)
		return -EBADMSG;
	return 0;
}

int wegman_carter_load(const struct gf2_kernel *kernel, enum wegman_carter_role role,
		       const struct secret *saved, struct wegman_carter **ret)
{
	_cleanup_(wegman_carter_freep) struct wegman_carter *wc = NULL;
	struct wegman_carter_position position;
	const uint8_t *from = saved->bytes + SAVED_HEADER_BYTES;
	int r = parse_position(saved, &position);

	if (r >= 0)
		r = new_empty(kernel, role, &wc);
	if (r < 0)
		return r;
	memcpy(wc->memory->bytes, from - WEGMAN_CARTER_KEY_BYTES, WEGMAN_CARTER_KEY_BYTES);
	memcpy(wc->next, position.next, sizeof(wc->next));
	wc->end = position.end;
	for (uint64_t i = oldest_unit(&position); i < wc->end; i++) {
		memcpy(unit_at(wc, i), from, WEGMAN_CARTER_UNIT_BYTES);
		from += WEGMAN_CARTER_UNIT_BYTES;
	}
	*ret = TAKE_PTR(wc);
	return 0;
}

int wegman_carter_resume(struct wegman_carter *wc, const struct wegman_carter_position *peer)
{
	uint64_t end = MIN(wc->end, peer->end), next[2];

	for (size_t i = 0; i < 2; i++) {
		next[i] = MAX(wc->next[i], peer->next[i]);
		if (next[i] >= end)
			return -ESTALE;
	}
	/* What only we have is not a shared secret. */
	for (uint64_t i = end; i < wc->end; i++)
		secret_wipe(unit_at(wc, i), WEGMAN_CARTER_UNIT_BYTES);
	memcpy(wc->next, next, sizeof(wc->next));
	wc->end = end;
	return 0;
}

/* Blocks that are complete go into the hash, the rest waits in partial. */
void wegman_carter_update(const struct wegman_carter *wc, struct wegman_carter_stream *stream,
			  const void *bytes, size_t size_bytes)
{
	const uint8_t *from = bytes;
	size_t filled = stream->size_bytes % GF128_BYTES;
	size_t head = MIN(filled > 0 ? GF128_BYTES - filled : 0, size_bytes);
	size_t blocks = (size_bytes - head) / GF128_BYTES, tail;

	memcpy(stream->partial + filled, from, head);
	if (filled > 0 && filled + head == GF128_BYTES) {
		wc->kernel->hash(&stream->state, hash_key(wc), stream->partial, 1);
		stream->block_count++;
	}
	wc->kernel->hash(&stream->state, hash_key(wc), from + head, blocks);
	stream->block_count += blocks;
	tail = size_bytes - head - blocks * GF128_BYTES;
	if (tail > 0)
		memcpy(stream->partial, from + head + blocks * GF128_BYTES, tail);
	stream->size_bytes += size_bytes;
}

static void hash_block(const struct wegman_carter *wc, struct gf128 *state, uint64_t low,
		       uint64_t high)
{
	uint8_t block[GF128_BYTES];

	gf128_store((struct gf128){low, high}, block);
	wc->kernel->hash(state, hash_key(wc), block, 1);
	secret_wipe(block, sizeof(block));
}

/* Zero-padded, then the length: no two strings give the same blocks. */
static void finish(const struct wegman_carter *wc, struct wegman_carter_stream *stream)
{
	size_t filled = stream->size_bytes % GF128_BYTES;

	if (filled > 0) {
		memset(stream->partial + filled, 0, GF128_BYTES - filled);
		wc->kernel->hash(&stream->state, hash_key(wc), stream->partial, 1);
		stream->block_count++;
	}
	hash_block(wc, &stream->state, stream->size_bytes, 0);
	stream->block_count++;
}

static struct gf128 power(const struct wegman_carter *wc, uint64_t exponent)
{
	struct gf128 result = {.low = 1}, square = hash_key(wc);

	for (; exponent > 0; exponent >>= 1) {
		if (exponent & 1)
			result = wc->kernel->multiply(result, square);
		square = wc->kernel->multiply(square, square);
	}
	return result;
}

/* The hash of Alice's bytes, Bob's bytes, and which tag this is. */
static struct gf128 hash_transcript(const struct wegman_carter *wc,
				    struct wegman_carter_stream alice,
				    struct wegman_carter_stream bob, enum wegman_carter_role sender,
				    uint64_t number)
{
	struct gf128 state;

	finish(wc, &alice);
	finish(wc, &bob);
	state = wc->kernel->multiply(alice.state, power(wc, bob.block_count));
	state = gf128_add(state, bob.state);
	hash_block(wc, &state, number, (uint64_t)sender + 1);
	secret_wipe(&alice, sizeof(alice));
	secret_wipe(&bob, sizeof(bob));
	return state;
}

/* The tag that the pad of this number makes; the pad is wiped. */
static void make_tag(struct wegman_carter *wc, const struct wegman_carter_stream *alice,
		     const struct wegman_carter_stream *bob, enum wegman_carter_role sender,
		     uint8_t ret_tag[static WEGMAN_CARTER_TAG_BYTES])
{
	uint64_t number = wc->next[sender]++;
	uint8_t *pad = unit_at(wc, number) + sender * PAD_BYTES;
	struct gf128 state = hash_transcript(wc, *alice, *bob, sender, number);

	gf128_store(gf128_add(state, gf128_load(pad)), ret_tag);
	secret_wipe(pad, PAD_BYTES);
	secret_wipe(&state, sizeof(state));
}

static enum wegman_carter_role other(enum wegman_carter_role role)
{
	return role == WEGMAN_CARTER_ALICE ? WEGMAN_CARTER_BOB : WEGMAN_CARTER_ALICE;
}

size_t wegman_carter_send_left(const struct wegman_carter *wc)
{
	return wc->end - wc->next[wc->role];
}

size_t wegman_carter_receive_left(const struct wegman_carter *wc)
{
	return wc->end - wc->next[other(wc->role)];
}

bool wegman_carter_has_failed(const struct wegman_carter *wc)
{
	return wc->failed;
}

int wegman_carter_sign(struct wegman_carter *wc, const struct wegman_carter_stream *sent,
		       const struct wegman_carter_stream *received, uint64_t *ret_number,
		       uint8_t ret_tag[static WEGMAN_CARTER_TAG_BYTES])
{
	bool is_alice = wc->role == WEGMAN_CARTER_ALICE;

	if (wc->failed)
		return -EKEYREJECTED;
	if (wegman_carter_send_left(wc) == 0)
		return -ENOKEY;
	*ret_number = wc->next[wc->role];
	make_tag(wc, is_alice ? sent : received, is_alice ? received : sent, wc->role, ret_tag);
	return 0;
}

int wegman_carter_check(struct wegman_carter *wc, const struct wegman_carter_stream *sent,
			const struct wegman_carter_stream *received, uint64_t number,
			const uint8_t tag[static WEGMAN_CARTER_TAG_BYTES])
{
	bool is_alice = wc->role == WEGMAN_CARTER_ALICE;
	enum wegman_carter_role sender = other(wc->role);
	uint8_t expected[WEGMAN_CARTER_TAG_BYTES];

	if (wc->failed)
		return -EKEYREJECTED;
	if (number == wc->next[sender] && wegman_carter_receive_left(wc) == 0)
		return -ENOKEY;
	wc->failed = number != wc->next[sender];
	if (!wc->failed) {
		make_tag(wc, is_alice ? sent : received, is_alice ? received : sent, sender,
			 expected);
		wc->failed = CRYPTO_memcmp(expected, tag, sizeof(expected)) != 0;
		secret_wipe(expected, sizeof(expected));
	}
	return wc->failed ? -EKEYREJECTED : 0;
}

int wegman_carter_add_unit(struct wegman_carter *wc,
			   const uint8_t unit[static WEGMAN_CARTER_UNIT_BYTES])
{
	uint64_t oldest = MIN(wc->next[0], wc->next[1]);

	if (wc->end - oldest >= wc->capacity)
		return -ENOSPC;
	memcpy(unit_at(wc, wc->end), unit, WEGMAN_CARTER_UNIT_BYTES);
	wc->end++;
	return 0;
}
