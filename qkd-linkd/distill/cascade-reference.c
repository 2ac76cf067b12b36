/* SPDX-License-Identifier: MIT */
/* The end of Cascade whose bits are right: answers questions and counts what it discloses. */

#include "qkd-linkd/distill/cascade-reference.h"
#include "common/secret.h"

struct reference_frame {
	const uint64_t *permuted[CASCADE_PASSES]; /* NULL until a question goes below the tops */
	uint32_t leak_bits;
};

struct cascade_reference {
	const struct cascade_order *order;
	struct cascade_plan plan;
	const uint64_t *bits;
	size_t frame_count;
	uint64_t leak_bits;
	struct reference_frame frames[];
};

/* Appends bits to a byte string. */
struct answer_writer {
	uint8_t *bytes;
	size_t max_bytes;
	size_t bit_count;
};

int cascade_reference_new(const struct cascade_order *order, const struct cascade_plan *plan,
			  const uint64_t *bits, size_t frame_count, struct cascade_reference **ret)
{
	struct cascade_reference *reference;

	if (frame_count == 0 || frame_count > CASCADE_GROUP_MAX_FRAMES ||
	    !cascade_plan_is_valid(plan))
		return -EINVAL;
	reference = calloc(1, sizeof(*reference) + frame_count * sizeof(reference->frames[0]));
	if (!reference)
		return -ENOMEM;
	reference->order = order;
	reference->plan = *plan;
	reference->bits = bits;
	reference->frame_count = frame_count;
	for (size_t i = 0; i < frame_count; i++)
		reference->frames[i].permuted[0] = bits + i * CASCADE_FRAME_WORDS;
	*ret = reference;
	return 0;
}

struct cascade_reference *cascade_reference_free(struct cascade_reference *reference)
{
	if (!reference)
		return NULL;
	for (size_t i = 0; i < reference->frame_count; i++)
		for (unsigned pass = 1; pass < CASCADE_PASSES; pass++)
			secret_mfree((void *)reference->frames[i].permuted[pass]);
	free(reference);
	return NULL;
}

uint64_t cascade_reference_leak_bits(const struct cascade_reference *reference)
{
	return reference->leak_bits;
}

static int permute(struct cascade_reference *reference, struct reference_frame *frame,
		   unsigned pass)
{
	uint64_t *permuted;

	if (frame->permuted[pass])
		return 0;
	permuted = secret_malloc(CASCADE_FRAME_BYTES);
	if (!permuted)
		return -ENOMEM;
	cascade_permute(reference->order, pass, frame->permuted[0], permuted);
	frame->permuted[pass] = permuted;
	return 0;
}

static int put_bit(struct answer_writer *writer, unsigned bit)
{
	size_t byte = writer->bit_count >> 3;

	if (byte >= writer->max_bytes)
		return -ENOBUFS;
	if ((writer->bit_count & 7) == 0)
		writer->bytes[byte] = 0;
	writer->bytes[byte] |= (uint8_t)(bit << (writer->bit_count & 7));
	writer->bit_count++;
	return 0;
}

static int answer_tops(struct cascade_reference *reference, struct reference_frame *frame,
		       unsigned pass, struct answer_writer *writer)
{
	unsigned count = cascade_tops_asked(&reference->plan, pass);
	unsigned first = CASCADE_FRAME_BITS >> reference->plan.block_log2[pass];
	int r = 0;

	if (pass >= CASCADE_SIZED_PASSES)
		return put_bit(writer,
			       cascade_half_parity(reference->order, pass, frame->permuted[0]));
	r = permute(reference, frame, pass);
	for (unsigned i = 0; i < count && r >= 0; i++)
		r = put_bit(writer, cascade_parity(frame->permuted[pass], first + i));
	return r;
}

static int answer_node(struct cascade_reference *reference, struct reference_frame *frame,
		       unsigned pass, unsigned node, struct answer_writer *writer)
{
	int r = permute(reference, frame, pass);

	return r < 0 ? r : put_bit(writer, cascade_parity(frame->permuted[pass], node));
}

/* Below a top block, and a left child: the right one's parity follows. */
static bool is_asked(const struct cascade_plan *plan, unsigned pass, unsigned node)
{
	return node >= 2 && !(node & 1) && cascade_node_log2(node) < plan->block_log2[pass];
}

static int answer(struct cascade_reference *reference, uint32_t question,
		  struct answer_writer *writer)
{
	unsigned index = cascade_question_frame(question), pass = cascade_question_pass(question);
	unsigned node = cascade_question_node(question), cost = 1;
	struct reference_frame *frame;

	if (index >= reference->frame_count || pass >= CASCADE_PASSES)
		return -EBADMSG;
	if (node == CASCADE_TOPS)
		cost = cascade_tops_asked(&reference->plan, pass);
	else if (!is_asked(&reference->plan, pass, node))
		return -EBADMSG;
	frame = &reference->frames[index];
	if (frame->leak_bits + cost > CASCADE_MAX_LEAK_BITS)
		return -E2BIG;
	frame->leak_bits += cost;
	reference->leak_bits += cost;
	if (node == CASCADE_TOPS)
		return answer_tops(reference, frame, pass, writer);
	return answer_node(reference, frame, pass, node, writer);
}

ssize_t cascade_reference_answer(struct cascade_reference *reference, const uint32_t *questions,
				 size_t count, uint8_t *ret_answers, size_t max_bytes)
{
	struct answer_writer writer = {.bytes = ret_answers, .max_bytes = max_bytes};

	for (size_t i = 0; i < count; i++) {
		int r = answer(reference, questions[i], &writer);

		if (r < 0)
			return r;
	}
	return (ssize_t)writer.bit_count;
}
