/* SPDX-License-Identifier: MIT */
/* One block of sifted bits on its way to key: memory, groups, and how much key it yields. */

#include "qkd-linkd/distill/block.h"

static int allocate(struct block *block, const struct distill_config *config)
{
	uint64_t bits = (uint64_t)config->block_frames * CASCADE_FRAME_BITS;
	int r = secret_new(bits / 8, &block->bits);

	if (r < 0)
		return r;
	block->key.words = (uint64_t *)block->bits->bytes;
	block->key.max_bits = bits;
	block->sent = secret_calloc(2, sizeof(*block->sent));
	if (!block->sent)
		return -ENOMEM;
	block->received = block->sent + 1;
	if (config->bound != DISTILL_BOUND_WIESEMANN)
		return 0;
	if (config->role == WEGMAN_CARTER_BOB)
		return secret_new(bits / 8, &block->before);
	block->key.intensities = malloc(bits);
	return block->key.intensities ? 0 : -ENOMEM;
}

int block_new(const struct distill_config *config, uint32_t number, struct block **ret)
{
	_cleanup_(block_freep) struct block *block = calloc(1, sizeof(*block));
	int r;

	if (!block)
		return -ENOMEM;
	block->number = number;
	block->report.block = number;
	block->frame_count = config->block_frames;
	block->group_count =
		(config->block_frames + DISTILL_GROUP_FRAMES - 1) / DISTILL_GROUP_FRAMES;
	r = allocate(block, config);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(block);
	return 0;
}

struct block *block_free(struct block *block)
{
	if (!block)
		return NULL;
	for (unsigned i = 0; i < BLOCK_MAX_GROUPS; i++) {
		cascade_reference_free(block->references[i]);
		cascade_corrector_free(block->correctors[i]);
	}
	cascade_order_free(block->order);
	secret_free(block->bits);
	secret_free(block->before);
	secret_mfree(block->sent);
	free(block->key.intensities);
	free(block->seed);
	free(block);
	return NULL;
}

int block_start(struct block *block, enum wegman_carter_role role, const struct cascade_plan *plan,
		uint64_t seed)
{
	int r = cascade_order_new(seed, &block->order);

	for (unsigned i = 0; i < block->group_count && r >= 0; i++) {
		unsigned first = i * DISTILL_GROUP_FRAMES;
		unsigned count = MIN(block->frame_count - first, (unsigned)DISTILL_GROUP_FRAMES);
		uint64_t *bits = block_frame(block, first);

		if (role == WEGMAN_CARTER_ALICE)
			r = cascade_reference_new(block->order, plan, bits, count,
						  &block->references[i]);
		else
			r = cascade_corrector_new(block->order, plan, bits, count,
						  &block->correctors[i]);
	}
	return r;
}

static uint64_t sum(const uint64_t counts[static DETECTION_INTENSITIES_MAX])
{
	uint64_t total = 0;

	for (unsigned i = 0; i < DETECTION_INTENSITIES_MAX; i++)
		total += counts[i];
	return total;
}

uint64_t block_test_bits(const struct block *block)
{
	return sum(block->tally.n_z);
}

uint64_t block_test_errors(const struct block *block)
{
	return sum(block->tally.m_z);
}

uint64_t block_leak_bits(const struct block *block)
{
	uint64_t leak = block->extra_leak_bits;

	for (unsigned i = 0; i < block->group_count; i++) {
		if (block->references[i])
			leak += cascade_reference_leak_bits(block->references[i]);
		if (block->correctors[i])
			leak += cascade_corrector_leak_bits(block->correctors[i]);
	}
	return leak;
}

static void fill_counts(const struct block *block, struct key_length_counts *ret)
{
	for (unsigned i = 0; i < DETECTION_INTENSITIES_MAX; i++) {
		ret->n_x[i] = (double)block->tally.n_x[i];
		ret->n_z[i] = (double)block->tally.n_z[i];
		ret->m_x[i] = (double)block->m_x[i];
		ret->m_z[i] = (double)block->tally.m_z[i];
	}
}

static double single_photon_length(const struct block *block, const struct distill_config *config,
				   double leak_bits)
{
	double k = (double)block_test_bits(block);
	double q_tol = k > 0 ? (double)block_test_errors(block) / k : 0.5;

	return key_length_tomamichel((double)block->key.bit_count, k, q_tol, leak_bits,
				     config->eps_sec, config->eps_cor);
}

uint64_t block_key_length(struct block *block, const struct distill_config *config,
			  double leak_bits)
{
	struct key_length_counts counts;
	struct key_length_bounds bounds = {};

	if (config->count_both_directions)
		leak_bits *= 2;
	fill_counts(block, &counts);
	switch (config->bound) {
	case DISTILL_BOUND_LIM:
		key_length_lim(&config->source, &counts, leak_bits, config->eps_sec,
			       config->eps_cor, &bounds);
		break;
	case DISTILL_BOUND_WIESEMANN:
		key_length_wiesemann(&config->source, &counts, leak_bits, config->eps_sec,
				     config->eps_cor, &bounds);
		break;
	case DISTILL_BOUND_TOMAMICHEL:
		bounds.length = single_photon_length(block, config, leak_bits);
		break;
	}
	block->report.single_photons = bounds.s_x1;
	block->report.phase_error = bounds.phi;
	return (uint64_t)bounds.length;
}
