/* SPDX-License-Identifier: MIT */
/* Privacy amplification by a Toeplitz matrix, as the middle of one polynomial product. */

#include "qkd-linkd/distill/privacy-amplify.h"
#include "common/secret.h"

struct privacy_amplifier {
	const struct gf2_kernel *kernel;
	uint64_t max_bits;
	struct gf2_workspace *workspace;
	struct secret *head;    /* x' */
	struct secret *product; /* of the seed and x' */
	uint64_t *seed;         /* trimmed to n-1 bits */
};

static size_t words_for(uint64_t bits)
{
	return (bits + 63) / 64;
}

int privacy_amplifier_new(const struct gf2_kernel *kernel, uint64_t max_bits,
			  struct privacy_amplifier **ret)
{
	_cleanup_(privacy_amplifier_freep) struct privacy_amplifier *amplifier = NULL;
	size_t words = words_for(max_bits);
	int r;

	if (max_bits < 2)
		return -EINVAL;
	if (max_bits > PRIVACY_AMPLIFY_MAX_BITS)
		return -E2BIG;
	amplifier = calloc(1, sizeof(*amplifier));
	if (!amplifier)
		return -ENOMEM;
	amplifier->kernel = kernel;
	amplifier->max_bits = max_bits;
	amplifier->seed = malloc(words * sizeof(uint64_t));
	if (!amplifier->seed)
		return -ENOMEM;
	r = gf2_workspace_new(2 * words, &amplifier->workspace);
	if (r >= 0)
		r = secret_new(words * sizeof(uint64_t), &amplifier->head);
	if (r >= 0)
		r = secret_new(2 * words * sizeof(uint64_t), &amplifier->product);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(amplifier);
	return 0;
}

struct privacy_amplifier *privacy_amplifier_free(struct privacy_amplifier *amplifier)
{
	if (!amplifier)
		return NULL;
	gf2_workspace_free(amplifier->workspace);
	secret_free(amplifier->head);
	secret_free(amplifier->product);
	free(amplifier->seed);
	free(amplifier);
	return NULL;
}

/* ret += the last l bits of the input. */
static void add_tail(const uint64_t *input, uint64_t first_bit, uint64_t bits, uint64_t *scratch,
		     uint64_t *ret)
{
	gf2_polynomial_slice(input, first_bit, bits, scratch);
	for (size_t i = 0; i < words_for(bits); i++)
		ret[i] ^= scratch[i];
}

int privacy_amplify(struct privacy_amplifier *amplifier, const uint64_t *input, uint64_t input_bits,
		    const uint64_t *seed, uint64_t output_bits, uint64_t *ret)
{
	uint64_t head_bits = input_bits - output_bits;
	uint64_t *head = (uint64_t *)amplifier->head->bytes;
	uint64_t *product = (uint64_t *)amplifier->product->bytes;
	int r;

	if (output_bits == 0 || output_bits >= input_bits)
		return -EINVAL;
	if (input_bits > amplifier->max_bits)
		return -E2BIG;
	gf2_polynomial_slice(input, 0, head_bits, head);
	gf2_polynomial_slice(seed, 0, input_bits - 1, amplifier->seed);
	r = gf2_polynomial_multiply(amplifier->kernel, amplifier->workspace, amplifier->seed,
				    words_for(input_bits - 1), head, words_for(head_bits), product);
	if (r < 0)
		return r;
	gf2_polynomial_slice(product, head_bits - 1, output_bits, ret);
	add_tail(input, head_bits, output_bits, product, ret);
	secret_wipe(head, words_for(head_bits) * sizeof(*head));
	secret_wipe(product, amplifier->product->size_bytes);
	return 0;
}
