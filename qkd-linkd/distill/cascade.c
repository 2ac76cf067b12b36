/* SPDX-License-Identifier: MIT */
/*
 * What both ends of Cascade share: block sizes by error rate, and the bits' order in each pass.
 *
 * The permutations are expanded from one announced number and used for all frames of a group: what
 * Cascade discloses is counted, so its secrecy does not rest on them, and they are drawn after the
 * quantum transmission, so nobody could aim errors at them.
 */

#include "qkd-linkd/distill/cascade.h"
#include "common/prng.h"

/*
 * Sizes up to an error rate. From 0.9 % on they are those of arXiv:1407.3257, Table 3, for n =
 * 2^14, or within 0.001 of their efficiency with fewer round trips; k1 is near 0.73 divided by the
 * rate (same paper, section 4). Rows below that come from our own sweep of all powers of two
 * (`bench-distill --sweep`, docs/distillation.md).
 */
static const struct {
	double up_to;
	uint8_t k1_log2, k2_log2, k3_log2;
} sizes[] = {
	{0.0007, 11, 12, 13}, {0.0015, 10, 12, 13}, {0.0025, 9, 11, 13}, {0.0045, 8, 11, 13},
	{0.0055, 8, 10, 13},  {0.0090, 7, 10, 13},  {0.0120, 7, 9, 12},  {0.0175, 6, 9, 12},
	{0.0360, 5, 8, 12},   {0.0640, 4, 8, 12},   {0.5000, 3, 8, 12},
};

void cascade_plan_of(unsigned k1_log2, unsigned k2_log2, unsigned k3_log2, struct cascade_plan *ret)
{
	ret->block_log2[0] = (uint8_t)k1_log2;
	ret->block_log2[1] = (uint8_t)k2_log2;
	ret->block_log2[2] = (uint8_t)k3_log2;
	for (unsigned pass = CASCADE_SIZED_PASSES; pass < CASCADE_PASSES; pass++)
		ret->block_log2[pass] = CASCADE_FRAME_LOG2 - 1;
}

void cascade_plan_for(double error_rate, struct cascade_plan *ret)
{
	size_t row = 0;

	while (row + 1 < ELEMENTSOF(sizes) && !(error_rate <= sizes[row].up_to))
		row++;
	cascade_plan_of(sizes[row].k1_log2, sizes[row].k2_log2, sizes[row].k3_log2, ret);
}

bool cascade_plan_is_valid(const struct cascade_plan *plan)
{
	for (unsigned pass = 0; pass < CASCADE_PASSES; pass++) {
		unsigned log2 = plan->block_log2[pass];

		if (log2 < 1 || log2 >= CASCADE_FRAME_LOG2)
			return false;
		if (pass >= CASCADE_SIZED_PASSES && log2 != CASCADE_FRAME_LOG2 - 1)
			return false;
	}
	return true;
}

/* Fisher and Yates. */
static void shuffle(struct prng *prng, uint16_t items[static CASCADE_FRAME_BITS])
{
	for (unsigned i = CASCADE_FRAME_BITS - 1; i > 0; i--) {
		unsigned j = (unsigned)prng_below(prng, i + 1);
		uint16_t held = items[i];

		items[i] = items[j];
		items[j] = held;
	}
}

static void fill_pass(struct cascade_order *order, unsigned pass, struct prng *prng)
{
	for (unsigned i = 0; i < CASCADE_FRAME_BITS; i++)
		order->place[pass][i] = (uint16_t)i;
	if (pass > 0)
		shuffle(prng, order->place[pass]);
	for (unsigned i = 0; i < CASCADE_FRAME_BITS; i++) {
		unsigned place = order->place[pass][i];

		order->bit[pass][place] = (uint16_t)i;
		if (place < CASCADE_FRAME_BITS / 2)
			order->first_half[pass][i >> 6] |= UINT64_C(1) << (i & 63);
	}
}

int cascade_order_new(uint64_t seed, struct cascade_order **ret)
{
	struct cascade_order *order = calloc(1, sizeof(*order));
	struct prng prng;

	if (!order)
		return -ENOMEM;
	prng_init(&prng, seed);
	for (unsigned pass = 0; pass < CASCADE_PASSES; pass++)
		fill_pass(order, pass, &prng);
	*ret = order;
	return 0;
}

struct cascade_order *cascade_order_free(struct cascade_order *order)
{
	free(order);
	return NULL;
}

void cascade_permute(const struct cascade_order *order, unsigned pass,
		     const uint64_t bits[static CASCADE_FRAME_WORDS],
		     uint64_t ret_permuted[static CASCADE_FRAME_WORDS])
{
	const uint16_t *source = order->bit[pass];

	for (unsigned word = 0; word < CASCADE_FRAME_WORDS; word++) {
		uint64_t collected = 0;

		for (unsigned i = 0; i < 64; i++) {
			unsigned from = source[word * 64 + i];

			collected |= (bits[from >> 6] >> (from & 63) & 1) << i;
		}
		ret_permuted[word] = collected;
	}
}

unsigned cascade_half_parity(const struct cascade_order *order, unsigned pass,
			     const uint64_t bits[static CASCADE_FRAME_WORDS])
{
	const uint64_t *half = order->first_half[pass];
	uint64_t fold = 0;

	for (unsigned word = 0; word < CASCADE_FRAME_WORDS; word++)
		fold ^= bits[word] & half[word];
	return (unsigned)__builtin_parityll(fold);
}
